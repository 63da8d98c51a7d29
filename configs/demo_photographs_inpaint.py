"""The demo's second half: holes in photographs that the network has never seen.

python inpaint.py configs/demo_photographs_inpaint.py
"""

from ce_jax.config import Inpainting


def get_config() -> Inpainting:
    """One square hole anywhere in each tile of four photographs."""
    return Inpainting(
        images="bundled:tiles[:54]",
        holes="block:24",
        output="runs/demo-train/photographs-completed",
        model="runs/demo-train/photographs",
        method="context-encoder",
        batch_size=32,
    )
