"""The DCGAN of its authors, 64x64: the faces of Radford et al. 2016 and of their Theano code.

1024 channels at 4x4, kernels of 5x5, z of 100 uniform numbers, batches of 128, Adam 2e-4 with beta1
0.5, no mirrored images. Paper and code differ in the L2 penalty of 1e-5, which is the code's alone:
--generator.l2 0 --critic.l2 0 is the paper. Their 350,000 faces were never published; this is
CelebA as it is distributed (178x218).

Not followed: the code lets batches train the generator and the critic in turn, with one step here
every batch trains both; it normalises the 16,384 units of the first layer one by one (here: 1024
channels), by the statistics of the batch at all times (here: by stored ones once trained), and with
an epsilon of 1e-8 (here: 1e-5). It pads by 2 before and 1 after, the mirror image of what is done
here.

    python train.py configs/dcgan_radford64.py --workdir runs/radford \\
        --data.source folder:img_align_celeba

1.5 TFLOP a step, 51 PFLOP in all (the authors took 12 hours on a GPU of 2015); 36 million weights.
For a GPU or TPU.
"""

from ce_jax.config import Adam, Data, Dcgan, Frame, Training


def get_config() -> Training:
    """As many steps of each as 25 passes over 350,000 faces with half of the batches for each."""
    adam = Adam(rate=2e-4, beta1=0.5, l2=1e-5)
    return Training(
        model=Dcgan(width=128, kernel=5),
        data=Data(
            source="folder:img_align_celeba",
            frame=Frame(size=64, box=(25, 50, 153, 178)),
            flip=False,
        ),
        generator=adam,
        critic=adam,
        steps=34_000,
        batch_size=128,
    )
