"""The networks: one dataclass for each system, and what of it can be chosen."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from ce_jax.config.data import ALEXNET_SIZE, L2_GAN_SIZES, SIZES
from ce_jax.config.rules import COLOUR, POSITIVE, SHARE, Part, Rule, at_least, refused, require_only

HOLES = Rule("at least one hole kind", bool)


@dataclass(frozen=True, kw_only=True)
class Dcgan(Part, called="model"):
    """The generator and critic of Radford et al. 2016 as Yeh et al. 2017 use them."""

    sizes: ClassVar[tuple[int, ...]] = SIZES
    """Sides of the images that it takes, in pixels."""
    width: Annotated[int, at_least(1)] = 64
    """Channels of the layer next to the image; each layer inwards has twice as many (512 at 4x4 for 64x64 images)."""
    latent: Annotated[int, at_least(1)] = 100
    """Dimensions of z."""
    prior: Literal["uniform", "normal"] = "uniform"
    """What z is drawn from: uniform in [-1, 1] (the paper), or standard normal (Torch, PyTorch)."""
    kernel: Literal[4, 5] = 4
    """Side of the kernels: 4 (Torch, PyTorch), or 5, padded as TensorFlow's SAME (Theano, TensorFlow)."""
    head: Literal["logit", "softmax"] = "logit"
    """How the critic ends: in one logit, or in a softmax over two classes, as in Yeh et al. 2016."""
    generator_steps: Annotated[int, at_least(1)] = 1
    """Steps of the generator for each of the critic, on the same z: 1 (the paper), 2 (TensorFlow)."""
    augmentation: Annotated[
        tuple[Literal["colour", "translation", "cutout"], ...],
        Rule("of colour, translation and cutout", {"colour", "translation", "cutout"}.issuperset),
    ] = ()
    """How all images are varied at random before the critic sees them, so that it cannot learn a small collection by heart (Zhao et al. 2020). The paper does not."""


@dataclass(frozen=True, kw_only=True)
class Vae(Part, called="model"):
    """The variational autoencoder of Kingma & Welling 2014 between a DCGAN's critic and generator."""

    sizes: ClassVar[tuple[int, ...]] = SIZES
    """Sides of the images that it takes, in pixels."""
    width: Annotated[int, at_least(1)] = 64
    """Channels of the layers next to the image; each layer inwards has twice as many."""
    latent: Annotated[int, at_least(1)] = 100
    """Dimensions of z, standard normal."""
    kernel: Literal[4, 5] = 4
    """Side of the kernels."""
    beta: Annotated[float, at_least(0)] = 1.0
    """Weight of the divergence of q(z | x) from p(z) in the loss; 1 for the bound of the paper."""
    scale: Annotated[float, POSITIVE] = 0.25
    """Standard deviation of a pixel around what the decoder says of it, in [-1, 1]."""
    learn_scale: bool = True
    """Learn that deviation, beginning with `scale`, rather than keep it."""


@dataclass(frozen=True, kw_only=True)
class LatentEncoder(Part, called="model"):
    """A network that guesses z from the known pixels, so that a latent search begins near its end; the DCGAN of another run stays as it is."""

    sizes: ClassVar[tuple[int, ...]] = SIZES
    """Sides of the images that it takes, in pixels."""
    run: str = "runs/dcgan"
    """The DCGAN, as --model names one for inpaint.py; read when training begins, and not needed any more from then on, nor with --start-from, which has one along."""
    dcgan: Dcgan = Dcgan()
    """What was trained there."""
    width: Annotated[int, at_least(1)] = 64
    """Channels of the layer next to the image; each layer inwards has twice as many."""
    maps: bool = False
    """Guesses also what to add to the innermost maps of the generator, which can express what no z does."""
    holes: Annotated[tuple[str, ...], HOLES] = ("center", "pattern", "random:0.8", "half")
    """Hole kinds to train with, as for a context encoder."""
    photographs: Annotated[float, SHARE] = 0.5
    """Share of the pictures to learn from that are photographs; the others are drawn by the generator."""
    hole_weight: Annotated[float, POSITIVE] = 2.0
    """How much more an error in the hole counts than one in the known pixels."""
    latent_weight: Annotated[float, at_least(0)] = 0.1
    """Weight of the mean square by which z is missed, where it is known."""


