"""Batch after batch: the devices work on one while the host finishes the one before it.

All batches have the same shape (the last is padded), and holes and starts are drawn from the seed
and the image's own name, so that a result does not depend on where in a run it was made.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax import completion, images
from ce_jax.completion import Candidates, Complete, Completion
from ce_jax.config import Inpainting
from ce_jax.finishing import Batch, Finished, Unserved
from ce_jax.hole_sets import HoleSet, image_keys
from ce_jax.pairing import Failure, Picture

# Another start may lead somewhere where one has led nowhere; a third failure is no accident.
_MOST_RESTARTS = 2


class Keeper(Protocol):
    """Who gets what becomes of the images."""

    def add(self, finished: Finished) -> None:
        """An image that is completed."""
        ...

    def fail(self, failure: Failure) -> None:
        """An image that has no completion."""
        ...

    def commit(self) -> None:
        """The end of a batch."""
        ...


class Loop:
    """Begins a batch on the devices, finishes the one before it on the host, and so on."""

    def __init__(
        self,
        config: Inpainting,
        begin: Callable[[list[Picture]], Batch],
        finish: Callable[[Batch], Iterator[Unserved | Finished]],
        keeper: Keeper,
    ) -> None:
        """Of one inpainting.

        Args:
            config: its batch size, candidates and method.
            begin: starts a batch on the devices.
            finish: waits for it.
            keeper: gets what has become of each image.
        """
        self.kept = 0
        self._batch_size, self._candidates = config.batch_size, config.candidates
        self._restarts = _MOST_RESTARTS if config.method in completion.DRAW_THEIR_START else 0
        self._begin, self._finish, self._keeper = begin, finish, keeper
        self._again: list[Picture] = []

    def run(self, groups: Iterator[list[Picture | Failure]], stopped: Callable[[], bool]) -> None:
        """All groups, and what has to be begun anew; or until it is stopped between two."""
        underway, reading = None, True
        while reading or underway is not None or self._again:
            group = next(groups, None) if reading and not self._is_full() else self._anew()
            reading = reading and group is not None
            begun = self._take(group or [])
            self._settle(underway)
            underway = begun
            if stopped():
                break
        self._settle(underway)
        # Those that wait to be begun anew have no line yet, and begin from the start next time.

    def _is_full(self) -> bool:
        return len(self._again) >= self._batch_size

    def _anew(self) -> list[Picture]:
        group, self._again = self._again[: self._batch_size], self._again[self._batch_size :]
        return group

    def _take(self, group: Sequence[Picture | Failure]) -> Batch | None:
        """Notes the failures of a group, and those without a hole; begins the others."""
        pictures, whole = [], []
        for one in group:
            if isinstance(one, Failure):
                self._fail(one)
            elif one.hole is not None and not one.hole.any():
                whole.append(one)
            else:
                pictures.append(one)
        begun = self._begin(pictures) if pictures else None
        self._settle(_nothing_to_do(whole, self._candidates) if whole else None)
        return begun

    def _settle(self, batch: Batch | None) -> None:
        """Keeps what a batch has become; what has not become anything is to be begun anew."""
        for one in () if batch is None else self._finish(batch):
            if isinstance(one, Finished):
                self._keeper.add(one)
                self.kept += 1
            elif one.picture.restarts < self._restarts:
                self._again.append(one.picture._replace(restarts=one.picture.restarts + 1))
            else:
                self._fail(Failure(one.picture.name, one.reason, one.picture.restarts))
        self._keeper.commit()

    def _fail(self, failure: Failure) -> None:
        self._keeper.fail(failure)
        self.kept += 1


def begin(
    config: Inpainting,
    holes: HoleSet | None,
    complete: Complete,
    size: int,
    pictures: list[Picture],
) -> Batch:
    """Starts a batch on the devices, padded to the full size with copies of its last picture.

    Args:
        config: the seed, and how many make a batch.
        holes: what to draw the holes from; None: the pictures have their own.
        complete: the method.
        size: side of the images, in pixels.
        pictures: at most as many as make a batch.
    """
    padded = pictures + [pictures[-1]] * (config.batch_size - len(pictures))
    names = [picture.name for picture in padded]
    if holes is not None:
        hole = holes.draw(names, size=size)
    else:
        hole = np.stack([picture.hole for picture in padded if picture.hole is not None])
    photographs = images.to_float(np.stack([picture.image for picture in padded]))
    start_key = start_keys(config.seed, names, [picture.restarts for picture in padded])
    begun = time.monotonic()
    completed = complete(jnp.asarray(photographs), jnp.asarray(hole), start_key)
    return Batch(pictures, hole[: len(pictures)], completed, begun)


def start_keys(seed: int, names: Sequence[str], restarts: Sequence[int]) -> jax.Array:
    """What a method draws its starts from, [b]: another key for each restart of an image."""
    _, key = jax.vmap(jax.random.split, out_axes=1)(image_keys(seed, names))
    anew = jax.vmap(jax.random.fold_in)(key, np.asarray(restarts, np.uint32))
    return jnp.where(np.asarray(restarts) > 0, anew, key)


def _nothing_to_do(pictures: list[Picture], candidates: int) -> Batch:
    """A batch of images that miss nothing: no method is asked."""
    photographs = images.to_float(np.stack([picture.image for picture in pictures]))
    hole = np.stack([picture.hole for picture in pictures if picture.hole is not None])
    none = np.zeros(len(pictures), np.int32)
    several = None
    if candidates > 1:
        each = np.repeat(photographs[:, np.newaxis], candidates, axis=1)
        zeros = np.zeros((len(pictures), candidates))
        several = Candidates(*map(jnp.asarray, (each, zeros, zeros.astype(int))))
    arrays = map(jnp.asarray, (photographs, photographs, none.astype(float), none))
    return Batch(pictures, hole, Completion(*arrays, candidates=several), time.monotonic())
