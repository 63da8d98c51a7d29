"""The DCGAN of DCGAN-tensorflow and dcgan-completion.tensorflow, 64x64, on CelebA (178x218).

The networks that latent search was first done in (Yeh et al. 2016 and 2017): 512 channels at 4x4,
kernels of 5x5 padded as SAME, z of 100 uniform numbers, batches of 64, Adam 2e-4 with beta1 0.5, 25
passes. The generator learns twice for each step of the critic, on the same z, so that the critic's
loss does not go to zero; in the paper of Radford et al. 2016 it does so once
(--model.generator-steps 1). That paper has batches of 128 (--batch-size 128) and twice the width
(--model.width 128); Yeh et al. 2016 describe a critic that ends in a softmax over two classes
(--model.head softmax), their 2017 paper mirrors the images (--data.flip).

Not followed: the code has biases in every layer, gains that begin at 1 (here: about 1) and, in the
critic, normal numbers that are cut off at two deviations (here: not). dcgan-completion.tensorflow
aligns faces with OpenFace; here, as in DCGAN-tensorflow, the middle 108x108 pixels are cut out.

    python train.py configs/dcgan_tensorflow64.py --workdir runs/tensorflow \\
        --data.source folder:img_align_celeba

279 GFLOP a step, 22 PFLOP in all; 9 million weights. For a GPU or TPU.
"""

from ce_jax.config import Data, Dcgan, Frame, Training


def get_config() -> Training:
    """As many steps as 25 passes over 202,599 faces."""
    return Training(
        model=Dcgan(width=64, kernel=5, generator_steps=2),
        data=Data(
            source="folder:img_align_celeba",
            frame=Frame(size=64, box=(35, 55, 143, 163)),
            flip=False,
        ),
        steps=79_100,
        batch_size=64,
    )
