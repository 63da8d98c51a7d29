"""The smallest experiments that still have every part, shared so that they are compiled once."""

from dataclasses import replace

from ce_jax.config import Adam, ContextEncoder, Data, Dcgan, Frame, Training

_BASE = Training(
    model=Dcgan(width=4, latent=8),
    data=Data(source="bundled:digits[:64]", frame=Frame(size=32), threads=2),
    steps=4,
    batch_size=16,
    log_every=1,
    picture_every=2,
    checkpoint_every=2,
)


def dcgan(**changes) -> Training:
    """A DCGAN with a running average."""
    return replace(_BASE, **({"average": 0.9} | changes))


def context_encoder(**changes) -> Training:
    """The published kind: predicts the centre, with an overlap band and a patch critic."""
    return replace(_BASE, **({"model": ContextEncoder(width=4, bottleneck=8)} | changes))


def context_encoder_alone(**changes) -> Training:
    """The whole image from any of two kinds of hole, without a critic, its rate going down."""
    model = ContextEncoder(
        width=4,
        bottleneck=8,
        predicts="image",
        holes=("block:12", "random:0.3"),
        adversarial=0.0,
    )
    return replace(
        _BASE, **({"model": model, "generator": Adam(rate=1e-3, schedule="cosine")} | changes)
    )
