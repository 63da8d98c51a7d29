"""What the programs share: reading an experiment, stopping well, failing in one line."""

import io
import logging
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import tyro

DONE, USAGE, SOME_FAILED, ALL_FAILED, STOPPED, INTERRUPTED = 0, 2, 3, 4, 75, 130
"""Exit codes: all done; wrong usage, nothing found, or a run that cannot go on (diverged, disk
full, out of memory); some images failed; all failed; stopped by a signal with everything saved
(EX_TEMPFAIL: schedulers take it as "run me again"); by a second one at once, as shells have it."""

# How JAX tells of a process that does not answer: over Ethernet, between GPUs, at a barrier.
_LOST = ("Gloo", "NCCL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED")

_LESS = "lower --batch-size, or in the file of a table the batch_size of its entries"

_FORGOTTEN_AFTER = 30 * 24 * 3600
"""Seconds that a compiled program is kept which nobody asks for."""

Config = TypeVar("Config")


def read_experiment(argv: Sequence[str], *kinds: type[Config]) -> tuple[Config, list[str]]:
    """The experiment file that `argv` names, and the overrides that follow it.

    Raises:
        ValueError: no file named, not found, or not an experiment of these kinds.
    """
    if not argv or argv[0].startswith("-"):
        raise ValueError(
            "name an experiment first, as in configs/smoke.py; --help behind it lists its fields"
        )
    path, overrides = Path(argv[0]), list(argv[1:])
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        known = sorted(str(file) for file in folder.glob("*.py"))
        hint = f"; there are {', '.join(known)}" if known else ""
        raise ValueError(f"no experiment {path}{hint}")
    try:
        experiment = runpy.run_path(str(path)).get("get_config", lambda: None)()
    except Exception as error:  # somebody's Python: anything can happen in it
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error
    if not isinstance(experiment, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{path} is not for this program: its get_config() must return {wanted}")
    return experiment, overrides


def override(default: Config, overrides: Sequence[str]) -> Config:
    """The experiment with `--field value` applied; tyro explains `--help` and every mistake."""
    return tyro.cli(
        type(default),
        default=default,
        args=overrides,
        prog=f"{Path(sys.argv[0]).name} {sys.argv[1]}",
        config=(tyro.conf.AvoidSubcommands,),
    )


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C or SIGTERM into a request: the loop asks, saves and leaves."""
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        caught.append(number)
        signal.signal(number, before[number])  # a second one takes effect at once
        os.write(2, b"\nstopping after this step; once more to stop at once\n")

    before: dict[int, Any] = {
        number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(caught)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(main: Callable[[list[str]], int], *, program: str | None = None) -> int:
    """Runs a command; what a user can mend becomes one line on standard error, not a traceback.

    Args:
        main: arguments -> exit code.
        program: what it is called; None: as its file.
    """
    # Read when NumPy is loaded, which is later. The matrices here are too small to share: with
    # threads, a decomposition of 64x64 took 20 times the processor time on busy cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _keep_compiled()
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path need not be text
    program = program or Path(sys.argv[0]).name
    try:
        return main(sys.argv[1:])
    except (ValueError, ArithmeticError, OSError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        if isinstance(error, OSError):
            _leave_others(USAGE)
        return USAGE
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        if "RESOURCE_EXHAUSTED" in reason:  # how JAX says that memory ran out
            print(f"{program}: {reason}; {_LESS}", file=sys.stderr)
            _leave_others(USAGE)
            return USAGE
        if _has_others() and any(word in reason for word in _LOST):
            print(
                f"{program}: another process is lost ({reason}); start all of them again, and "
                "they continue from the newest checkpoint",
                file=sys.stderr,
            )
            _leave_others(STOPPED)
        raise
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _keep_compiled() -> None:
    """The next start finds what XLA has compiled in this one, where that can be written.

    In JAX_COMPILATION_CACHE_DIR, or else in the user's cache, from which goes what nobody has asked
    for in a long time; JAX reads the variable when it is loaded.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(caches, "ce_jax", "xla").expanduser()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what is in it is run
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # a home that is full, read-only, somebody else's, or nowhere
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    for program in folder.iterdir():
        with suppress(OSError):  # another process may be at it, too
            if time.time() - program.stat().st_atime > _FORGOTTEN_AFTER:
                program.unlink()


def _leave_others(code: int) -> None:
    """Ends this process if it is one of many, whom it would wait for on its way out.

    They notice, and end too.
    """
    if _has_others():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _has_others() -> bool:
    """Whether there are other processes that this one has joined and not left."""
    import jax

    return jax.distributed.is_initialized()
