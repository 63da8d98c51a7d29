"""Context encoder on CelebA faces, 64x64, for holes anywhere (Pathak et al. 2016, random regions).

One network for the four kinds of hole that Yeh et al. 2017 compare on. As in the authors' code for
regions anywhere, the whole image is predicted and there is no overlap band; unlike there, the loss
counts the hole alone (as the paper says) and every image has a hole of its own. Reconstruction
0.999, adversarial 0.001, the generator's rate ten times the critic's, falling to zero.

    python train.py configs/context_encoder_celeba64.py --workdir runs/ce \\
        --data.source folder:celeba/train

The centre alone: --model.holes center
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """Three quarters of the published width, so that two CPU cores train it in an hour."""
    return Training(
        model=ContextEncoder(
            width=48,
            bottleneck=1000,
            predicts="image",
            holes=("center", "pattern", "random:0.8", "half"),
            overlap=0,
        ),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        generator=Adam(rate=1e-3, schedule="cosine"),
        critic=Adam(rate=1e-4),
        average=0.999,
        steps=6000,
        batch_size=64,
    )
