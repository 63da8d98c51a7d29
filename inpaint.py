"""Completes images: python inpaint.py configs/NAME.py --images SOURCE --holes HOLES ..."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from ce_jax import commands
from ce_jax.config import Frame, Hosts, Inpainting, Table


@dataclass(frozen=True)
class Inpaint:
    """Completes images; run the same command again to continue a stopped one."""

    experiment: Annotated[Inpainting, tyro.conf.arg(name="")]
    hosts: Hosts


@dataclass(frozen=True)
class Tabulate:
    """Completes the images of every cell of a table; the same command continues a stopped one."""

    experiment: Annotated[Table, tyro.conf.arg(name="")]
    hosts: Hosts


def main(arguments: list[str]) -> int:
    """Reads the experiment, completes all images, and says where the report is."""
    experiment, overrides = commands.read_experiment(arguments, Inpainting, Table)
    if isinstance(experiment, Table):
        command = commands.override(Tabulate(experiment, Hosts()), overrides)
    else:
        command = with_frame_of_model(experiment, overrides)
    config = command.experiment
    from ce_jax import hosts
    from ce_jax.batch import inpaint
    from ce_jax.tables import tabulate

    if getattr(config, "shard", None) is None:  # who has a part needs nobody to get one
        hosts.join(command.hosts)
        hosts.leave()
    with commands.interruptible() as stopped:
        if isinstance(config, Table):
            outcome, refused = tabulate(config, stopped=stopped, tell=_tell)
        else:
            outcome, refused = inpaint(config, stopped=stopped, tell=_tell), 0
    report = Path(config.output, "report.html").expanduser()
    cells = f"; cells that could not begin: {refused}" if refused else ""
    print(
        f"{outcome.done} of {outcome.total} images completed, {outcome.failed} failed{cells}; "
        + (f"report: {report}" if report.is_file() else "no report before all shards are done")
    )
    if outcome.stopped:
        print("stopped early; the same command continues")
        return commands.STOPPED
    if outcome.failed or refused:
        return commands.SOME_FAILED if outcome.done else commands.ALL_FAILED
    return commands.DONE


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def with_frame_of_model(experiment: Inpainting, overrides: list[str]) -> Inpaint:
    """The experiment with its overrides; without a frame in either, the model's stays in force."""
    framed = replace(experiment, frame=experiment.frame or Frame())
    command = commands.override(Inpaint(framed, Hosts()), overrides)
    if experiment.frame is None and not any(word.startswith("--frame.") for word in overrides):
        # shown by --help, but left to the model
        command = replace(command, experiment=replace(command.experiment, frame=None))
    return command


if __name__ == "__main__":
    sys.exit(commands.run(main))
