"""Trains a tiny network of some kind: kinds.py WORKDIR KIND --hosts.count N ..."""

import sys
from dataclasses import replace
from pathlib import Path

import tiny
from reading import joined

from ce_jax import training


def main(workdir, kind, *words):
    joined(words)
    with tiny.quickly(tiny.EXACTLY):
        training.train(replace(tiny.EVERY_KIND[kind], steps=6), Path(workdir))


if __name__ == "__main__":
    main(*sys.argv[1:])
