"""Latent search with the settings of Yeh et al. 2017, in a DCGAN that you have trained.

1500 steps of Adam on z within [-1, 1], importance-weighted context loss (window 7), prior
log(1 - D) with weight 0.003, Poisson blending: all as in the paper, which states no learning rate.
The public codes differ from it, in these fields:

    moodoki (authors')  --latent.optimizer nesterov --latent.start normal --latent.steps 1000
                        --latent.prior 0.1 --latent.prior-form non-saturating
    ChengBinJin         --latent.optimizer nesterov --latent.start normal --latent.rate 0.0095
                        --latent.decay 0.95 --latent.prior 3 --latent.prior-form non-saturating

The first is the branch `master`; `extensions` has --latent.rate 0.0003 --latent.steps 3000
--latent.prior 0.2 --latent.window 15. Not followed: both run BatchNorm on the statistics of the
batch, so that an image's result depends on the others, and `master` inverts the weights of eq. 3.

    python inpaint.py configs/latent_search.py --model runs/dcgan --images folder:celeba/valid \\
        --holes center --output runs/latent-center
"""

from ce_jax.config import Inpainting


def get_config() -> Inpainting:
    """The defaults are the paper's."""
    return Inpainting(model="runs/dcgan", method="latent")
