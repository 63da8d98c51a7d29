"""Batches are a function of the seed: every image once an epoch, on every host its own part."""

import contextlib
import logging
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import pytest
import tiny
from PIL import Image

from ce_jax import data, images, sharding
from ce_jax.config import Data, Frame
from ce_jax.sources import SourceError, open_source

FRAME = Frame(size=32, shorter_side=40)


@dataclass(frozen=True)
class Numbered:
    """Pictures that say which one they are: flat in blue, red rising with x and green with y."""

    count: int
    broken: tuple[int, ...] = ()
    side: int = 40
    spec: str = "numbered"

    @property
    def names(self):
        return [f"picture {index}" for index in range(self.count)]

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.broken:
            raise images.UnreadableImage("broken for the test")
        y, x = np.mgrid[: self.side, : self.side]
        return np.stack([x, y, np.full_like(x, index)], axis=-1).astype(np.uint8)


def experiment(*, batch_size=8, seed=0, **changes):
    options = {"source": "numbered", "frame": FRAME, "flip": False, "threads": 2}
    return tiny.dcgan(batch_size=batch_size, seed=seed, data=Data(**(options | changes)))


@contextlib.contextmanager
def opened(config, source, *, start=0):
    split = sharding.split(sharding.make_mesh())
    batches = data.training_batches(config, source, split, start=start)
    try:
        yield batches
    finally:
        batches.close()


def read(config, source, count):
    """The first `count` batches, as one array of images."""
    with opened(config, source) as batches:
        return np.concatenate([np.asarray(batch) for batch in islice(batches, count)])


def numbers(pictures):
    return [int(picture[0, 0, 2]) for picture in pictures]


def test_every_image_comes_once_an_epoch_and_each_epoch_in_another_order():
    epochs = np.reshape(numbers(read(experiment(), Numbered(24), 9)), (3, 24))
    for epoch in epochs:
        assert sorted(epoch) == list(range(24))
        assert list(epoch) != list(range(24))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_batches_run_on_over_the_end_of_an_epoch():
    found = numbers(read(experiment(), Numbered(20), 5))
    assert sorted(found) == sorted([*range(20), *range(20)])


def test_the_seed_decides_everything_and_threads_nothing():
    config = experiment(crop="random", flip=True)
    first = read(config, Numbered(24), 4)
    np.testing.assert_array_equal(read(config, Numbered(24), 4), first)
    more_threads = experiment(crop="random", flip=True, threads=7)
    np.testing.assert_array_equal(read(more_threads, Numbered(24), 4), first)
    assert numbers(read(replace(config, seed=1), Numbered(24), 4)) != numbers(first)


def places(pictures):
    """Row and column at which each square was cut out, and whether it is mirrored."""
    reds = pictures[:, 0, :, 0].astype(int)
    return [
        (int(picture[0, 0, 1]), int(red.min()), bool(red[0] > red[-1]))
        for picture, red in zip(pictures, reds, strict=True)
    ]


def test_crops_and_mirrors_vary_from_image_to_image_and_from_epoch_to_epoch():
    pictures = read(experiment(crop="random", flip=True), Numbered(48), 12)
    tops, lefts, mirrored = (set(values) for values in zip(*places(pictures), strict=True))
    assert tops == lefts == set(range(9))  # 40 pixels less 32, and the first and the last place
    assert mirrored == {False, True}
    share = np.mean([mirrored for _, _, mirrored in places(pictures)])
    assert 0.3 < share < 0.7
    seen = {}
    for number, place in zip(numbers(pictures), places(pictures), strict=True):
        seen.setdefault(number, []).append(place)
    assert sum(first != second for first, second in seen.values()) > 40


def test_an_option_leaves_the_draws_of_the_others_alone():
    both, crops, flips, neither = (
        places(read(experiment(crop=crop, flip=flip), Numbered(24), 3))
        for crop in ("random", "center")
        for flip in (True, False)
    )
    assert [(top, left, False) for top, left, _ in both] == crops
    assert [(4, 4, mirrored) for _, _, mirrored in both] == flips
    assert set(neither) == {(4, 4, False)}


def test_batches_are_bytes_split_over_the_devices():
    with opened(experiment(batch_size=16), Numbered(24)) as batches:
        batch = next(batches)
    assert (batch.shape, batch.dtype) == ((16, 32, 32, 3), np.uint8)
    assert batch.sharding.is_equivalent_to(sharding.split(sharding.make_mesh()), 4)


