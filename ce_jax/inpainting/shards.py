"""Parts of a data set for processes that share the work and do not know of each other."""

import hashlib
from dataclasses import dataclass

import jax


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a data set, counted from 0.

    An image belongs to a part by its name alone, whatever other images there are; parts are
    disjoint, are all images together, and have about the same number of them.
    """

    index: int
    count: int

    def has(self, name: str) -> bool:
        """Whether the image of this name is in this part."""
        digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"


WHOLE = Shard(0, 1)


def of(written: str | None) -> Shard:
    """What "0/4" means; without it, the part of this process among those of jax.distributed."""
    if written is None:
        return Shard(jax.process_index(), jax.process_count())
    index, count = written.split("/")
    return Shard(int(index), int(count))
