"""Reads batches as a training does: reading.py OUT STEPS --hosts.count N ...

The first process writes the batches as all of them hold them together.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
import tiny
import tyro
from jax.experimental import multihost_utils
from test_data import Numbered

from ce_jax import data, hosts, sharding
from ce_jax.config import Data, Frame, Hosts


@dataclass(frozen=True)
class Reading:
    hosts: Hosts


def joined(words):
    """Takes the flags of both programs."""
    hosts.join(tyro.cli(Reading, args=list(words)).hosts)


def main(out, steps, *words):
    joined(words)
    frame = Frame(size=32, shorter_side=40)
    numbered = Data(source="numbered", frame=frame, crop="random", threads=2)
    config = replace(tiny.dcgan(), data=numbered)
    source = Numbered(44, broken=(5, 17))
    batches = data.training_batches(config, source, sharding.split(sharding.make_mesh()))
    read = [multihost_utils.process_allgather(next(batches), tiled=True) for _ in range(int(steps))]
    batches.close()
    if hosts.is_first():
        np.savez(out, batches=np.stack(read))


if __name__ == "__main__":
    main(*sys.argv[1:])
