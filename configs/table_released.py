"""The networks that come with the package, beside what needs none, on faces new to them.

    python inpaint.py configs/table_released.py --data DATA --output runs/table-released

DATA holds celeba/train, which the retrieval chooses from, and celeba/valid, which is measured:
aligned CelebA at half resolution, 89x109.
"""

from ce_jax.config import Beyond, Entry, Frame, Inpainting, LatentSearch, Table

SEARCHED, CONTEXT_ENCODER = "celeba64", "celeba64-context-encoder"


def get_config() -> Table:
    """A pass, a search, both in one, and the floor."""
    search = LatentSearch(
        start="encoder",
        steps=15,
        rate=0.05,
        schedule="cosine",
        prior_every=10,
        beyond=Beyond(steps=15),
    )
    encoder = {"method": "context-encoder", "model": CONTEXT_ENCODER}
    latent = {"method": "latent", "model": SEARCHED, "latent": search}
    methods = {
        "context encoder": encoder,
        "context encoder, pasted": encoder | {"blend": "overlay"},
        "latent search": latent,
        "both": latent | {"guide": CONTEXT_ENCODER},
        "nearest": {"method": "nearest", "collection": "folder:celeba/train"},
        "Laplace": {"method": "laplace"},
    }
    return Table(
        title="Networks that come with the package",
        entries=tuple(
            Entry(
                data="CelebA",
                method=method,
                inpainting=Inpainting(
                    images="folder:celeba/valid",
                    frame=Frame(size=64, box=(12, 25, 76, 89)),
                    **fields,
                ),
            )
            for method, fields in methods.items()
        ),
        holes=("center", "pattern", "random:0.8", "half"),
        output="runs/table-released",
    )
