"""What was put on a shelf is there as it was, and a shelf takes no more than it was given."""

import errno
import gc
import mmap
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ce_jax.sources.shelf import Shelf


def noise(seed, shape):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_arrays_of_any_shape_come_back_as_they_were():
    shelf = Shelf(10_000)
    arrays = [noise(seed, shape) for seed, shape in enumerate([(3, 5, 3), (7,), (2, 2, 3, 4)])]
    arrays.append(arrays[0][:, ::-1])
    for number, array in enumerate(arrays):
        shelf.put(number, array)
    for number, array in enumerate(arrays):
        np.testing.assert_array_equal(shelf.get(number), array)
    assert shelf.get(len(arrays)) is None


def test_what_is_there_stays_as_it_is():
    shelf = Shelf(100)
    shelf.put(7, noise(0, (10,)))
    shelf.put(7, noise(1, (10,)))
    np.testing.assert_array_equal(found := shelf.get(7), noise(0, (10,)))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


@pytest.mark.parametrize(("most", "kept"), [(0, 0), (9, 0), (25, 2), (30, 3)])
def test_a_full_shelf_takes_nothing_more(most, kept):
    shelf = Shelf(most)
    for number in range(5):
        shelf.put(number, noise(number, (10,)))
    assert [number for number in range(5) if shelf.get(number) is not None] == list(range(kept))


@pytest.mark.parametrize("written", [OSError(28, "No space left on device"), 3])
def test_a_full_disk_costs_the_shelf_and_nothing_else(monkeypatch, written):
    shelf = Shelf(1000)
    shelf.put(0, noise(0, (10,)))
    with monkeypatch.context() as patch:

        def write(file, data, place):
            if isinstance(written, OSError):
                raise written
            return written

        patch.setattr(os, "pwrite", write)
        shelf.put(1, noise(1, (10,)))
    shelf.put(2, noise(2, (10,)))
    assert shelf.get(1) is None and shelf.get(2) is None
    np.testing.assert_array_equal(shelf.get(0), noise(0, (10,)))


def test_many_threads_may_put_and_get():
    shelf = Shelf(1_000_000)

    def both(number):
        shelf.put(number % 50, noise(number % 50, (20, 20)))
        return shelf.get(number % 50)

    with ThreadPoolExecutor(8) as pool:
        for number, found in enumerate(pool.map(both, range(200))):
            if found is not None:  # another thread is about to put it there
                np.testing.assert_array_equal(found, noise(number % 50, (20, 20)))
    assert all(shelf.get(number) is not None for number in range(50))


def test_nothing_of_a_shelf_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gc.collect()  # what other tests have left open closes now, and not below
    before = len(os.listdir("/proc/self/fd"))
    shelf = Shelf(1_000_000)
    shelf.put(0, noise(0, (1000,)))
    assert list(tmp_path.iterdir()) == []
    del shelf
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_no_file_may_be_so_large_nothing_is_kept(monkeypatch):
    def refused(*_, **__):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(mmap, "mmap", refused)
    shelf = Shelf(100)
    shelf.put(0, noise(0, (10,)))
    assert shelf.get(0) is None
