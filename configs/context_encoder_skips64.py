"""Context encoder with skips on CelebA faces, 64x64, for holes anywhere: the best in PSNR here.

Five things are not of the papers. The network sees where the hole is, filled smoothly from around,
and says only what that lacks; its decoder is shown what each layer of the encoder made of the
image, since a bottleneck cannot carry what the known pixels of a torn picture hold (Ronneberger et
al. 2015); an image counts by the logarithm of its error, which is its PSNR, so that large holes do
not count for nearly everything; and there is no critic. Two known pixels around the hole are
predicted as well, so that there is an edge to blend at. Faces are moved by up to four pixels.

    python train.py configs/context_encoder_skips64.py --workdir runs/ce-skips \\
        --data.source folder:celeba/train

What the skips, the logarithm and the smooth fill bring: docs/results.md.
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """Small enough for two CPU cores, and to be given away: five million weights."""
    return Training(
        model=ContextEncoder(
            width=48,
            bottleneck=128,
            skips=True,
            residual=True,
            hole_channel=True,
            predicts="image",
            holes=("center", "pattern", "random:0.8", "half"),
            error="logarithm",
            overlap=2,
            overlap_weight=1.0,
            adversarial=0.0,
        ),
        data=Data(
            source="folder:celeba/train",
            frame=Frame(size=64, box=(8, 21, 80, 93), shorter_side=72),
            crop="random",
        ),
        generator=Adam(rate=1e-3, beta1=0.9, schedule="cosine"),
        average=0.999,
        steps=16_000,
        batch_size=64,
    )
