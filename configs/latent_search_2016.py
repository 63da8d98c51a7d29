"""Latent search as in Yeh et al. 2016, in a DCGAN that you have trained.

The equations are the paper's: every known pixel counts alike (eq. 2), the prior is log(1 - D)
(eq. 3), Poisson blending (eq. 6). It states no constants; those here are of the public code,
bamos/dcgan-completion.tensorflow: 1000 steps of Adam at 0.01, prior weight 0.1. Where that code
differs: its prior is -log D (--latent.prior-form non-saturating), and it pastes without blending
(--blend overlay).

    python inpaint.py configs/latent_search_2016.py --model runs/dcgan \\
        --images folder:celeba/valid --holes center --output runs/latent-2016-center
"""

from ce_jax.config import Inpainting, LatentSearch


def get_config() -> Inpainting:
    """Without the importance weighting of 2017, and with far more weight on the prior."""
    return Inpainting(
        model="runs/dcgan",
        method="latent",
        latent=LatentSearch(steps=1000, weighting="uniform", prior=0.1),
    )
