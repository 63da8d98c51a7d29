"""Latent search with the settings of Yeh et al. 2017, in a DCGAN that you have trained.

1500 steps of Adam on z within [-1, 1], importance-weighted context loss (window 7), prior weight
0.003, Poisson blending.

    python inpaint.py configs/latent_search.py --model runs/dcgan --images folder:celeba/valid \\
        --holes center --output runs/latent-center
"""

from ce_jax.config import Inpainting


def get_config() -> Inpainting:
    """The defaults are the paper's."""
    return Inpainting(model="runs/dcgan", method="latent")
