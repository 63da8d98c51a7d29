"""Table I of Salem et al., on street facades: mean L2 over the hole, and what else is measured.

    python inpaint.py configs/table_salem.py --data DATA --models RUNS --output runs/table-salem

DATA holds facades/ (Paris StreetView, which the paper has, may not be distributed), RUNS the work
directories of these configs, with --data.source "folder:facades/train[:697]"; the last 200 of these
photographs are measured, and facades/valid decides the shares of the levels:

    encoder-facades      context_encoder_center128.py
    on-demand-facades    on_demand64.py
    self-tuned-facades   self_tuned128.py
    l2-gan-facades       l2_gan350.py

The rows of the paper have holes of different places and sizes, so the figures of a column compare
methods, and a row is not to be read across. The last column of the paper, the loss of the
discriminator, is `validation/critic` in the scalars of the L2-GAN's training. A network that was
not trained for a kind of hole says so in its place.
"""

from dataclasses import replace

from ce_jax.config import Entry, Frame, Inpainting, Table


def get_config() -> Table:
    """Every network at the size that it was trained for; Laplace fill at that of most."""
    facades = Inpainting(
        images="folder:facades/train[697:]",
        frame=None,
        method="context-encoder",
        model="-",
        batch_size=8,
    )
    lines = {
        "context encoder": replace(facades, model="encoder-facades"),
        "on-demand learning": replace(facades, model="on-demand-facades"),
        "high resolution": replace(facades, model="encoder-facades", method="high-resolution"),
        "self-tuned": replace(facades, model="self-tuned-facades"),
        "L2-GAN": replace(facades, model="l2-gan-facades"),
        "Laplace": replace(facades, model=None, method="laplace", frame=Frame(size=128)),
    }
    return Table(
        title="Table I of Salem et al.",
        entries=tuple(
            Entry(data="facades", method=method, inpainting=how) for method, how in lines.items()
        ),
        holes=("center", "quarter:top-left", "block:25-30"),
        output="runs/table-salem",
    )
