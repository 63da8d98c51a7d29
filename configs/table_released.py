"""The networks that come with the package, beside what needs none, on images new to them.

    python inpaint.py configs/table_released.py --data DATA --output runs/table-released

DATA holds celeba/train and svhn/train_32x32.mat, which the retrieval chooses from, and celeba/valid
and svhn/test_32x32.mat, which are measured. Of CelebA aligned faces at half resolution, 89x109.
"""

from dataclasses import replace

from ce_jax.config import Entry, Frame, Inpainting, Table
from configs.latent_search_beyond import SEARCH

FACES, CONTEXT_ENCODER, DIGITS = "celeba64", "celeba64-context-encoder", "svhn32"


def get_config() -> Table:
    """A pass, a search, both in one, and the floor; of digits a search alone."""
    encoder = {"method": "context-encoder", "model": CONTEXT_ENCODER}
    latent = {"method": "latent", "model": FACES, "latent": SEARCH}
    from_a_pool = replace(SEARCH, start="pool", steps=30, prior_every=1)
    faces = {
        "context encoder": encoder,
        "context encoder, pasted": encoder | {"blend": "overlay"},
        "latent search": latent,
        "both": latent | {"guide": CONTEXT_ENCODER},
        "nearest": {"method": "nearest", "collection": "folder:celeba/train"},
        "Laplace": {"method": "laplace"},
    }
    digits = {
        "latent search": {"method": "latent", "model": DIGITS, "latent": from_a_pool},
        "nearest": {"method": "nearest", "collection": "mat:svhn/train_32x32.mat"},
        "Laplace": {"method": "laplace"},
    }
    sets = {
        "CelebA": ("folder:celeba/valid", Frame(size=64, box=(12, 25, 76, 89)), faces),
        "SVHN": ("mat:svhn/test_32x32.mat[:500]", Frame(size=32), digits),
    }
    return Table(
        title="Networks that come with the package",
        entries=tuple(
            Entry(
                data=data,
                method=method,
                inpainting=Inpainting(images=images, frame=frame, **fields),
            )
            for data, (images, frame, methods) in sets.items()
            for method, fields in methods.items()
        ),
        holes=("center", "pattern", "random:0.8", "half"),
        output="runs/table-released",
    )
