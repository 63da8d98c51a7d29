"""The published context encoder: 128x128 images, the 64x64 centre from its surroundings.

Pathak et al. 2016 with the constants of the authors' code: bottleneck of 4000 units, a hole of
56x56 painted in their mean colour, 4 pixels of overlap weighted ten times, reconstruction 0.999 and
adversarial 0.001, the generator's rate ten times the critic's, random 128-pixel crops of images
whose shorter side is 350, mirrored at random. Meant for a GPU or TPU; about 72 million weights.

    python train.py configs/context_encoder_center128.py --workdir runs/ce128 \\
        --data.source folder:paris/train
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """As many steps as 500 passes over 15,000 images in batches of 64."""
    return Training(
        model=ContextEncoder(width=64, bottleneck=4000, predicts="center", overlap=4),
        data=Data(
            source="folder:paris/train", frame=Frame(size=128, shorter_side=350), crop="random"
        ),
        generator=Adam(rate=2e-3),
        critic=Adam(rate=2e-4),
        steps=117_000,
        batch_size=64,
    )
