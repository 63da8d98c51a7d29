"""One pass of a context encoder that you have trained, blended in by Poisson's equation.

    python inpaint.py configs/context_encoder.py --model runs/ce --images folder:celeba/valid \\
        --holes center --output runs/ce-center
"""

from ce_jax.config import Inpainting


def get_config() -> Inpainting:
    """Name the work directory of the training run with --model."""
    return Inpainting(model="runs/ce", method="context-encoder")
