"""One inpainting of a whole data set."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ce_jax.config.classical import LowRank, Neighbours, OpenCv, PatchMatch, TotalVariation
from ce_jax.config.data import Frame
from ce_jax.config.rules import (
    BELOW_1,
    LOCAL,
    POSITIVE,
    SEED,
    SHARE,
    Part,
    Rule,
    at_least,
    refused,
    require_only,
)

POOL_PART = 512
"""Images of a pool that are drawn, or looked at, together."""

_WEIGHTS = Rule("a .safetensors or .npz file", lambda path: path.endswith((".safetensors", ".npz")))


@dataclass(frozen=True, kw_only=True)
class Beyond(Part, called="latent.beyond"):
    """After z, a search among the first feature maps of the generator, near those of z (Daras et al. 2021): for holes around which much is known, and more than z can express."""

    steps: Annotated[int, at_least(0)] = 0
    """Steps of Adam, its rate going down as a cosine; 0: z alone."""
    depth: Literal[1, 2, 3] = 2
    """The maps behind so many layers of the generator."""
    rate: Annotated[float, POSITIVE] = 0.02
    """Learning rate on the maps."""
    radius: Annotated[float, POSITIVE] = 1.0
    """How far they may go from those of z, in lengths of these."""


@dataclass(frozen=True, kw_only=True)
class LatentSearch(Part, called="latent"):
    """The search of Yeh et al. for the latent vector whose image agrees with the known pixels; the defaults are the paper's of 2017."""

    steps: Annotated[int, at_least(1)] = 1500
    """Steps of the optimiser."""
    optimizer: Literal["adam", "nesterov"] = "adam"
    """adam: as in the papers; nesterov: momentum, as in the authors' code."""
    rate: Annotated[float, POSITIVE] = 0.01
    """Learning rate on z (not stated in the papers)."""
    momentum: Annotated[float, BELOW_1] = 0.9
    """beta1 of Adam, or the momentum of Nesterov."""
    schedule: Literal["decay", "cosine"] = "decay"
    """How the rate goes down: as `decay` says, or as a cosine to 0 at the last step."""
    decay: Annotated[float, Rule("in (0, 1]", lambda factor: 0 < factor <= 1)] = 1.0
    """What the rate is multiplied by every `decay_every` steps; 1 keeps it."""
    decay_every: Annotated[int, at_least(1)] = 100
    """Steps between two of these."""
    projection: Literal["clip", "redraw"] = "clip"
    """What becomes of numbers in z that leave their bounds: cut off there, or drawn anew (stochastic clipping)."""
    patience: Annotated[int, at_least(0)] = 0
    """An image is done when for so many steps its objective has not gone down by `tolerance`, and makes room for the next one; 0: after all steps, with its batch."""
    tolerance: Annotated[float, BELOW_1] = 0.001
    """What part of the objective is worth waiting for."""
    start: Literal["prior", "normal", "pool", "encoder"] = "prior"
    """Where z begins: where it was drawn from in training, uniform in [-1, 1] in the papers; standard normal, cut off there (authors' code); at what agrees best with the known pixels among the images of `pool`; or where an encoder puts it (--model: a run of a LatentEncoder)."""
    pool: Annotated[int, at_least(POOL_PART)] = 16384
    """Images to choose from; they are drawn once, in whole 512s."""
    weighting: Literal["importance", "uniform"] = "importance"
    """importance: known pixels count by the missing ones around them (2017, eq. 3); uniform: all alike (2016, eq. 2)."""
    window: Annotated[int, Rule("odd and positive", lambda side: side > 0 and side % 2 == 1)] = 7
    """Side of the window of the importance weighting."""
    norm: Literal["l1", "l2"] = "l1"
    """What the context loss sums up: absolute differences, or their squares."""
    prior: Annotated[float, at_least(0)] = 0.003
    """Weight of the prior loss (lambda in 2017, eq. 5). 0: the critic is not asked."""
    prior_every: Annotated[int, at_least(1)] = 1
    """Steps that go by one word of the critic, which is half of the work."""
    prior_form: Literal["saturating", "non-saturating"] = "saturating"
    """saturating: log(1 - D), as in the papers; non-saturating: -log D, as in the authors' code."""
    starts: Annotated[int, at_least(1)] = 1
    """Searches for each image, side by side, of which the best is taken."""
    choose: Literal["objective", "held-out"] = "objective"
    """What makes a search the best: its objective, or its context loss on known pixels that no search has seen."""
    held_out: Annotated[float, Rule("in (0, 1)", lambda share: 0 < share < 1)] = 0.05
    """Share of the known pixels to hold out for that, drawn for each image."""
    beyond: Beyond = Beyond()
    guide_weight: Annotated[float, at_least(0)] = 0.05
    """With a `guide`: what a pixel that it predicts counts in the context loss, where a known one beside the hole counts up to 1."""
    guide_detail: Annotated[float, SHARE] = 0.7
    """With a `guide`: its share in what is fine of the proposal; what is coarse (Gaussian of sigma 1 pixel) is all the guide's."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What the networks compute in; z and what the optimiser remembers are float32."""
    trail: int = 0
    """Steps, from the start to the end, at which the report shows the way of z; 0: none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start == "encoder":
            require_only(self, "latent.starts", 1, "for the start encoder, which has one guess")
        if self.start == "pool" and self.starts > POOL_PART:
            raise refused(self, "latent.starts", f"at most {POOL_PART} for the start pool")
        if self.starts == 1:
            why = "where there is one start and nothing to choose from (or set latent.starts)"
            require_only(self, "latent.choose", "objective", why)
        if self.schedule == "cosine":
            why = "with latent.schedule cosine, which has its own way down"
            require_only(self, "latent.decay", 1, why)
        if self.patience:
            why = "with latent.patience, where nobody knows how many steps there will be"
            require_only(self, "latent.trail", 0, why)
        if self.patience >= self.steps:
            rule = f"less than latent.steps ({self.steps}); 0 to take all of them"
            raise refused(self, "latent.patience", rule)
        if self.trail and not 2 <= self.trail <= self.steps + 1:
            rule = f"0, or from 2 to latent.steps + 1 ({self.steps + 1})"
            raise refused(self, "latent.trail", rule)


@dataclass(frozen=True, kw_only=True)
class HighResolution(Part, called="refine"):
    """The refinement of Yang et al. 2016: a context encoder completes a small version of the image, then the hole is refined scale by scale."""

    steps: Annotated[int, at_least(1)] = 100
    """Steps of L-BFGS at each scale; there is one for the size of the model, and one for each doubling."""
    features: Annotated[
        str,
        Rule(
            "encoder, or a .safetensors or .npz file with the weights of VGG19",
            lambda name: name == "encoder" or _WEIGHTS.holds(name),
        ),
    ] = "encoder"
    """What tells textures apart: encoder (the first two layers of the model), or a .safetensors or .npz file with the weights of VGG19."""
    patch: Annotated[int, at_least(1)] = 3
    """Side of a neural patch, in places of a feature map."""
    stride: int = 2
    """Places from one patch to the next."""
    content: Annotated[float, at_least(0)] = 1.0
    """Weight of the mean square that the hole has moved away from the scale before, in [-1, 1]."""
    texture: Annotated[float, at_least(0)] = 1.0
    """Weight of the mean square that its neural patches differ from the known ones they are like, in features of mean square 1."""
    variation: Annotated[float, at_least(0)] = 1.0
    """Weight of the mean square of the steps between neighbouring pixels (total variation), in [-1, 1]."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.stride <= self.patch:
            rule = f"from 1 to refine.patch ({self.patch}), so that no place is left out"
            raise refused(self, "refine.stride", rule)


