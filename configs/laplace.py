"""Laplace fill: what no network at all does, exactly and at once. No model is needed.

python inpaint.py configs/laplace.py --images folder:photos --holes holes/ --output filled

`--method tv` and the others of docs/classical.md need no model either.
"""

from ce_jax.config import Frame, Inpainting


def get_config() -> Inpainting:
    """64x64 centre crops; --frame.size 128 for larger ones."""
    return Inpainting(method="laplace", frame=Frame())
