"""How photographs become the squares that a method completes."""

from dataclasses import replace

from ce_jax.config import ConfigError, ContextEncoder, Frame, Inpainting
from ce_jax.state import Trained

# Yang et al. 2016 refine what was completed at 128 pixels up to 512.
_REFINED_TIMES = 4


def frame_of(config: Inpainting, trained: Trained | None) -> Frame:
    """How the photographs of an inpainting are framed.

    Raises:
        ConfigError: they cannot be framed as asked for this network.
    """
    if trained is None:
        return config.frame or Frame()
    theirs = trained.config.data.frame
    if config.method == "high-resolution":
        model = trained.config.model
        if not isinstance(model, ContextEncoder) or model.alexnet:
            return theirs  # the method says why it does not run on this model
        return _refined_frame(config, theirs)
    if config.frame is not None and config.frame.size != theirs.size:
        raise ConfigError(
            f"frame.size is {config.frame.size}, but {config.model} was trained on "
            f"{theirs.size}-pixel images; use that size or another --model."
        )
    return config.frame or theirs


def _refined_frame(config: Inpainting, theirs: Frame) -> Frame:
    """The model's frame, so many times as large."""
    if config.frame is None:
        shorter = theirs.shorter_side and _REFINED_TIMES * theirs.shorter_side
        return replace(theirs, size=_REFINED_TIMES * theirs.size, shorter_side=shorter)
    times, rest = divmod(config.frame.size, theirs.size)
    if rest or times.bit_count() != 1:
        raise ConfigError(
            f"frame.size is {config.frame.size}, but method high-resolution doubles the "
            f"{theirs.size} pixels that {config.model} was trained on; use "
            f"{' or '.join(str(theirs.size << k) for k in range(1, 4))}, or another --model."
        )
    return config.frame