def test_images_that_cannot_be_used_are_left_out_with_one_warning_each(tmp_path, caplog):
    for index in range(12):
        Image.new("RGB", (32, 32), (0, 0, index)).save(tmp_path / f"{index:02}.png")
    (tmp_path / "05.png").write_bytes((tmp_path / "05.png").read_bytes()[:40])
    Image.new("RGB", (3000, 2)).save(tmp_path / "07.png")
    source = open_source(f"folder:{tmp_path}")
    with caplog.at_level(logging.WARNING, logger="ce_jax.data"):
        found = numbers(read(experiment(frame=Frame(size=32)), source, 5))
    readable = {*range(5), 6, *range(8, 12)}
    for epoch in (found[:12], found[12:24], found[24:36]):
        assert set(epoch) == readable  # each once, and two of them twice, in place of the others
    warned = sorted(record.getMessage() for record in caplog.records)
    assert len(warned) == 2
    assert warned[0].startswith("left out 05: ")
    assert warned[1].startswith("left out 07: 3000 x 2 pixels are too elongated")


@pytest.mark.parametrize("start", [1, 4])
def test_batches_from_a_step_on_are_those_of_a_run_that_came_there(start):
    config, source = experiment(crop="random", flip=True), Numbered(20, broken=(3, 11))
    whole = read(config, source, start + 3)
    with opened(config, source, start=start) as batches:
        found = np.concatenate([np.asarray(next(batches)) for _ in range(3)])
    np.testing.assert_array_equal(found, whole[start * config.batch_size :])


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_read_their_rows_of_batches_that_do_not_depend_on_their_number(hosts):
    """Over the ends of epochs that are no ends of batches, and with images that one cannot read."""
    config, source = experiment(crop="random", flip=True), Numbered(20, broken=(3, 11))
    whole = read(config, source, 5).reshape(5, hosts, -1, 32, 32, 3)
    for host, rows in enumerate(np.arange(config.batch_size).reshape(hosts, -1)):
        mine = data.rows_of_batches(config, source, rows)
        found = np.stack([mine[step] for step in range(5)])
        np.testing.assert_array_equal(found, whole[:, host])


@dataclass(frozen=True)
class Counted(Numbered):
    """Notes which of its pictures are asked for."""

    asked: list[int] = field(default_factory=list)

    def __getitem__(self, index):
        self.asked.append(index)
        return super().__getitem__(index)


@pytest.mark.parametrize("crop", ["center", "random"])
def test_kept_pictures_give_the_same_batches_and_are_decoded_once(crop):
    anew, kept = (Counted(20, broken=(3,)) for _ in range(2))
    config = experiment(crop=crop, flip=True)
    found = read(config, kept, 10)
    without = replace(config, data=replace(config.data, cache=0.0))
    np.testing.assert_array_equal(read(without, anew, 10), found)
    # Two threads may come to the same picture at the same time, and read on ahead.
    assert len(kept.asked) < 20 + 20 < 60 < len(anew.asked)
    assert set(kept.asked) == set(range(20))


def test_a_shelf_that_is_full_gives_the_same_batches():
    config = experiment(crop="random", flip=True)
    small = replace(config, data=replace(config.data, cache=5 * 40 * 40 * 3 / 1e9))
    source = Counted(20)
    np.testing.assert_array_equal(read(small, source, 10), read(config, Numbered(20), 10))
    assert len(source.asked) > 20 + 3 * 14  # five of twenty were kept


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(SourceError, match=r"numbered has 7 images, .* 8; lower --batch-size"):
        data.check(experiment(), Numbered(7))


def test_examples_are_the_first_readable_images_cut_at_the_centre():
    found = data.examples(Numbered(9, broken=(1,)), FRAME, 4)
    assert numbers(found) == [0, 2, 3]
    assert set(places(found)) == {(4, 4, False)}
    assert len(data.examples(Numbered(9), FRAME, 100)) == 9


def test_a_source_without_a_readable_image_is_refused_rather_than_searched_for_ever():
    with pytest.raises(SourceError, match="none of the first 5 images of numbered can be read"):
        data.examples(Numbered(9, broken=tuple(range(9))), FRAME, 5)


def test_a_box_outside_of_all_pictures_is_refused_and_explained(caplog):
    with pytest.raises(SourceError, match="none of the first 2 images"):
        data.examples(Numbered(2), Frame(size=32, box=(0, 0, 50, 50)), 64)
    assert "left out picture 0: box (0, 0, 50, 50)" in caplog.text


@pytest.mark.parametrize(
    ("side", "box", "told"),
    [
        (100, (0, 0, 40, 40), "cuts 16% out of picture 0 (100x100 pixels)"),
        (90, (0, 0, 40, 40), ""),
        (100, None, ""),
        (32, (0, 0, 8, 8), ""),
    ],
)
def test_a_box_that_shows_a_corner_of_the_photographs_is_told_of(caplog, side, box, told):
    data.warn_of_box(Numbered(3, side=side), replace(FRAME, box=box), option="--frame.box")
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


def test_of_a_first_photograph_that_cannot_be_read_no_box_is_told(caplog):
    data.warn_of_box(Numbered(3, (0,)), Frame(size=32, box=(0, 0, 4, 4)), option="--frame.box")
    assert not caplog.text
