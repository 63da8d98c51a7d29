"""What completions are measured with beside their pixels."""

from __future__ import annotations

from dataclasses import dataclass

from ce_jax.config.rules import require


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
            require(
                path is None or path.endswith((".safetensors", ".npz")),
                f"perceptual.{name}",
                path,
                "a .safetensors or .npz file",
            )
