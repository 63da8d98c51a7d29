"""Latent search in milliseconds: from an encoder's guess, a few steps on z and as many beyond it.

The search for networks that come with the package. Beyond z it goes on among the feature maps of
the generator (docs/search.md), which express more than a hundred numbers do.

    python inpaint.py configs/latent_search_beyond.py --images folder:faces --holes center \\
        --output completed
"""

from ce_jax.config import Beyond, Inpainting, LatentSearch

SEARCH = LatentSearch(
    start="encoder",
    steps=15,
    rate=0.05,
    schedule="cosine",
    prior_every=10,
    beyond=Beyond(steps=15),
)


def get_config() -> Inpainting:
    """Of faces cut out as CelebA's are."""
    return Inpainting(images="folder:faces", model="celeba64", latent=SEARCH)
