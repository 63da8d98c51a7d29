"""Writes the report of a training run anew: python report.py WORKDIR."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from ce_jax import commands


@dataclass(frozen=True)
class Report:
    """Writes WORKDIR/report.html from what lies there: of a run that goes on, or has ended."""

    workdir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WORKDIR")]
    """The work directory of a training run."""


def main(arguments: list[str]) -> int:
    """Reads the work directory, and says where the report is."""
    options = tyro.cli(Report, args=arguments, prog="report.py")
    from ce_jax.runs import run_report

    print(run_report.write(options.workdir))
    return commands.DONE


if __name__ == "__main__":
    sys.exit(commands.run(main))
