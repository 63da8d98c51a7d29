"""DCGAN on CelebA faces, 64x64, for longer than 8,000 photographs last without augmentation.

`configs/dcgan_celeba64.py` with what the critic sees varied at random (Zhao et al. 2020), so that
it does not learn the photographs by heart, and three times the steps.

    python train.py configs/dcgan_augmented64.py --workdir runs/dcgan-augmented \\
        --data.source folder:celeba/train

What augmentation does to shorter runs: docs/results.md; these have not been measured.
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """Checkpoints of 4,000 and 8,000 steps are kept, to see what longer is worth."""
    return Training(
        model=Dcgan(width=48, augmentation=("colour", "translation", "cutout")),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        average=0.999,
        steps=12_000,
        batch_size=64,
        keep_every=4000,
    )
