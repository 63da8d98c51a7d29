"""The demo's first half: digits with a missing half, found again in the latent space (Yeh et al.).

python inpaint.py configs/demo_digits_inpaint.py
"""

from ce_jax.config import Inpainting, LatentSearch


def get_config() -> Inpainting:
    """One of the four halves is missing from each digit, none of which the network has seen."""
    return Inpainting(
        images="bundled:digits[1500:1628]",
        holes="half",
        output="runs/demo-train/digits-completed",
        model="runs/demo-train/digits",
        method="latent",
        latent=LatentSearch(steps=300, rate=0.03),
    )
