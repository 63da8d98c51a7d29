"""What an experiment is: frozen, validated dataclasses; no JAX is needed to read one.

Every file in `configs/` returns one of the two roots, `Training` or `Inpainting`, and every field
can be overridden on the command line: `--data.source folder:faces --steps 5000`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

SIZES = (32, 64, 128)


class ConfigError(ValueError):
    """A field of an experiment holds a value that makes no sense."""


def _require(condition: bool, field: str, value: object, rule: str) -> None:
    if not condition:
        raise ConfigError(f"{field} must be {rule}, got {value!r}.")


def _require_seed(seed: int) -> None:
    _require(0 <= seed < 2**32, "seed", seed, "in [0, 2**32), the seeds that JAX tells apart")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """How a photograph of any size becomes the square that a network sees."""

    size: int = 64
    """Side of the square in pixels: 32, 64 or 128."""
    box: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom: cut this out first (pixels of the file)."""
    shorter_side: int | None = None
    """Resize to this shorter side before the crop; None: to `size`, so that only the longer side is cropped."""

    def __post_init__(self) -> None:
        _require(self.size in SIZES, "frame.size", self.size, "one of 32, 64, 128")
        if self.box is not None:
            left, top, right, bottom = self.box
            _require(
                0 <= left < right and 0 <= top < bottom,
                "frame.box",
                self.box,
                "left, top, right, bottom with 0 <= left < right and 0 <= top < bottom",
            )
        if self.shorter_side is not None:
            _require(
                self.shorter_side >= self.size,
                "frame.shorter_side",
                self.shorter_side,
                f"at least frame.size ({self.size})",
            )


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the training images come from and how they are varied."""

    source: str = "bundled:photographs"
    """folder:PATH, tfds:NAME@SPLIT, mat:PATH (SVHN), npz:PATH, bundled:digits, bundled:photographs or bundled:tiles; [a:b] behind any of them takes a part."""
    frame: Frame = Frame()
    crop: Literal["center", "random"] = "center"
    """Where the square lies in a photograph that is larger (`frame.shorter_side` makes room)."""
    flip: bool = True
    """Mirror half of the images left to right."""
    threads: int = 8
    """Threads that read and decode ahead of the device."""

    def __post_init__(self) -> None:
        _require(self.threads >= 1, "data.threads", self.threads, "at least 1")


@dataclass(frozen=True, kw_only=True)
class Dcgan:
    """The generator and critic of Radford et al. 2016 as Yeh et al. 2017 use them."""

    width: int = 64
    """Channels of the layer next to the image; each layer inwards has twice as many (512 at 4x4 for 64x64 images)."""
    latent: int = 100
    """Dimensions of z, uniform in [-1, 1]."""

    def __post_init__(self) -> None:
        _require(self.width >= 1, "model.width", self.width, "at least 1")
        _require(self.latent >= 1, "model.latent", self.latent, "at least 1")


@dataclass(frozen=True, kw_only=True)
class ContextEncoder:
    """The encoder-decoder of Pathak et al. 2016 and its patch critic, with their joint loss (eq. 3)."""

    width: int = 64
    """Channels of the first convolution."""
    bottleneck: int = 4000
    """Units between encoder and decoder."""
    predicts: Literal["center", "image"] = "center"
    """`center`: the middle square of half the side, as published; `image`: the whole image, for holes anywhere."""
    holes: tuple[str, ...] = ("center",)
    """Hole kinds to train with, one drawn for each image: center, block, random:SHARE, pattern, half."""
    overlap: int = 4
    """Width in pixels of the band of known pixels around the hole that is predicted as well."""
    overlap_weight: float = 10.0
    """How much more an error in that band counts."""
    adversarial: float = 0.001
    """Weight of the adversarial loss (lambda_adv); the reconstruction gets the rest (lambda_rec = 0.999). 0: no critic."""

    def __post_init__(self) -> None:
        _require(self.width >= 1, "model.width", self.width, "at least 1")
        _require(self.bottleneck >= 1, "model.bottleneck", self.bottleneck, "at least 1")
        _require(len(self.holes) >= 1, "model.holes", self.holes, "at least one hole kind")
        _require(
            self.predicts == "image" or self.holes == ("center",),
            "model.holes",
            self.holes,
            "('center',) for a network that predicts the centre (or set model.predicts to image)",
        )
        _require(self.overlap >= 0, "model.overlap", self.overlap, "at least 0 pixels")
        _require(self.overlap_weight > 0, "model.overlap_weight", self.overlap_weight, "positive")
        _require(0 <= self.adversarial <= 1, "model.adversarial", self.adversarial, "in [0, 1]")


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Kingma & Ba's optimiser with the constants of the DCGAN paper."""

    rate: float = 2e-4
    """Learning rate."""
    beta1: float = 0.5
    """Decay of the mean of the gradient."""
    beta2: float = 0.999
    """Decay of the mean of its square."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine`: from `rate` down to 0 over all steps of the run."""

    def __post_init__(self) -> None:
        _require(self.rate > 0, "rate", self.rate, "positive")
        _require(0 <= self.beta1 < 1, "beta1", self.beta1, "in [0, 1)")
        _require(0 <= self.beta2 < 1, "beta2", self.beta2, "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training run: which network, on which images, for how long."""

    model: Dcgan | ContextEncoder
    data: Data = Data()
    generator: Adam = Adam()
    """Optimiser of the generator (the encoder-decoder)."""
    critic: Adam = Adam()
    """Optimiser of the critic (the papers' discriminator)."""
    average: float = 0.0
    """Decay of the running average of the generator's weights, which is then used for pictures and completions; 0: none."""
    steps: int = 10_000
    """Length of the run in optimisation steps."""
    batch_size: int = 64
    """Images per step, over all devices together."""
    seed: int = 0
    """Seed of the weights, of the order of the images, and of everything drawn on the way."""
    steps_per_call: int = 5
    """Steps that the device does between two words with the host, and that a signal to stop waits for."""
    log_every: int = 20
    """Steps between two lines of scalars."""
    picture_every: int = 500
    """Steps between two picture grids."""
    checkpoint_every: int = 500
    """Steps between two checkpoints; the last three are kept."""

    def __post_init__(self) -> None:
        _require(0 <= self.average < 1, "average", self.average, "in [0, 1)")
        _require_seed(self.seed)
        for name in (
            "steps",
            "batch_size",
            "steps_per_call",
            "log_every",
            "picture_every",
            "checkpoint_every",
        ):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        if isinstance(self.model, ContextEncoder) and self.model.predicts == "center":
            room = (self.data.frame.size // 2 - 1) // 2
            _require(
                self.model.overlap <= room,
                "model.overlap",
                self.model.overlap,
                f"at most {room} for {self.data.frame.size}-pixel images, or no hole is left",
            )


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
        _require(self.steps >= 1, "latent.steps", self.steps, "at least 1")
        _require(self.rate > 0, "latent.rate", self.rate, "positive")
        _require(self.window % 2 == 1, "latent.window", self.window, "odd")
        _require(self.prior >= 0, "latent.prior", self.prior, "at least 0")


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
    """latent: search in a DCGAN; context-encoder: one pass; laplace: smoothest continuation, no model."""
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
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "at least 1")
        _require(self.report_rows >= 0, "report_rows", self.report_rows, "at least 0")
        _require_seed(self.seed)
        _require(
            self.model is not None or self.method == "laplace",
            "model",
            self.model,
            f"the work directory of a training run for method {self.method} (--model DIR)",
        )


def to_dict(config: Training | Inpainting) -> dict[str, Any]:
    """The experiment as plain JSON types, with the kind of its model named."""
    plain = dataclasses.asdict(config)
    if isinstance(config, Training):
        plain["model"] = {"kind": type(config.model).__name__, **plain["model"]}
    return plain


def training_from_dict(plain: dict[str, Any]) -> Training:
    """The inverse of `to_dict` for a training run, read back from JSON.

    Raises:
        ConfigError: the record was written by another version with other fields.
    """
    try:
        model = dict(plain["model"])
        kind = {"Dcgan": Dcgan, "ContextEncoder": ContextEncoder}[model.pop("kind")]
        data = dict(plain["data"])
        frame = Frame(**_tuples(data.pop("frame")))
        rest = {k: v for k, v in plain.items() if k not in ("model", "data", "generator", "critic")}
        return Training(
            model=kind(**_tuples(model)),
            data=Data(frame=frame, **data),
            generator=Adam(**plain["generator"]),
            critic=Adam(**plain["critic"]),
            **rest,
        )
    except (KeyError, TypeError) as error:
        raise ConfigError(f"The recorded experiment does not fit this version: {error}.") from error


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
