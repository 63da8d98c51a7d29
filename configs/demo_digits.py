"""The demo's DCGAN: learns in a minute and a half to draw handwritten digits (Radford et al. 2016).

It trains on 1500 of the 1797 digits that come with scikit-learn, 8x8 pixels enlarged to 32x32; the
others are kept for `configs/demo_digits_inpaint.py`.

    python train.py configs/demo_digits.py --workdir runs/demo-train/digits
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """Small enough for two CPU cores and a minute or two."""
    return Training(
        model=Dcgan(width=24),
        data=Data(source="bundled:digits[:1500]", frame=Frame(size=32), flip=False),
        average=0.99,
        steps=1200,
        batch_size=64,
        picture_every=200,
        checkpoint_every=400,
    )
