"""Inpaintings in processes that are killed with kill -9: python killed.py SOURCE HOLE FOLDER HOW.

HOW is a list of numbers. A whole number is a moment counted in steps towards the disk: the process
kills itself there, and the next one goes on in the same folder. A fraction is a share of the time
that an uninterrupted run takes: it is killed from outside, and the folder is then completed. After
each death, everything visible must be what the uninterrupted run has made.
"""

import os
import signal
import sys
import time
from pathlib import Path

from folders import laplace
from processes import end_of, forked

from ce_jax.batch import inpaint

STEPS = ("fsync", "replace", "truncate")


def run(config, *, moment=None):
    """Starts an inpainting, which dies at a moment; its process id."""

    def work():
        if moment is not None:
            die_at(moment)
        inpaint(config)

    return forked(work)


def die_at(moment):
    taken = []

    def counted(step):
        def take(*arguments):
            taken.append(step)
            if len(taken) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*arguments)

        return take

    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def visible(output):
    """Whatever somebody else may take for a result."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in output.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.name != "manifest.jsonl"
    }


def check(config, whole):
    found = visible(Path(config.output))
    partial = [name for name in found if found[name] != whole[name]]
    assert not partial, partial


def main(source, hole, folder, *moments):
    settings = {"holes": hole, "report_rows": 4, "report_worst": 0}
    begun = time.monotonic()
    uninterrupted = laplace(source, Path(folder, "whole"), **settings)
    assert end_of(run(uninterrupted)) == 0
    duration = time.monotonic() - begun
    whole = visible(Path(folder, "whole"))
    config, deaths = laplace(source, Path(folder, "killed"), **settings), 0
    for number, moment in enumerate(moments):
        if "." in moment:
            config = laplace(source, Path(folder, f"killed{number}"), **settings)
            process = run(config)
            time.sleep(float(moment) * duration)
            os.kill(process, signal.SIGKILL)
        else:
            process = run(config, moment=int(moment))
        deaths += end_of(process) == -signal.SIGKILL
        check(config, whole)
        if "." in moment:
            assert end_of(run(config)) == 0
            assert visible(Path(config.output)) == whole
    assert end_of(run(config)) == 0
    assert visible(Path(config.output)) == whole
    print(deaths, len(whole))


if __name__ == "__main__":
    main(*sys.argv[1:])
