"""DCGAN on CelebA faces, 64x64: the generator that latent search looks in (Yeh et al. 2017).

The networks and the recipe of Radford et al. 2016 (z of 100 uniform numbers, Adam 2e-4 with beta1
0.5, mirrored images), at three quarters of their width so that two CPU cores train it in an hour,
and with a running average of the generator, which shows faces a thousand steps earlier.

    python train.py configs/dcgan_celeba64.py --workdir runs/dcgan \\
        --data.source folder:celeba/train

The published width: --model.width 64. For CelebA at full resolution (178x218):
--data.frame.box 25 50 153 178.
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """The face crop of CelebA at half resolution (89x109) is 64x64 as it is."""
    return Training(
        model=Dcgan(width=48),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        average=0.999,
        steps=4000,
        batch_size=64,
    )
