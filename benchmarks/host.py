"""The work of the host: blending, reading, and whole folders from files to files.

Each kind needs libraries of its own; where one is missing, its works are skipped and say so.
"""

import importlib
from collections.abc import Callable, Iterator

from benchmarks.work import Skipped, Work, why

_KINDS = {
    "seams": (("Poisson blending",), {"count": 8}),
    "loading": (
        ("input pipeline, first epoch", "input pipeline, later epoch"),
        {"files": 1000, "batch_size": 64},
    ),
    "folders": (
        ("a folder inpainted",),
        {"files": 128, "width": 16, "steps": 30, "batch_size": 64},
    ),
}
"""By the module that makes them: names of works, and how much of it takes minutes on two cores."""


def works(*, wanted: Callable[[str], bool], begin: Callable[[], None]) -> Iterator[Work | Skipped]:
    """What the host does, each work built when its turn has come.

    What a work needs (files, processes) is there until the next one is asked for.

    Args:
        wanted: whether to do works of this name.
        begin: raises OutOfTime if no more are to be begun.
    """
    for module, (names, options) in _KINDS.items():
        if not (asked := list(filter(wanted, names))):
            continue
        try:
            begin()
            yield from importlib.import_module(f"benchmarks.{module}").works(**options)
        except Exception as error:  # a library that is not there, or one that fails
            for name in asked:
                yield Skipped(name=name, setting="", reason=why(error))
