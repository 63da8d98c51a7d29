"""Whether two sources share pictures, whatever these are called."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ce_jax.sources.source import Source

_READERS = 8


def digests(source: Source) -> Iterator[str | None]:
    """A hash of the pixels of each picture, in order; None of one that cannot be read."""

    def digest(index: int) -> str | None:
        try:
            picture = source[index]
        except (ValueError, OSError):
            return None
        return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()

    with ThreadPoolExecutor(_READERS) as readers:
        yield from readers.map(digest, range(len(source)))