@dataclass(frozen=True, kw_only=True)
class ContextEncoder(Part, called="model"):
    """The encoder-decoder of Pathak et al. 2016 and its patch critic, with their joint loss (eq. 3)."""

    encoder: Literal["convolutions", "alexnet", "alexnet-pool-free"] = "convolutions"
    """convolutions: of kernel 4 and stride 2; alexnet: up to pool5, for 227-pixel images, as the paper learns features; alexnet-pool-free: with a convolution in the place of each pooling (finer inpainting)."""
    width: Annotated[int, at_least(1)] = 64
    """Channels of the first convolution (AlexNet has 96)."""
    convolutions: Annotated[int | None, at_least(2)] = None
    """Layers of the encoder, each of which halves the image; None: down to 4x4."""
    bottleneck: Annotated[
        int | Literal["channel-wise"],
        Rule("at least 1, or channel-wise", lambda units: units == "channel-wise" or units >= 1),
    ] = 4000
    """Units between encoder and decoder that see all features; channel-wise: a layer that connects all places of each feature map, and no map with another."""
    skips: bool = False
    """Shows the decoder what each layer of the encoder made of the image, beside what comes through the bottleneck. The papers do not; it takes model.predicts image."""
    residual: bool = False
    """Shows the network the hole filled smoothly from around, and lets it say only what is to be added to that. The papers do not; it takes model.predicts image."""
    fill: Annotated[tuple[int, int, int], COLOUR] = (117, 104, 123)
    """8-bit RGB that the hole is painted with otherwise. The default is that of the authors' code, which holds the mean colour of ImageNet, (123, 117, 104), in another order."""
    hole_channel: bool = False
    """Shows the hole to the network as a fourth channel. The papers do not."""
    predicts: Literal["center", "image"] = "center"
    """`center`: the middle square of half the side, as published; `image`: the whole image, for holes anywhere."""
    holes: Annotated[tuple[str, ...], HOLES] = ("center",)
    """Hole kinds to train with: center, block, block:FROM-TO, blocks, random:SHARE, pattern, half, quarter, free-form:FROM-TO."""
    sharing: Literal["chance", "equal", "on-demand"] = "chance"
    """How the kinds share a batch: by chance for each image; in equal parts; or, after every epoch, in parts that go with 1 / PSNR of each on `data.validation`, so that the harder ones get more."""
    reconstructs: Literal["hole", "image"] = "hole"
    """Where errors count: in the hole and its overlap (the paper), or everywhere, with a critic that judges the raw prediction (the authors' code for holes anywhere)."""
    error: Literal["square", "logarithm"] = "square"
    """How an image counts that has been missed: by its mean square (the paper), or by the logarithm of that, which is its PSNR, so that holes that are hard to fill do not count for nearly everything."""
    overlap: Annotated[int, at_least(0)] = 4
    """Width in pixels of the band of known pixels around the hole that is predicted as well."""
    overlap_weight: Annotated[float, POSITIVE] = 10.0
    """How much more an error in that band counts."""
    adversarial: Annotated[float, SHARE] = 0.001
    """Weight of the adversarial loss (lambda_adv); the reconstruction gets the rest (lambda_rec = 0.999). 0: no critic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predicts == "center":
            of = "for a network that predicts the centre"
            kind = f"{of} (or set model.predicts to image)"
            require_only(self, "model.holes", ("center",), kind)
            require_only(self, "model.sharing", "chance", f"{of}, which has one kind of hole")
            require_only(self, "model.skips", False, f"{of}, of which it is shown nothing")
            require_only(self, "model.residual", False, f"{of}, of which it is shown nothing")
        if self.alexnet:
            self._require_an_alexnet()

    @property
    def alexnet(self) -> bool:
        """Whether the encoder is an AlexNet, with pooling or without."""
        return self.encoder.startswith("alexnet")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides of the images that it takes, in pixels."""
        return (ALEXNET_SIZE,) if self.alexnet else SIZES

    def _require_an_alexnet(self) -> None:
        of = f"for model.encoder {self.encoder}"
        if self.width % 6:
            parts = "which has it 8/3 and 4 times, and in halves (96 as published)"
            raise refused(self, "model.width", f"a multiple of 6 {of}, {parts}")
        none = f"{of}, with which no adversarial loss converged (Pathak et al. 2016)"
        require_only(self, "model.convolutions", None, f"{of}, which has its own")
        require_only(self, "model.skips", False, of)
        require_only(self, "model.residual", False, of)
        require_only(self, "model.bottleneck", "channel-wise", of)
        require_only(self, "model.adversarial", 0, none)


@dataclass(frozen=True, kw_only=True)
class L2Gan(Part, called="model"):
    """The L2-GAN of Salem et al.: an encoder-decoder recovers a square at one place by L2; then it stays as it is, and a refiner plays against a critic with the joint loss (eq. 6)."""

    sizes: ClassVar[tuple[int, ...]] = L2_GAN_SIZES
    """Sides of the images that it takes, in pixels."""
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "top-left"
    """The quarter of the image in whose middle the square is missing."""
    recovery_steps: Annotated[int, at_least(1)] = 30_000
    """The first so many of the run's steps train the encoder-decoder, the others refiner and critic."""
    width: Annotated[int, at_least(1)] = 64
    """Channels of the layers next to the image, in all three networks."""
    bottleneck: Annotated[int, at_least(1)] = 4000
    """Units between encoder and decoder that see all features."""
    fill: Annotated[tuple[int, int, int], COLOUR] = (117, 104, 123)
    """8-bit RGB that the hole is painted with, as in the context encoder."""
    adversarial: Annotated[float, Rule("in (0, 1]", lambda weight: 0 < weight <= 1)] = 0.01
    """Weight of the adversarial loss (mu_adv); the reconstruction gets the rest (mu_rec)."""


Model = Dcgan | Vae | LatentEncoder | ContextEncoder | L2Gan
