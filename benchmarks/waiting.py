"""How long the devices of an inpainting have nothing to do because the host is not ready.

    python -m benchmarks.waiting configs/latent_search_fast.py --model runs/latent-encoder \\
        --images folder:faces --holes center --output runs/waiting

Takes what inpaint.py takes and does the same. A batch begins when it is queued or when the one
before it is done, whichever is later; between a batch that is done and one that is not queued yet,
the devices wait. The start of the program, compilation with it, is not counted.
"""

import json
import sys
import threading
import time
from typing import Any
from unittest import mock

import jax

from ce_jax import commands
from ce_jax.batch import inpaint
from ce_jax.completion import Complete, Completion, methods
from ce_jax.config import Inpainting
from inpaint import with_frame_of_model


class Watch:
    """Notes when each batch was queued and when it was done."""

    def __init__(self) -> None:
        self.queued: list[float] = []
        self.done: dict[int, float] = {}
        self._waiting: list[threading.Thread] = []

    def around(self, complete: Complete) -> Complete:
        """The same method, watched."""

        def watched(images: jax.Array, hole: jax.Array, key: jax.Array) -> Completion:
            completion = complete(images, hole, key)
            self.queued.append(time.monotonic())
            arguments = len(self.queued) - 1, completion
            self._waiting.append(threading.Thread(target=self._wait, args=arguments))
            self._waiting[-1].start()
            return completion

        return watched

    def _wait(self, number: int, completion: object) -> None:
        jax.block_until_ready(completion)
        self.done[number] = time.monotonic()

    def figures(self) -> dict[str, float]:
        """Batches, seconds from the first queued to the last done, and seconds of waiting.

        Raises:
            ValueError: nothing was queued.
        """
        if not self.queued:
            raise ValueError("no batch was to be done; choose a new --output")
        for thread in self._waiting:
            thread.join()
        gaps = (after - self.done[n] for n, after in enumerate(self.queued[1:]))
        waited = sum(max(0.0, gap) for gap in gaps)
        whole = self.done[len(self.queued) - 1] - self.queued[0]
        return {
            "batches": len(self.queued),
            "seconds": whole,
            "waited": waited,
            "share": waited / whole,
        }


def main(arguments: list[str]) -> int:
    """Inpaints as inpaint.py does, and prints how long the devices have waited."""
    experiment, overrides = commands.read_experiment(arguments, Inpainting)
    config = with_frame_of_model(experiment, overrides).experiment
    if config.latent.patience:
        raise ValueError("slots have no batches to be watched; leave --latent.patience at 0")
    watch, build = Watch(), methods.build

    def watched(*given: Any, **options: Any) -> Complete:
        return watch.around(build(*given, **options))

    with mock.patch.object(methods, "build", watched):
        inpaint(config)
    print(json.dumps(watch.figures()))
    return commands.DONE


if __name__ == "__main__":
    sys.exit(commands.run(main))
