"""From a config to what a training loop needs: how to start, one update, and what to look at."""

from ce_jax.config import ContextEncoder, Dcgan, L2Gan, LatentEncoder, Training, Vae
from ce_jax.systems import context_encoder, dcgan, l2_gan, latent_encoder, vae
from ce_jax.systems.system import System

__all__ = ["System", "build"]


def build(config: Training, *, axis: str | None = None) -> System:
    """The system of a config; `axis` names the device axis if it is to run under `jax.pmap`.

    Raises:
        HoleError: a kind of hole to train with is unknown or does not fit.
    """
    match config.model:
        case Dcgan():
            return dcgan.build(config, config.model, axis)
        case Vae():
            return vae.build(config, config.model, axis)
        case LatentEncoder():
            return latent_encoder.build(config, config.model, axis)
        case ContextEncoder():
            return context_encoder.build(config, config.model, axis)
        case L2Gan():
            return l2_gan.build(config, config.model, axis)
