"""Pictures that need not be made again: kept in a file without a name, which ends with its shelf.

The file lies in the folder for temporary files. The system holds in memory what it has room for.
"""

import math
import mmap
import os
import shutil
import tempfile
import threading
import weakref

import numpy as np


class Shelf:
    """Arrays of bytes by their numbers, up to so many bytes in all; any thread may come to it."""

    def __init__(self, most: int) -> None:
        """An empty one.

        Args:
            most: bytes that it may take, and never more than half of what is free on the disk.
        """
        self._most = min(most, shutil.disk_usage(tempfile.gettempdir()).free // 2)
        self._places: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._end, self._lock = 0, threading.Lock()
        if self._most:
            try:
                self._open()
            except OSError:  # a limit to the size of files or of memory: nothing is kept
                self._most = 0

    def _open(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.truncate(self._most)  # takes no room before it is written to
            self._bytes = mmap.mmap(file.fileno(), self._most, access=mmap.ACCESS_READ)
            self._file = os.dup(file.fileno())
        # Not at exit, when threads may still write: the system closes it after them.
        weakref.finalize(self, os.close, self._file).atexit = False

    def put(self, number: int, array: np.ndarray) -> None:
        """Keeps uint8 of any shape, unless it is there already or there is no room left."""
        with self._lock:
            place, end = self._end, self._end + array.nbytes
            if number in self._places or end > self._most:
                return
            self._end = end
        try:  # written through the file, not the mapping: a full disk would end the process there
            written = os.pwrite(self._file, np.ascontiguousarray(array).data, place)
        except OSError:
            written = 0
        if written == array.nbytes:
            self._places[number] = place, array.shape
        else:
            self._most = 0

    def get(self, number: int) -> np.ndarray | None:
        """What was put there, read-only; None if nothing was kept."""
        if (found := self._places.get(number)) is None:
            return None
        place, shape = found
        return np.frombuffer(self._bytes, np.uint8, math.prod(shape), place).reshape(shape)
