"""A guess of z from the known pixels, for faces of 64x64: where a latent search begins.

None of the papers has it: Yeh et al. begin at random and search for 1500 steps. The encoder sees
the known pixels and the hole, and learns what z gives back the whole picture, from pictures that
the generator of configs/dcgan_celeba64.py draws and from photographs, with all four kinds of hole
that Yeh et al. 2017 compare on. A few steps of search do the rest.

    python train.py configs/dcgan_celeba64.py --workdir runs/dcgan \\
        --data.source folder:celeba/train
    python train.py configs/latent_encoder_celeba64.py --workdir runs/latent-encoder \\
        --data.source folder:celeba/train --model.run runs/dcgan
    python inpaint.py configs/latent_search_fast.py --model runs/latent-encoder \\
        --images folder:celeba/valid --holes center --output runs/fast

The run holds the DCGAN as well, which it does not change.
"""

from ce_jax.config import Adam, Data, Dcgan, Frame, LatentEncoder, Training


def get_config() -> Training:
    """At the width of the DCGAN."""
    return Training(
        model=LatentEncoder(dcgan=Dcgan(width=48), width=48),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        generator=Adam(rate=1e-3, schedule="cosine"),
        average=0.999,
        steps=4000,
        batch_size=64,
    )
