"""Trains a network: python train.py configs/NAME.py --workdir DIR [--field value ...]."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from ce_jax import commands
from ce_jax.config import Hosts, Training


@dataclass(frozen=True)
class Train:
    """Trains the network of an experiment; run the same command again to continue a stopped run."""

    workdir: str
    """Folder for the checkpoints, scalars and pictures of this run; gs:// and s3:// too."""
    experiment: Annotated[Training, tyro.conf.arg(name="")]
    hosts: Hosts


def main(arguments: list[str]) -> int:
    """Reads the experiment, trains, and says where the result is."""
    experiment, overrides = commands.read_experiment(arguments, Training)
    command = commands.override(Train(tyro.MISSING, experiment, Hosts()), overrides)
    from ce_jax import hosts
    from ce_jax.training import train

    hosts.join(command.hosts)
    with commands.interruptible() as stopped:
        step = train(command.experiment, command.workdir, stopped=stopped)
    done = step >= command.experiment.steps
    if hosts.is_first():
        print(
            f"step {step} of {command.experiment.steps}, saved in {command.workdir}"
            + ("" if done else "; the same command continues")
        )
    return commands.DONE if done else commands.STOPPED


if __name__ == "__main__":
    sys.exit(commands.run(main))
