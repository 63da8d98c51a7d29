"""Context encoder on CelebA faces, 64x64: the centre from its surroundings (Pathak et al. 2016).

The joint loss of the paper (reconstruction 0.999, adversarial 0.001) and its overlap band, with the
generator's rate above the critic's. The published network is made for 128-pixel images and a hole
that leaves room for the band inside the predicted square; here the whole image is predicted and the
band lies around the hole, so that the hole is the full 32x32 centre that Yeh et al. compare on.

    python train.py configs/context_encoder_celeba64.py --workdir runs/ce \\
        --data.source folder:celeba/train

Holes of every kind with one network: --model.holes center pattern random:0.8 half block
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """Three quarters of the published width, so that two CPU cores train it in half an hour."""
    return Training(
        model=ContextEncoder(width=48, bottleneck=1000, predicts="image", holes=("center",)),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        generator=Adam(rate=1e-3, schedule="cosine"),
        critic=Adam(rate=1e-4),
        average=0.999,
        steps=3000,
        batch_size=64,
    )
