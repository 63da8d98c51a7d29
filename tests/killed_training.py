"""One training, killed with kill -9 again and again: killed_training.py FOLDER SEED DEATHS.

Each life ends at a moment that is drawn: so many steps further on and a little later, or, now and
then, before the first step. What was saved before a death must be there after it, and the whole
run must be the one that nobody interrupted.
"""

import os
import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
import tiny
from processes import end_of, forked, scalars

from ce_jax.runs import checkpointing, workdirs
from ce_jax.training import train

STEPS = 60
CONFIG = tiny.dcgan(steps=STEPS, checkpoint_every=3, picture_every=10, keep_last=STEPS)


def run(workdir):
    """Starts the run, or what is left of it; its process id."""

    def work():
        with tiny.quickly():
            train(CONFIG, workdir)

    return forked(work)


def lines(workdir):
    path = workdir / "scalars.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def wait_for(process, workdir, step):
    while lines(workdir) < step:
        assert os.waitpid(process, os.WNOHANG) == (0, 0), "it ended by itself"
        time.sleep(0.01)


def main(folder, seed, deaths):
    folder, random = Path(folder), np.random.default_rng(int(seed))
    os.makedirs(folder, exist_ok=True)
    assert end_of(run(folder / "whole")) == 0
    workdir = folder / "killed"
    for step in np.sort(random.choice(np.arange(1, STEPS - 1), int(deaths), replace=False)):
        process = run(workdir)
        if step % 4:
            wait_for(process, workdir, step)
            time.sleep(random.uniform(0, 0.3))
        else:
            time.sleep(random.uniform(0, 3))
        acknowledged = workdirs.saved_steps(workdir)
        os.kill(process, signal.SIGKILL)
        assert end_of(process) == -signal.SIGKILL
        saved = workdirs.saved_steps(workdir)
        assert set(acknowledged) <= set(saved)
        print(step, saved[-1:], flush=True)
    assert end_of(run(workdir)) == 0
    assert scalars(workdir) == scalars(folder / "whole")
    assert len(scalars(workdir)) == STEPS
    saved = workdirs.saved_steps(workdir)
    assert saved == workdirs.saved_steps(folder / "whole") == [*range(3, STEPS + 1, 3)]
    ours, theirs = (checkpointing.load(where) for where in (workdir, folder / "whole"))
    jax.tree.map(
        np.testing.assert_array_equal,
        (ours.generator, ours.critic),
        (theirs.generator, theirs.critic),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
