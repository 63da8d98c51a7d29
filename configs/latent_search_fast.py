"""Latent search from the guess of an encoder, on faces of 64x64: 30 steps instead of 1500.

The encoder of configs/latent_encoder_celeba64.py gives z in one pass. From there Adam takes a few
large steps that get smaller, and the critic is asked once in ten.

    python inpaint.py configs/latent_search_fast.py --model runs/latent-encoder \\
        --images folder:celeba/valid --holes center --output runs/fast

Where a little of everything is known, as in random pixels, z cannot express what the known pixels
say; the feature maps behind it can: --latent.beyond.steps 60. Without an encoder, begin at the best
of a pool: --latent.start pool --model runs/dcgan.
"""

from ce_jax.config import Inpainting, LatentSearch


def get_config() -> Inpainting:
    """Everything else as in Yeh et al. 2017."""
    return Inpainting(
        images="folder:celeba/valid",
        model="runs/latent-encoder",
        latent=LatentSearch(
            start="encoder", steps=30, rate=0.05, schedule="cosine", prior_every=10
        ),
    )
