"""The DCGAN of PyTorch's examples and of dcgan.torch, 64x64, on CelebA as distributed (178x218).

512 channels at 4x4, kernels of 4x4, z of 100 normal numbers, batches of 64, Adam 2e-4 with beta1
0.5, 25 passes. The networks are the example's weight for weight. It resizes whole photographs and
takes their middle, and does not mirror them; dcgan.torch cuts out the face, takes random crops and
mirrors: --data.frame.box 30 40 168 178 --data.frame.shorter-side 96 --data.crop random --data.flip

The paper differs in uniform z (--model.prior uniform), in batches of 128 (--batch-size 128) and in
twice the width (--model.width 128). Not followed: dcgan.torch trains the generator with what the
critic thought before its own step; here, as in the example, the critic is asked again.

    python train.py configs/dcgan_torch64.py --workdir runs/torch \\
        --data.source folder:img_align_celeba

126 GFLOP a step, 10 PFLOP in all: 18 to 24 hours on two CPU cores (docs/performance.md), or a GPU
or TPU. Latent search does not cut off z in this network: a normal z knows no bounds.
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """As many steps as 25 passes over 202,599 faces."""
    return Training(
        model=Dcgan(width=64, prior="normal"),
        data=Data(source="folder:img_align_celeba", frame=Frame(size=64), flip=False),
        steps=79_100,
        batch_size=64,
    )
