"""The L2-GAN of Salem et al.: a square in one quarter of the image, recovered by L2, then refined.

350-pixel photographs with 128 pixels missing in a corner: one network for each corner, so train
four (--model.corner top-left, top-right, bottom-left or bottom-right). The first
`model.recovery_steps` train an encoder-decoder of six convolutions and 4000 units with the square
error alone (eq. 1); the others a refiner of what it recovers, with the joint loss (eq. 6). As in
the paper: batches of 100, Adam, and after every epoch the mean L2 (`validation/l2`, in per cent)
and the loss of the critic (`validation/critic`) on the validation images, the columns of table I;
`validation/recovery` is the L2 before refinement.

The paper leaves open, and we chose: where in its quarter the square lies (in the middle); how long
each step is; whether the encoder-decoder goes on learning (no); what the refiner is (its figure 5
calls the decoder the generator, its text feeds the recovered block to a GAN, as we do: a small
U-Net that also sees the border of the square); the discriminator (that of the DCGAN); both weights
of eq. 6 (0.99 and 0.01: ten times the adversarial weight of Pathak et al., for table I has a higher
L2 with the GAN than without); and the width of the border that makes 350 pixels 384.

Meant for a GPU or TPU; on two CPU cores: --data.frame.size 175 --model.width 16
--model.bottleneck 1000 --model.recovery-steps 6000 --steps 9000 --batch-size 32.

    python train.py configs/l2_gan350.py --workdir runs/l2-gan \\
        --data.source folder:paris/train --data.validation folder:paris/valid
    python inpaint.py configs/context_encoder.py --model runs/l2-gan --images folder:paris/valid \\
        --holes quarter:top-left --output runs/l2-gan-completed
"""

from ce_jax.config import Data, Frame, L2Gan, Training


def get_config() -> Training:
    """As many steps as 200 passes over 15,000 images in batches of 100, and 100 with the GAN."""
    return Training(
        model=L2Gan(recovery_steps=30_000),
        data=Data(
            source="folder:paris/train", validation="folder:paris/valid", frame=Frame(size=350)
        ),
        steps=45_000,
        batch_size=100,
    )
