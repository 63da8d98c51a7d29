"""Which of several processes this one is: no part of an experiment, and kept nowhere."""

from dataclasses import dataclass
from typing import Annotated

from ce_jax.config.rules import ConfigError, Part, at_least, refused


@dataclass(frozen=True, kw_only=True)
class Hosts(Part, called="hosts"):
    """The processes that work together; without a word, those of Slurm, Open MPI, Kubernetes or Cloud TPU."""

    coordinator: str | None = None
    """HOST:PORT where process 0 listens, in words that all of them understand."""
    count: Annotated[int | None, at_least(1)] = None
    """How many processes there are; 1 alone: this process works alone, whatever cluster it is in."""
    index: int | None = None
    """Which of them this one is, from 0."""
    timeout: Annotated[int, at_least(1)] = 300
    """Seconds to wait for all of them at the start."""
    heartbeat: Annotated[int, at_least(1)] = 100
    """Seconds without a sign of life after which a process counts as lost, and the others end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinator is not None:
            host, _, port = self.coordinator.rpartition(":")
            if not (host and port.isdecimal() and 0 < int(port) < 2**16):
                raise refused(self, "hosts.coordinator", "HOST:PORT, as in 10.0.0.1:8476")
        if self.count is not None and self.index not in (None, *range(self.count)):
            raise refused(self, "hosts.index", f"in [0, hosts.count), which is {self.count}")
        given = {"coordinator": self.coordinator, "count": self.count, "index": self.index}
        missing = [f"--hosts.{name}" for name, value in given.items() if value is None]
        if missing and len(missing) < len(given) and self.count != 1:
            raise ConfigError(
                "--hosts.coordinator, --hosts.count and --hosts.index belong together; "
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing."
            )
