"""What a latent search gains from better starts, fewer steps and steps beyond z; faces of 64x64.

Rows: Yeh et al.'s 1500 steps of Adam from one random start, the reference; then larger rates that
go down to nothing, four starts, the best of a pool of 16,384, the guess of an encoder, and the
feature maps behind z. Columns: the four kinds of hole of Yeh et al. 2017. All in the DCGAN that
comes with the package, and from the guess of the encoder that comes with it.

    python inpaint.py configs/table_search.py --data DATA --output runs/table-search

DATA holds celeba/valid, aligned faces at half resolution, 89x109. Seconds are those of an image in
a batch of 50, from the device to the blended picture; the reference takes most of the time.
"""

from dataclasses import replace

from ce_jax.config import Beyond, Entry, Frame, Inpainting, LatentSearch, Table

SHORT = LatentSearch(rate=0.05, schedule="cosine", prior_every=10, steps=30)
BEYOND = Beyond(steps=30)
SEARCHES = {
    "1500 steps": LatentSearch(),
    "150 steps": replace(SHORT, prior_every=1, steps=150),
    "30 steps": replace(SHORT, prior_every=1),
    "30 steps, critic every 10": SHORT,
    "30 steps, 4 starts": replace(SHORT, starts=4),
    "pool, 1 step": replace(SHORT, start="pool", steps=1),
    "pool, 30 steps": replace(SHORT, start="pool"),
    "pool, 30 steps, 4 starts": replace(SHORT, start="pool", starts=4),
    "pool, 30 + 30 beyond z": replace(SHORT, start="pool", beyond=BEYOND),
    "encoder, 1 step": replace(SHORT, start="encoder", steps=1),
    "encoder, 30 steps": replace(SHORT, start="encoder"),
    "encoder, 150 steps": replace(SHORT, start="encoder", prior_every=1, steps=150),
    "encoder, 15 + 15 beyond z": replace(SHORT, start="encoder", steps=15, beyond=Beyond(steps=15)),
    "encoder, 30 + 30 beyond z": replace(SHORT, start="encoder", beyond=BEYOND),
}


def get_config() -> Table:
    """Every search on the same 500 faces."""
    faces = Inpainting(
        images="folder:celeba/valid[:500]",
        frame=Frame(size=64, box=(12, 25, 76, 89)),
        model="celeba64",
        batch_size=50,
    )
    lines = {method: replace(faces, latent=how) for method, how in SEARCHES.items()}
    lines["laplace"] = replace(faces, model=None, method="laplace")
    return Table(
        title="Faster latent search",
        entries=tuple(
            Entry(data="CelebA", method=method, inpainting=inpainting)
            for method, inpainting in lines.items()
        ),
        holes=(
            "set:yeh2017-center",
            "set:yeh2017-pattern",
            "set:yeh2017-random",
            "set:yeh2017-half",
        ),
        output="runs/table-search",
    )
