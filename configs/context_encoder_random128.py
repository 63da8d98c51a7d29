"""The context encoder for holes anywhere: 128x128 images, random blocks and random regions.

Pathak et al. 2016, section 3.3: blocks that may overlap, or smooth shapes, up to a quarter of the
image. Followed is the paper where the authors' code differs: the reconstruction loss counts the
hole (there the whole image: --model.reconstructs image, which also has the critic judge the raw
prediction), every image has a hole of its own (there one for a whole batch), and regions take a
quarter exactly (there between 20 and 30 %, of thresholded noise as here; the paper's shapes come
from segmentations). The critic of whole images lacks their second layer of 64 channels. Constants
as in the published centre: 4000 units, 0.999 and 0.001, the generator's rate ten times the
critic's. Meant for a GPU or TPU; on two CPU cores: --model.width 24 --model.bottleneck 500
--data.frame.size 64 --steps 3000.

    python train.py configs/context_encoder_random128.py --workdir runs/ce-random128 \\
        --data.source folder:paris/train
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """As many steps as 500 passes over 15,000 images in batches of 64."""
    return Training(
        model=ContextEncoder(predicts="image", holes=("blocks:0.25", "pattern:0.25"), overlap=0),
        data=Data(
            source="folder:paris/train", frame=Frame(size=128, shorter_side=350), crop="random"
        ),
        generator=Adam(rate=2e-3),
        critic=Adam(rate=2e-4),
        steps=117_000,
    )
