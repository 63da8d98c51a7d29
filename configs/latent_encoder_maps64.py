"""A guess of z and of the maps beyond it, for faces of 64x64: where a latent search begins.

As configs/latent_encoder_celeba64.py; but a hundred numbers cannot say all that is known of a face,
so the encoder also says what to add to the innermost maps of the generator, and learns from more
photographs than drawn faces.

    python train.py configs/dcgan_celeba64.py --workdir runs/dcgan \\
        --data.source folder:celeba/train
    python train.py configs/latent_encoder_maps64.py --workdir runs/latent-encoder-maps \\
        --data.source folder:celeba/train --model.run runs/dcgan

The one that comes with the package (celeba64) was then trained further:

    python train.py configs/latent_encoder_maps64.py --workdir runs/latent-encoder-further \\
        --start-from runs/latent-encoder-maps --data.source folder:celeba/train \\
        --model.run runs/dcgan --generator.rate 5e-4 --steps 6000

What it brings: docs/results.md.
"""

from ce_jax.config import Adam, Data, Dcgan, Frame, LatentEncoder, Training


def get_config() -> Training:
    """At the width of the DCGAN."""
    return Training(
        model=LatentEncoder(dcgan=Dcgan(width=48), width=48, maps=True, photographs=0.75),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        generator=Adam(rate=1e-3, schedule="cosine"),
        average=0.999,
        steps=5000,
        batch_size=64,
    )
