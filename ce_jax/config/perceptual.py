"""What completions are measured with beside their pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ce_jax.config.rules import refused

WEIGHT_FILES = (".safetensors", ".npz")
"""What files with the weights of others end in."""


@dataclass(frozen=True, kw_only=True)
class Perceptual:
    """Figures that need a network of others; docs/metrics.md says how to make their files."""

    lpips: str | None = None
    """A .safetensors or .npz file with the weights of LPIPS, its AlexNet or its VGG16."""
    inception: str | None = None
    """A .safetensors or .npz file with the weights of the Inception v3 of FID, for FID and KID."""

    def __post_init__(self) -> None:
        for name in ("lpips", "inception"):
            path = getattr(self, name)
            if path is not None and not path.endswith(WEIGHT_FILES):
                raise refused(self, f"perceptual.{name}", "a .safetensors or .npz file")
