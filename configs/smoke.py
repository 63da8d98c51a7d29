"""Everything that training does, in seconds, on images that come with scikit-learn.

python train.py configs/smoke.py --workdir runs/smoke
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """A DCGAN far too small and too short to learn anything."""
    return Training(
        model=Dcgan(width=8),
        data=Data(source="bundled:digits", frame=Frame(size=32), flip=False),
        average=0.9,
        steps=4,
        batch_size=16,
        log_every=1,
        picture_every=2,
        checkpoint_every=2,
    )
