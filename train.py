"""Trains a network: python train.py configs/NAME.py --workdir DIR [--field value ...]."""

import shlex
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
    profile: bool = False
    """Write a trace of a few steps into WORKDIR/profile, and print images/s, FLOP/s, and their share of what a matrix product reaches on these devices."""  # noqa: E501


def main(arguments: list[str]) -> int:
    """Reads the experiment, trains, and says where the result is."""
    experiment, overrides = commands.read_experiment(arguments, Training)
    command = commands.override(Train(tyro.MISSING, experiment, Hosts()), overrides)
    from ce_jax import hosts
    from ce_jax.runs.profiling import Profile
    from ce_jax.training import train

    hosts.join(command.hosts)
    looked = Profile(command.experiment, f"{command.workdir}/profile") if command.profile else None
    with commands.interruptible() as stopped:
        step = train(
            command.experiment,
            command.workdir,
            stopped=stopped,
            command=shlex.join(["python", *sys.argv]),
            watch=looked.watch if looked else lambda update: update,
        )
    done = step >= command.experiment.steps
    if looked:
        looked.close()
    if hosts.is_first():
        if looked:
            short = "too short a run to profile; more --steps, or less --steps-per-call"
            print(looked.report or short)
        print(
            f"step {step} of {command.experiment.steps}, saved in {command.workdir}"
            + ("" if done else "; the same command continues")
        )
    return commands.DONE if done else commands.STOPPED


if __name__ == "__main__":
    sys.exit(commands.run(main))
