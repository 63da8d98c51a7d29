"""The context encoder that learns features: AlexNet on 227x227 images, random regions.

Pathak et al. 2016, section 5.2: the squared error of the hole alone, without an adversary (with
AlexNet they could not make one converge), random regions of a quarter of the image, Adam at 1e-4
(1e-3 for the centre), 100,000 steps. The authors' code is for the other network, of 4x4
convolutions. Followed is the paper, and their code where the paper is silent: beta1 of 0.5, the
colour of the hole, BatchNorm after every convolution, regions of smoothed noise (the paper's come
from segmentations). Unlike in the paper, nothing is dropped out before the channel-wise layer; the
batch of 64 and what photographs are resized to are ours.

What it has learned, 6x6 places of 256 features, is one call away:
`ce_jax.systems.context_encoder.features`. Finer inpainting, without pooling:
--model.encoder alexnet-pool-free. The centre alone: --model.predicts center --model.holes center
--model.overlap 7 --generator.rate 1e-3.

Meant for a GPU or TPU: 3.5 million weights, 5 GFLOP for each image of a step; the authors trained
for 14 hours on a Titan X. On two CPU cores, also at 227 pixels: --model.width 12 --batch-size 16
--generator.rate 1e-3 --steps 1000.

    python train.py configs/context_encoder_alexnet227.py --workdir runs/alexnet \\
        --data.source folder:imagenet/train
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """As many steps as five passes over the 1.3 million images of ImageNet."""
    return Training(
        model=ContextEncoder(
            encoder="alexnet",
            width=96,
            bottleneck="channel-wise",
            predicts="image",
            holes=("pattern:0.25",),
            overlap=0,
            adversarial=0.0,
        ),
        data=Data(
            source="folder:imagenet/train", frame=Frame(size=227, shorter_side=256), crop="random"
        ),
        generator=Adam(rate=1e-4),
        steps=100_000,
        batch_size=64,
    )
