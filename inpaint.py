"""Completes images: python inpaint.py configs/NAME.py --images SOURCE --holes HOLES ..."""

import sys
from dataclasses import replace
from pathlib import Path

from ce_jax import commands
from ce_jax.config import Frame, Inpainting, Table


def main(arguments: list[str]) -> int:
    """Reads the experiment, completes all images, and says where the report is."""
    experiment, overrides = commands.read_experiment(arguments, Inpainting, Table)
    if isinstance(experiment, Table):
        config = commands.override(experiment, overrides)
        from ce_jax.tables import tabulate

        with commands.interruptible() as stopped:
            outcome = tabulate(config, stopped=stopped)
    else:
        config = _with_frame_of_model(experiment, overrides)
        from ce_jax.batch import inpaint

        with commands.interruptible() as stopped:
            outcome = inpaint(config, stopped=stopped, tell=_tell)
    report = Path(config.output, "report.html")
    print(
        f"{outcome.done} of {outcome.total} images completed, {outcome.failed} failed; "
        + (f"report: {report}" if report.is_file() else "no report before all shards are done")
    )
    if outcome.stopped:
        print("stopped early; the same command continues")
        return commands.STOPPED
    if outcome.failed:
        return commands.SOME_FAILED if outcome.done else commands.ALL_FAILED
    return commands.DONE


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _with_frame_of_model(experiment: Inpainting, overrides: list[str]) -> Inpainting:
    """The experiment with its overrides; without a frame in either, the model's stays in force."""
    config = commands.override(replace(experiment, frame=experiment.frame or Frame()), overrides)
    if experiment.frame is None and not any(word.startswith("--frame.") for word in overrides):
        config = replace(config, frame=None)  # shown by --help, but left to the model
    return config


if __name__ == "__main__":
    sys.exit(commands.run(main))
