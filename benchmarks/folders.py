"""A whole folder inpainted, from files to files: what inpaint.py does, beside a plain loop.

Nothing of the kind exists in PyTorch. The loop is what one would write: decode a batch, search for
it (on a GPU compiled and captured), blend image by image, save. It writes the completions and no
more; ours writes a manifest with figures of every image, a report, and what it takes to go on after
a kill, all of it in the time.
"""

import contextlib
import dataclasses
import functools
import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from unittest import mock

import jax
import numpy as np
import torch
from PIL import Image

from benchmarks import ours, photographs, pytorch, searching, solvers, theirs
from benchmarks.pytorch.networks import frozen
from benchmarks.pytorch.running import Mode
from benchmarks.setting import Setting
from benchmarks.work import Side, Work
from ce_jax import batch, sharding
from ce_jax.completion import Complete
from ce_jax.completion.slots import Slots
from ce_jax.completion.space import Networks
from ce_jax.config import Inpainting, LatentSearch
from ce_jax.images import to_float, to_uint8
from ce_jax.inpainting import loop
from ce_jax.runs import checkpointing, loading, workdirs
from ce_jax.state import Game, Trained

_SIZE, _MISSING = 64, 0.8


def works(*, files: int, width: int, steps: int, batch_size: int) -> Iterator[Work]:
    """A latent search and a blend for every file of a folder, in the same untrained networks.

    Args:
        files: photographs in the folder.
        width: of the DCGAN.
        steps: of the search.
        batch_size: images in a batch.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        photographs.write(place / "images", files, height=_SIZE, width=_SIZE, suffix=".png")
        setting = Setting(size=_SIZE, width=width, batch_size=batch_size)
        game = ours.start(setting.dcgan)
        workdirs.claim(place / "model", setting.dcgan)
        with checkpointing.Checkpoints(place / "model") as checkpoints:
            checkpoints.save(0, game)
        config = Inpainting(
            images=f"folder:{place / 'images'}",
            holes=f"random:{_MISSING}",
            model=str(place / "model"),
            latent=LatentSearch(steps=steps),
            batch_size=batch_size,
        )
        yield Work(
            name="a folder inpainted",
            setting=f"{files} PNG {_SIZE}x{_SIZE}, width {width}, {steps} steps, random:{_MISSING}"
            "; PyTorch by a plain loop",
            images=files,
            sides={
                "JAX": Side(call=_Ours(config, place / "ours").complete),
                "PyTorch": Side(call=_Theirs(config, setting, game, place / "theirs").complete),
            },
        )


class _Ours:
    """What inpaint.py does, in this process, into a new folder each time; compiled once.

    The networks are loaded once, too: the other side has them from the beginning.
    """

    def __init__(self, config: Inpainting, output: Path) -> None:
        self._config, self._output, self._calls = config, output, itertools.count()

    @functools.cached_property
    def _trained(self) -> Trained:
        return checkpointing.load(cast(str, self._config.model))

    @functools.cached_property
    def _method(self) -> Complete | Slots:
        return loop.build(self._config, self._trained, sharding.make_mesh(jax.local_devices()))

    def complete(self) -> int:
        """All images; how many."""
        trained, method = self._trained, self._method
        output = self._output / str(next(self._calls))
        config = dataclasses.replace(self._config, output=str(output))
        with (
            contextlib.redirect_stderr(io.StringIO()),
            mock.patch.object(loading, "networks_of", lambda _: trained),
            mock.patch.object(loop, "build", lambda *_, **__: method),
        ):
            return batch.inpaint(config).done


class _Theirs:
    """The plain loop."""

    def __init__(self, config: Inpainting, setting: Setting, game: Game, output: Path) -> None:
        assert game.critic is not None
        networks = Networks(game.generator.variables, game.critic.variables)
        self._generator = frozen(theirs.generator_twin(networks.generator, setting))
        mode = Mode(compiled=torch.cuda.is_available())
        self._search = searching.their_search(setting, networks, mode=mode)
        self._config, self._latent, self._output = config, setting.model.latent, output
        self._calls = itertools.count()

    def complete(self) -> int:
        """All images; how many."""
        output = self._output / str(next(self._calls))
        output.mkdir(parents=True)
        paths = sorted(Path(self._config.images.removeprefix("folder:")).iterdir())
        random = np.random.default_rng(self._config.seed)
        for first in range(0, len(paths), self._config.batch_size):
            group = paths[first : first + self._config.batch_size]
            known = to_float(np.stack([_decoded(path) for path in group]))
            hole = random.random(known.shape[:3]) < _MISSING
            proposals = self._proposals(known, hole).astype(np.float64)
            images = zip(group, known.astype(np.float64), proposals, hole, strict=True)
            for path, image, proposal, missing in images:
                blended = solvers.sparse(image, proposal, missing)
                Image.fromarray(to_uint8(blended)).save(output / path.name)
        return len(paths)

    def _proposals(self, known: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """What the generator proposes, [b, h, w, 3]; a batch that is not full is filled up."""
        count, device = self._config.batch_size, pytorch.device()
        rows = np.arange(count) % len(known)
        self._search.turn_to(
            torch.from_numpy(known[rows]).to(device),
            torch.from_numpy(hole[rows, ..., np.newaxis]).to(device),
            torch.empty(count, self._latent, device=device).uniform_(-1, 1),
        )
        z = self._search.descend(self._config.latent.steps)
        with torch.inference_mode():
            return self._generator(z)[: len(known)].permute(0, 2, 3, 1).cpu().numpy()


def _decoded(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))
