"""DCGAN on house numbers, SVHN at its own 32x32 (Yeh et al. 2017 search in one as well).

Digits are not mirrored, and what the critic sees is not varied at random: with 8,000 of them the
search was worse for it (docs/results.md).

    python train.py configs/dcgan_svhn32.py --workdir runs/dcgan-svhn \\
        --data.source mat:svhn/train_32x32.mat
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """Half an hour on two CPU cores."""
    return Training(
        model=Dcgan(width=48),
        data=Data(source="mat:svhn/train_32x32.mat", frame=Frame(size=32), flip=False),
        average=0.999,
        steps=10_000,
        batch_size=64,
    )
