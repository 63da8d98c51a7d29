"""Everything that inpainting does, in seconds, on images that come with scikit-learn.

python inpaint.py configs/smoke_inpaint.py --model runs/smoke --output runs/smoke-completed
"""

from ce_jax.config import Inpainting, LatentSearch


def get_config() -> Inpainting:
    """A latent search far too short to find anything, in the network of `configs/smoke.py`."""
    return Inpainting(
        images="bundled:digits[:20]",
        holes="center",
        output="runs/smoke-completed",
        model="runs/smoke",
        method="latent",
        latent=LatentSearch(steps=5),
        batch_size=8,
    )
