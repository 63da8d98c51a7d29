"""One training run."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ce_jax.config.data import Data
from ce_jax.config.models import ContextEncoder, L2Gan, LatentEncoder, Model, Vae
from ce_jax.config.rules import BELOW_1, POSITIVE, SEED, Part, among, at_least, nearest, refused


@dataclass(frozen=True, kw_only=True)
class Adam(Part):
    """Kingma & Ba's optimiser with the constants of the DCGAN paper."""

    rate: Annotated[float, POSITIVE] = 2e-4
    """Learning rate."""
    beta1: Annotated[float, BELOW_1] = 0.5
    """Decay of the mean of the gradient."""
    beta2: Annotated[float, BELOW_1] = 0.999
    """Decay of the mean of its square."""
    schedule: Literal["constant", "cosine"] = "constant"
    """`cosine`: from `rate` down to 0 over all steps of the run."""
    l2: Annotated[float, at_least(0)] = 0.0
    """What of every weight is added to its gradient, before the means (the L2 penalty of Theano and Torch)."""


@dataclass(frozen=True, kw_only=True)
class Sharding(Part, called="sharding"):
    """How the steps of a run are compiled for many devices; the numbers do not depend on it."""

    mode: Literal["jit", "pmap"] = "jit"
    """jit: one program over global arrays, which XLA shares out; pmap: one program for each device, which names what it averages over the others."""


@dataclass(frozen=True, kw_only=True)
class Training(Part):
    """One training run: which network, on which images, for how long."""

    model: Model
    data: Data = Data()
    generator: Adam = Adam()
    """Optimiser of the generator (the encoder-decoder)."""
    critic: Adam = Adam()
    """Optimiser of the critic (the papers' discriminator)."""
    average: Annotated[float, BELOW_1] = 0.0
    """Decay of the running average of the generator's weights, which is then used for pictures and completions; 0: none."""
    steps: Annotated[int, at_least(1)] = 10_000
    """Length of the run in optimisation steps."""
    batch_size: Annotated[int, at_least(1)] = 64
    """Images per step, over all devices together."""
    microbatches: Annotated[int, at_least(1)] = 1
    """Equal parts in which the networks see a batch, for one that is too large for the devices: the gradients of all parts make one step. BatchNorm normalises each part by itself, and remembers the mean of their statistics. Costs one more forward pass."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """What convolutions and matrix products multiply in; weights, BatchNorm statistics, losses and optimisers are float32, as is everything that looks at a network: pictures, validation, completions."""
    sharding: Sharding = Sharding()
    start_from: str | None = None
    """Networks that the run begins with and trains further, as --model names them for inpaint.py: a run, a file, or one that comes with the package; their layers must be those of this config. Read when training begins, and not needed any more from then on. None: random weights."""
    seed: Annotated[int, SEED] = 0
    """Seed of the weights, of the order of the images, and of everything drawn on the way."""
    steps_per_call: Annotated[int, at_least(1)] = 5
    """Steps that the device does between two words with the host, and that a signal to stop waits for."""
    log_every: Annotated[int, at_least(1)] = 20
    """Steps between two lines of scalars."""
    picture_every: Annotated[int, at_least(1)] = 500
    """Steps between two picture grids."""
    checkpoint_every: Annotated[int, at_least(1)] = 500
    """Steps between two checkpoints."""
    keep_last: Annotated[int, at_least(1)] = 3
    """How many of the newest checkpoints are kept; from 2 on, there is one to fall back on."""
    keep_every: Annotated[int | None, at_least(1)] = None
    """Keep besides, for good, the checkpoints of steps that this divides; None: none of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size % self.microbatches:
            whole = nearest(self.batch_size, self.microbatches)
            rule = f"a multiple of microbatches ({self.microbatches}), as {whole}"
            raise refused(self, "batch_size", rule)
        fitting = among(*self.model.sizes)
        if not fitting.holds(self.data.frame.size):
            rule = f"{fitting.name} for this {type(self.model).__name__}"
            raise refused(self.data.frame, "data.frame.size", rule)
        if isinstance(self.model, Vae | LatentEncoder) and self.critic != Adam():
            kind = type(self.model).__name__
            raise refused(self, "critic", f"left as it is for a {kind}, which has none to train")
        if isinstance(self.model, L2Gan) and self.model.recovery_steps >= self.steps:
            rule = f"less than steps ({self.steps}), or nothing is left to refine in"
            raise refused(self.model, "model.recovery_steps", rule)
        if isinstance(self.model, ContextEncoder):
            self._require_that_fits(self.model)

    def _require_that_fits(self, model: ContextEncoder) -> None:
        size, halvings = self.data.frame.size, model.convolutions
        if halvings is not None and not size >> halvings << halvings == size > 0:
            rule = f"few enough to halve {size} pixels in whole numbers"
            raise refused(model, "model.convolutions", rule)
        if model.sharing != "chance" and self.batch_size < len(model.holes):
            rule = f"at least the {len(model.holes)} kinds of model.holes that share it"
            raise refused(self, "batch_size", rule)
        room = (size // 2 - 1) // 2
        if model.predicts == "center" and model.overlap > room:
            rule = f"at most {room} for {size}-pixel images, or no hole is left"
            raise refused(model, "model.overlap", rule)