@dataclass(frozen=True, kw_only=True)
class Perceptual(Part, called="perceptual"):
    """Figures that need a network of others; docs/metrics.md says how to make their files."""

    lpips: Annotated[str | None, _WEIGHTS] = None
    """A .safetensors or .npz file with the weights of LPIPS, its AlexNet or its VGG16."""
    inception: Annotated[str | None, _WEIGHTS] = None
    """A .safetensors or .npz file with the weights of the Inception v3 of FID, for FID and KID."""


@dataclass(frozen=True, kw_only=True)
class Inpainting(Part):
    """One inpainting of a whole data set: which images, which holes, filled by which method."""

    images: str = "bundled:photographs"
    """The images to complete; sources as in training."""
    holes: str = "center"
    """center, block, blocks, random:SHARE, pattern, half, quarter:CORNER, free-form:FROM-TO (brush strokes over so many per cent), set:NAME (holes that are the same for everybody; docs/holes.md), a PNG for all images, or a folder with one per image (white = fill)."""
    output: Annotated[str, LOCAL] = "completed"
    """Folder for images/, manifest.jsonl, metrics.json and report.html."""
    output_format: Literal["png", "array_record"] = "png"
    """png: images/NAME.png. array_record: besides, once all are done, dataset/ with the same pictures, to train on as tfds:OUTPUT/dataset."""
    model: str | None = None
    """For the methods that need a network: work directory of a training run, a .safetensors file, or the name of a released model; photographs are then framed as it was trained, unless a --frame option is given."""
    method: Literal[
        "latent",
        "context-encoder",
        "high-resolution",
        "nearest",
        "laplace",
        "tv",
        "low-rank",
        "neighbours",
        "biharmonic",
        "telea",
        "navier-stokes",
        "patchmatch",
    ] = "latent"
    """latent: search in a DCGAN or a VAE; context-encoder: one pass of it or of an L2-GAN; high-resolution: one pass on a small version, refined scale by scale; the others need no model. nearest: what of `collection` agrees best with the known pixels, or in the features of a context encoder if one is the model; laplace: smoothest continuation; tv: least total variation; low-rank: matrix completion; neighbours: vote of the nearest. With the extra classical: biharmonic (scikit-image), telea and navier-stokes (OpenCV), patchmatch (PyPatchMatch)."""
    blend: Literal["poisson", "overlay"] = "poisson"
    """How the proposal meets the known pixels: Poisson's equation, or a plain paste."""
    resize_holes: bool = False
    """Resize a hole file that has not the size of its image (nearest pixel), rather than refusing it."""
    allow_missing: bool = False
    """Take an image without a hole file as one without a hole, rather than refusing it."""
    checksums: str | None = None
    """A list as sha256sum writes it: an image file whose bytes are others is refused."""
    returns: Literal["square", "photograph"] | None = None
    """What images/ holds. square: what the network sees; photograph: the whole photograph at its own size and kind, completed in a square around the hole. None: photograph where holes are files and neither a truth nor a frame is given, else square."""
    truth: str | None = None
    """Source of the intact images, for the figures; holes drawn by kind need none: the images are intact."""
    frame: Frame | None = None
    """How the photographs are framed; None: as the model's training images were, and four times as large for high-resolution."""
    latent: LatentSearch = LatentSearch()
    guide: str | None = None
    """For method latent: a context encoder that predicts whole images, named as `model` is. The search is drawn to its prediction, and the proposal is made of both (docs/search.md)."""
    refine: HighResolution = HighResolution()
    collection: str | None = None
    """Photographs that method nearest chooses from; sources as in training, and better none of `images` among them."""
    tv: TotalVariation = TotalVariation()
    low_rank: LowRank = LowRank()
    neighbours: Neighbours = Neighbours()
    opencv: OpenCv = OpenCv()
    patchmatch: PatchMatch = PatchMatch()
    candidates: int = 1
    """Completions to keep of each image, at most latent.starts: the best in images/, the next in candidates/2/ and so on."""
    perceptual: Perceptual = Perceptual()
    batch_size: Annotated[int, at_least(1)] = 64
    """Images per batch, over all devices together; the last batch is padded."""
    shard: str | None = None
    """I/N, from 0/N to N-1/N: of N processes with the same output this one does part I; None: all, or with jax.distributed the part of this process."""
    seed: Annotated[int, SEED] = 0
    """Seed of the holes drawn by kind and of the starts; each image adds its own name."""
    report_rows: Annotated[int, at_least(0)] = 60
    """Images that the report shows as pictures, taken evenly from all."""
    report_worst: Annotated[int, at_least(0)] = 20
    """Images that it shows besides: those with the lowest PSNR over the hole."""
    overwrite: bool = False
    """Replace the results of another config in the output folder; those of the same one are gone on with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shard is not None:
            index, _, count = self.shard.partition("/")
            if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
                raise refused(self, "shard", "I/N with I from 0 to N-1, as in 0/4")
            if self.overwrite:
                raise refused(self, "overwrite", "off with a shard")
        if self.returns == "photograph" and self.truth is not None:
            rule = "square where there is a truth: figures are of what the network sees"
            raise refused(self, "returns", rule)
        if self.method != "latent":
            require_only(self, "candidates", 1, f"for {self.method}")
        elif not 1 <= self.candidates <= self.latent.starts:
            raise refused(self, "candidates", f"from 1 to latent.starts ({self.latent.starts})")
        if self.method in ("latent", "context-encoder", "high-resolution") and self.model is None:
            rule = (
                f"the work directory of a training run for method {self.method} (--model DIR), or a "
                "released model (--model FILE.safetensors, or its name)"
            )
            raise refused(self, "model", rule)
        if self.method == "nearest" and self.collection is None:
            rule = "a source of photographs for method nearest (--collection folder:PATH)"
            raise refused(self, "collection", rule)
        if self.guide is not None and self.method != "latent":
            rule = f"left out for method {self.method}; it guides a latent search"
            raise refused(self, "guide", rule)
