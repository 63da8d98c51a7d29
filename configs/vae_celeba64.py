"""A variational autoencoder on CelebA faces, 64x64 (Kingma & Welling 2014).

What Yeh et al. 2017 (figure 2) set beside the DCGAN: its samples are smoother. They give no recipe
for it. The decoder is the generator of `configs/dcgan_celeba64.py`, the encoder its critic with a
mean and a variance for each of 100 numbers; pixels are normal around what the decoder says, with a
deviation of 0.5 in [-1, 1]. A deviation that is learned (--model.learn-scale) becomes as small as
the errors, the divergence counts for little beside them, and what is drawn from the prior is no
face any more, though reconstructions are sharper.

    python train.py configs/vae_celeba64.py --workdir runs/vae --data.source folder:celeba/train

4,000 steps of 64. Pictures show photographs, their reconstructions, and samples. Then:

    python inpaint.py configs/latent_search.py --model runs/vae --images folder:celeba/valid \\
        --holes center --output runs/vae-center

For CelebA at full resolution (178x218): --data.frame.box 25 50 153 178.
"""

from ce_jax.config import Adam, Data, Frame, Training, Vae


def get_config() -> Training:
    """The usual constants of Adam: nobody plays against this generator."""
    return Training(
        model=Vae(width=48, scale=0.5, learn_scale=False),
        data=Data(source="folder:celeba/train", frame=Frame(size=64, box=(12, 25, 76, 89))),
        generator=Adam(rate=1e-3, beta1=0.9, schedule="cosine"),
        average=0.999,
        steps=4000,
        batch_size=64,
    )
