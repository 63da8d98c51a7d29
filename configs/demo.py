"""Every method on faces that a network drew, of which the truth is known, and on a photograph.

The networks come with the package; they were trained on CelebA (ce_jax/released). The first faces
are samples of the DCGAN that the latent search looks in, so that it may find them again; the last
is the astronaut of scikit-image, whom no network has seen, cut out as CelebA's faces are: eyes,
nose and mouth in the same places.

    python inpaint.py configs/demo.py
"""

from ce_jax.config import Entry, Frame, Inpainting, Table
from configs.latent_search_beyond import SEARCH

SEARCHED, CONTEXT_ENCODER = "celeba64", "celeba64-context-encoder"
SAMPLES = f"samples:{SEARCHED}"


def get_config() -> Table:
    """The same methods on both."""
    latent = {"method": "latent", "model": SEARCHED, "latent": SEARCH}
    methods = {
        "context encoder": {"method": "context-encoder", "model": CONTEXT_ENCODER},
        "latent search": latent,
        "both": latent | {"guide": CONTEXT_ENCODER},
        "nearest": {"method": "nearest", "collection": f"{SAMPLES}[16:]"},
        "total variation": {"method": "tv"},
        "Laplace": {"method": "laplace"},
    }
    faces = {
        "samples of the DCGAN": {"images": f"{SAMPLES}[:16]", "frame": Frame(size=64)},
        "astronaut": {
            "images": "bundled:photographs[:1]",
            "frame": Frame(size=64, box=(150, 30, 298, 178)),
        },
    }
    return Table(
        title="Faces with holes",
        entries=tuple(
            Entry(
                data=data, method=method, inpainting=Inpainting(**images, **fields, batch_size=16)
            )
            for data, images in faces.items()
            for method, fields in methods.items()
        ),
        holes=("center", "pattern", "random:0.8", "half"),
        output="runs/demo",
        rows=3,
        worst=0,
    )
