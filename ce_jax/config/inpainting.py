"""One inpainting of a whole data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ce_jax.config.data import Frame
from ce_jax.config.rules import require, require_seed


@dataclass(frozen=True, kw_only=True)
class LatentSearch:
    """The search of Yeh et al. 2017 for the latent vector whose image agrees with the known pixels."""

    steps: int = 1500
    """Steps of Adam."""
    rate: float = 0.01
    """Learning rate of Adam on z (not stated in the paper)."""
    window: int = 7
    """Side of the window that weights a known pixel by the missing ones around it (eq. 3)."""
    prior: float = 0.003
    """Weight of the prior loss (lambda in eq. 5)."""

    def __post_init__(self) -> None:
        require(self.steps >= 1, "latent.steps", self.steps, "at least 1")
        require(self.rate > 0, "latent.rate", self.rate, "positive")
        require(self.window % 2 == 1, "latent.window", self.window, "odd")
        require(self.prior >= 0, "latent.prior", self.prior, "at least 0")


@dataclass(frozen=True, kw_only=True)
class Inpainting:
    """One inpainting of a whole data set: which images, which holes, filled by which method."""

    images: str = "bundled:photographs"
    """The images to complete; sources as in training."""
    holes: str = "center"
    """center, block, random:SHARE, pattern, half, a PNG for all images, or a folder with one per image (white = fill)."""
    output: str = "completed"
    """Folder for images/, manifest.jsonl, metrics.json and report.html."""
    model: str | None = None
    """Work directory of a training run, for the methods that need a network; photographs are then framed as it was trained, unless a --frame option is given."""
    method: Literal["latent", "context-encoder", "laplace"] = "latent"
    """latent: search in a DCGAN or a VAE; context-encoder: one pass; laplace: smoothest continuation, no model."""
    blend: Literal["poisson", "overlay"] = "poisson"
    """How the proposal meets the known pixels: Poisson's equation, or a plain paste."""
    truth: str | None = None
    """Source of the intact images, for the figures; holes drawn by kind need none: the images are intact."""
    frame: Frame | None = None
    """How the photographs are framed; None: as the model's training images were."""
    latent: LatentSearch = LatentSearch()
    batch_size: int = 64
    """Images per batch, over all devices together; the last batch is padded."""
    seed: int = 0
    """Seed of the holes and of the starts; each image adds its own name."""
    report_rows: int = 60
    """Images that the report shows as pictures, taken evenly from all."""
    overwrite: bool = False
    """Replace the results of another inpainting in the output folder."""

    def __post_init__(self) -> None:
        require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        require(self.report_rows >= 0, "report_rows", self.report_rows, "at least 0")
        require_seed(self.seed)
        require(
            self.model is not None or self.method == "laplace",
            "model",
            self.model,
            f"the work directory of a training run for method {self.method} (--model DIR)",
        )
