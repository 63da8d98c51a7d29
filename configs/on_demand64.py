"""On-demand learning for image restoration (Gao and Grauman 2017), inpainting, 64x64.

Four convolutions to 512 maps of 4x4, a channel-wise layer (512 separate layers of 16x16 weights),
four up-samplings; the square error of the whole image; batches of 100 in five levels of squares
from 1 to 30 pixels, crops of 64 from images of 96, mirrored at random. Their public code leaves
the shares of the levels to be set by hand; here they follow 1 / PSNR after every epoch, as in the
paper. Unlike there, the first convolution has no normalisation, as in every other network here.

    python train.py configs/on_demand64.py --workdir runs/on-demand \\
        --data.source folder:celeba/train --data.validation folder:celeba/valid
"""

from ce_jax.config import ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """250 passes over 8,000 images."""
    return Training(
        model=ContextEncoder(
            bottleneck="channel-wise",
            predicts="image",
            holes=("block:1-6", "block:7-12", "block:13-18", "block:19-24", "block:25-30"),
            sharing="on-demand",
            reconstructs="image",
            overlap=0,
            adversarial=0.0,
        ),
        data=Data(
            source="folder:celeba/train",
            validation="folder:celeba/valid",
            frame=Frame(size=64, shorter_side=96),
            crop="random",
        ),
        steps=20_000,
        batch_size=100,
    )
