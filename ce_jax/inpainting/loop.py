"""Batch after batch: the devices work on one while the host finishes the one before it.

All batches have the same shape (the last is padded), and holes and starts are drawn from the seed
and the image's own name, so that a result does not depend on where in a run it was made.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

from ce_jax import images
from ce_jax.completion import Candidates, Complete, Found, methods
from ce_jax.completion.slots import Slots
from ce_jax.config import Inpainting
from ce_jax.holes.hole_sets import HoleSet, image_keys
from ce_jax.inpainting.finishing import Batch, Finished, Unserved
from ce_jax.inpainting.pairing import Failure, Picture
from ce_jax.state import Trained

# Another start may lead somewhere where one has led nowhere; a third failure is no accident.
_MOST_RESTARTS = 2


Groups = Iterator[list[Picture]]
Work = Callable[[Groups], Iterator[Batch]]
"""Groups of at most as many pictures as make a batch -> the same pictures, in whatever order."""

Question = tuple[Array, Array, Array]
"""What a method is asked: images, holes and keys, padded to a whole batch."""

Ask = Callable[[Sequence[Picture]], tuple[np.ndarray, Question]]


@dataclass
class Loop:
    """Sees every image of a run through: to its completion, or to the reason why it has none.

    Attributes:
        config: the inpainting: its batch size, candidates and method.
        work: what the devices do.
        finish: blends and measures a batch.
        keep: gets what has become of each image.
        commit: called at the end of each batch.
    """

    config: Inpainting
    work: Work
    finish: Callable[[Batch], Iterator[Unserved | Finished]]
    keep: Callable[[Finished | Failure], None]
    commit: Callable[[], None] = lambda: None
    _kept: int = 0
    _again: list[Picture] = field(default_factory=list)

    def run(self, groups: Iterator[list[Picture | Failure]], stopped: Callable[[], bool]) -> int:
        """All groups, and what has to be begun anew; or until it is stopped between two.

        Those that wait to be begun anew then have no line yet, and begin from the start next time.
        Returns how many images something has become of.
        """
        reading = True
        while reading or self._again:
            for batch in self.work(self._pictures(groups, stopped)):
                self._settle(batch)
            reading = False
            if stopped():
                break
        return self._kept

    def _pictures(
        self, groups: Iterator[list[Picture | Failure]], stopped: Callable[[], bool]
    ) -> Groups:
        """Pictures with a hole; failures are noted on the way, and what misses nothing is kept."""
        while (group := self._anew() or next(groups, None)) is not None:
            pictures, whole = [], []
            for one in group:
                if isinstance(one, Failure):
                    self._keep(one)
                elif one.hole is not None and not one.hole.any():
                    whole.append(one)
                else:
                    pictures.append(one)
            if whole:
                self._settle(_nothing_to_do(whole, self.config.candidates))
            self.commit()  # the failures, which may be all there is
            if pictures:
                yield pictures
            if stopped():
                return
        rest, self._again = self._again, []
        if rest:
            yield rest

    def _anew(self) -> list[Picture]:
        """A whole batch of what has to be begun anew, if there are so many."""
        count = self.config.batch_size
        if len(self._again) < count:
            return []
        group, self._again = self._again[:count], self._again[count:]
        return group

    def _settle(self, batch: Batch) -> None:
        """Keeps what a batch has become; what has not become anything is to be begun anew."""
        most = _MOST_RESTARTS if draws_its_start(self.config) else 0
        for one in self.finish(batch):
            if isinstance(one, Finished):
                self._keep(one)
            elif one.picture.restarts < most:
                self._again.append(one.picture._replace(restarts=one.picture.restarts + 1))
            else:
                self._keep(Failure(one.picture.name, one.reason, one.picture.restarts))
        self.commit()

    def _keep(self, one: Finished | Failure) -> None:
        self.keep(one)
        self._kept += 1


def draws_its_start(config: Inpainting) -> bool:
    """Whether another key may find what one has not; other methods only repeat themselves."""
    return config.method == "latent" and config.latent.start in ("prior", "normal")


def build(
    config: Inpainting, trained: Trained | None, mesh: Mesh, *, holes: HoleSet | None = None
) -> Complete | Slots:
    """The method of a config, for whole batches or, if its images end on their own, in slots.

    The arguments are those of `completion.methods.build`.

    Raises:
        ConfigError, SourceError, FeatureFileError: as `completion.methods.build`.
    """
    if config.method == "latent" and config.latent.patience:
        return methods.build_slots(config, trained, mesh)
    return methods.build(config, trained, mesh, holes=holes)


def work_of(
    method: Complete | Slots, config: Inpainting, holes: HoleSet | None, *, size: int
) -> Work:
    """What the devices do in an inpainting.

    Args:
        method: as `build` gives it.
        config: the seed, and how many images there are at a time.
        holes: what to draw the holes from; None: the pictures have their own.
        size: side of the images, in pixels.
    """
    asking = partial(ask, config, holes, size)
    if isinstance(method, Slots):
        return partial(in_slots, method, ask=asking, count=config.batch_size)
    return partial(one_behind, method, ask=asking)


def one_behind(complete: Complete, groups: Groups, *, ask: Ask) -> Iterator[Batch]:
    """Every group is a batch, which is given back when the next one is on the devices."""
    underway, free = None, 0.0
    with ThreadPoolExecutor(1) as clock:
        for pictures in itertools.chain(groups, [None]):
            following = None
            if pictures is not None:
                (hole, asked), begun = ask(pictures), time.monotonic()
                found = Found(*complete(*asked)[1:])  # nobody asks the devices for the images
                batch = Batch(pictures, hole[: len(pictures)], found, 0.0)
                following = batch, begun, clock.submit(_ready, found)
            if underway is not None:
                batch, begun, ready = underway
                # The devices begin it when they are done with the one before.
                begun, free = max(begun, free), ready.result()
                yield batch._replace(seconds=free - begun)
            underway = following


def in_slots(slots: Slots, groups: Groups, *, ask: Ask, count: int) -> Iterator[Batch]:
    """Every image has a slot until its search has come to an end; what has ended is a batch.

    Slots are emptied and filled when half of them have ended, so that neither is done for a few.
    """
    waiting: deque[Picture] = deque()
    held: list[tuple[Picture, np.ndarray] | None] = [None] * count
    occupied, ended, seconds = None, None, 0.0
    with ThreadPoolExecutor(1) as clock:
        while True:
            free = [slot for slot in range(count) if held[slot] is None]
            while len(waiting) < len(free) and (group := next(groups, None)) is not None:
                waiting.extend(group)
            begun = time.monotonic()
            if entering := [waiting.popleft() for _ in free[: len(waiting)]]:
                (hole, asked), place = ask(entering), np.full(count, -1, np.int32)
                for number, (slot, picture) in enumerate(zip(free, entering, strict=False)):
                    place[slot] = number
                    held[slot] = picture, hole[number]
                fresh = slots.begin(*asked)
                occupied = (
                    fresh if occupied is None else slots.refill(occupied, fresh, jnp.asarray(place))
                )
            if occupied is None or not any(held):
                break
            occupied, going = slots.advance(occupied)
            ready = clock.submit(_ready, going)
            if ended is not None:  # while the devices go on
                yield _batch_of(*ended)
                ended = None
            seconds += ready.result() - begun
            going = np.asarray(going)
            done = [slot for slot in range(count) if held[slot] is not None and not going[slot]]
            if 2 * len(done) >= sum(one is not None for one in held):
                ended = slots.conclude(occupied), {slot: held[slot] for slot in done}, seconds
                seconds = 0.0
                for slot in done:
                    held[slot] = None
    if ended is not None:
        yield _batch_of(*ended)


def _ready(arrays: Any) -> float:
    """The time at which the devices are done with these."""
    jax.block_until_ready(arrays)
    return time.monotonic()


def _batch_of(
    found: Found, ended: Mapping[int, tuple[Picture, np.ndarray] | None], seconds: float
) -> Batch:
    """The images of the slots that have ended, with what was found for them."""
    slots = np.array(list(ended))
    found = jax.tree.map(lambda array: np.asarray(array)[slots], found)
    pictures, holes = zip(*filter(None, ended.values()), strict=True)
    return Batch(pictures, np.stack(holes), found, seconds)


def ask(
    config: Inpainting, holes: HoleSet | None, size: int, pictures: Sequence[Picture]
) -> tuple[np.ndarray, Question]:
    """What a method is asked about pictures, padded to a whole batch with copies of the last one.

    The holes come first once more, as the host keeps them.

    Args:
        config: the seed, and how many make a batch.
        holes: what to draw the holes from; None: the pictures have their own.
        size: side of the images, in pixels.
        pictures: at most as many as make a batch.
    """
    padded = [*pictures, *[pictures[-1]] * (config.batch_size - len(pictures))]
    names = [picture.name for picture in padded]
    if holes is not None:
        hole = holes.draw(names, size=size)
    else:
        hole = np.stack([picture.hole for picture in padded if picture.hole is not None])
    photographs = images.to_float(np.stack([picture.image for picture in padded]))
    key = start_keys(config.seed, names, [picture.restarts for picture in padded])
    return hole, (jnp.asarray(photographs), jnp.asarray(hole), key)


def start_keys(seed: int, names: Sequence[str], restarts: Sequence[int]) -> Array:
    """What a method draws its starts from, [b]: another key for each restart of an image."""
    _, key = image_keys(seed, names)
    if not any(restarts):
        return key
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
    arrays = map(jnp.asarray, (photographs, none.astype(float), none))
    return Batch(pictures, hole, Found(*arrays, candidates=several), 0.0)
