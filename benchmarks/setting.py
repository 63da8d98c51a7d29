"""The size of the work; the defaults are the published networks."""

from dataclasses import dataclass, replace
from typing import Literal

from ce_jax.config import Adam, ContextEncoder, Data, Dcgan, Frame, LatentEncoder, Training

_LARGEST = 128


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is as large as the user says.

    Attributes:
        size: side of the images of the DCGAN, in pixels; those of the context encoder have twice as
            much where it takes them.
        width: channels of the layers next to the image.
        batch_size: images in a step.
        steps: in a call: as in a real run, the device does them without waiting for the host.
        precision: what networks compute in.
    """

    size: int = 64
    width: int = 64
    batch_size: int = 64
    steps: int = 5
    precision: Literal["float32", "bfloat16"] = "float32"

    @property
    def model(self) -> Dcgan:
        """The networks of a training step and of a search."""
        return Dcgan(width=self.width)

    @property
    def dcgan(self) -> Training:
        """The run that the DCGAN's training step is one step of."""
        return self._run(self.model, self.size)

    @property
    def guesser(self) -> LatentEncoder:
        """The encoder that a fast search begins with."""
        return LatentEncoder(dcgan=self.model, width=self.width)

    @property
    def context_encoder(self) -> Training:
        """The run of configs/context_encoder_center128.py, for other sizes in proportion."""
        model = ContextEncoder(width=self.width, bottleneck=4000 * self.width // 64)
        run = self._run(model, min(2 * self.size, _LARGEST))
        return replace(run, generator=Adam(rate=2e-3), critic=Adam(rate=2e-4))

    def _run(self, model: Dcgan | ContextEncoder, size: int) -> Training:
        return Training(
            model=model,
            data=Data(frame=Frame(size=size)),
            batch_size=self.batch_size,
            precision=self.precision,
        )
