"""One table: several inpaintings of the same images over the same holes, side by side."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from ce_jax.config.inpainting import Inpainting, Perceptual
from ce_jax.config.rules import LOCAL, Part, Rule, at_least, require

with suppress(ImportError):  # only the command line needs it
    from tyro.conf import Suppress


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What stands in a line of a table: a method, as it is used on one data set."""

    data: str
    """Name of the data set, as the table shows it."""
    method: str
    """Name of the method, as the table shows it."""
    inpainting: Inpainting
    """How it is run; of its fields the table says `holes`, `output`, `seed`, `perceptual`, `overwrite` and `report_*`."""


@dataclass(frozen=True, kw_only=True)
class Table(Part):
    """Methods on data sets over kinds of hole."""

    entries: Annotated[Suppress[tuple[Entry, ...]], Rule("at least one", bool)]
    """The lines, in order; written in the experiment's file alone."""
    title: str = "Comparison"
    """Heading of the report."""
    holes: Annotated[tuple[str, ...], Rule("at least one kind of hole", bool)] = ("center",)
    """Kinds of hole, each as --holes takes it."""
    data: str = "."
    """Folder that relative paths of images, truths and collections begin in."""
    models: str = "."
    """Folder that relative paths of models begin in."""
    output: Annotated[str, LOCAL] = "table"
    """Folder for table.json, table.csv, table.md, report.html, and the inpainting of each cell in cells/."""
    perceptual: Perceptual = Perceptual()
    """In every cell."""
    only_data: tuple[str, ...] = ()
    """Data sets to do now; none: all."""
    only_methods: tuple[str, ...] = ()
    """Methods to do now; none: all."""
    rows: Annotated[int, at_least(0)] = 4
    """Images of each data set, over each kind of hole, that the report shows as every method completed them, side by side; taken evenly from all."""
    worst: Annotated[int, at_least(0)] = 20
    """Images of each method that the report shows: those with the lowest PSNR over the hole."""
    seed: int = 0
    """Seed of holes and starts in every cell."""
    overwrite: bool = False
    """Replace cells that were made otherwise."""

    def __post_init__(self) -> None:
        super().__post_init__()
        lines = [(entry.data, entry.method) for entry in self.entries]
        twice = next((line for line in lines if lines.count(line) > 1), None)
        require(twice is None, "entries", twice, "different from each other in data or method")
        for field, wanted, known in (
            ("only_data", self.only_data, [data for data, _ in lines]),
            ("only_methods", self.only_methods, [method for _, method in lines]),
        ):
            names = ", ".join(dict.fromkeys(known))
            require(set(wanted) <= set(known), field, wanted, f"among {names}")
