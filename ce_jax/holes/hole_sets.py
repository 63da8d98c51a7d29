"""Sets of holes drawn by kind: each from a seed and its image's name, so the same in any program.

A named set has a seed of its own, and holes that are known by their hash: who names it, has the
same holes as everybody else. A set never changes; what must change gets another name.
"""

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ce_jax import holes, sharding
from ce_jax.holes import HoleError, HoleKind

REFERENCE_NAMES = tuple(f"{number:06}" for number in range(1, 9))
"""The images whose holes stand for a named set in its hashes."""

_draw = jax.jit(holes.draw, static_argnums=0, static_argnames="size")


@dataclasses.dataclass(frozen=True)
class HoleSet:
    """Holes of one kind for any images.

    Attributes:
        kind: how they are drawn.
        seed: what they are drawn from, with the name of the image.
        name: one of `SETS`, if it is one of these.
        hashes: what the holes of `REFERENCE_NAMES` hash to, by size in pixels.
    """

    kind: HoleKind
    seed: int
    name: str | None = None
    hashes: Mapping[int, str] = dataclasses.field(default_factory=dict, repr=False, compare=False)

    def draw(self, names: Sequence[str], *, size: int) -> np.ndarray:
        """The holes of the images of these names, bool `[b, size, size, 1]`.

        They are drawn on the processor: an accelerator would first finish what it has to do.
        """
        with jax.default_device(sharding.processor()):
            hole_key, _ = image_keys(self.seed, names)
            return np.asarray(_draw(self.kind, hole_key, size=size))

    def check(self, *, size: int) -> None:
        """Makes sure that such holes fit into images of this size, and are those of the name.

        Raises:
            HoleError: they do not fit; or here, with this version of JAX on this device, the name
                stands for other holes than elsewhere.
        """
        holes.check(self.kind, size=size)
        if not self.hashes:
            return
        known = min(self.hashes, key=lambda other: abs(other - size))
        reference = map(hash_of, self.draw(REFERENCE_NAMES, size=known))
        found = hash_of_set(dict(zip(REFERENCE_NAMES, reference, strict=True)))
        if found != self.hashes[known]:
            raise HoleError(
                f"holes 'set:{self.name}' come out otherwise here than elsewhere (at {known} "
                f"pixels {found}, should be {self.hashes[known]}; jax {jax.__version__} on "
                f"{jax.default_backend()}): figures would not be comparable; use another version "
                f"of JAX, or --holes {self.kind}."
            )


def image_keys(seed: int, names: Sequence[str]) -> jax.Array:
    """Two random keys for each image, [2, b]: one for its hole, one for what begins in it.

    They depend on the seed and the image's name, and nothing else.
    """
    digests = [hashlib.blake2b(name.encode(), digest_size=4).digest() for name in names]
    return _keys(seed, np.array([int.from_bytes(each, "big") for each in digests], np.uint32))


@functools.partial(jax.jit, static_argnums=0)
def _keys(seed: int, numbers: jax.Array) -> jax.Array:
    key = jax.random.key(seed, impl="threefry2x32")  # whatever somebody's default
    each = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, numbers)
    return jax.vmap(jax.random.split, out_axes=1)(each)


def hash_of(hole: np.ndarray) -> str:
    """What a hole, bool `[h, w, 1]`, is known by: 16 hexadecimal digits of SHA-256, of its bits."""
    return hashlib.sha256(np.packbits(hole).tobytes()).hexdigest()[:16]


def hash_of_set(hashes: Mapping[str, str]) -> str:
    """What the holes of several images are known by, from image name -> `hash_of` its hole."""
    return hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()[:16]


def named(name: str) -> HoleSet:
    """The set of that name.

    Raises:
        HoleError: there is none.
    """
    if name in SETS:
        return SETS[name]
    nearest = difflib.get_close_matches(name, SETS, n=1, cutoff=0.5)
    question = f"did you mean set:{nearest[0]}? " if nearest else ""
    raise HoleError(f"there is no hole set '{name}'; {question}sets are {', '.join(SETS)}")


SETS: Mapping[str, HoleSet] = {
    name: HoleSet(holes.parse(kind), 0, name, {64: at_64, 128: at_128})
    for name, kind, at_64, at_128 in (
        ("yeh2017-center", "center", "e66298c56be56c61", "457d366bdfcc157b"),
        ("yeh2017-pattern", "pattern:0.25", "e192c0d120f260f2", "4db4398bac4ba0d5"),
        ("yeh2017-random", "random:0.8", "81aeab5396424174", "aa8a42631b051916"),
        ("yeh2017-half", "half", "f281f18366e2c283", "0ca7bc450bdb285c"),
        ("free-form-1-10", "free-form:1-10", "8c6b1304d0bf47bc", "02dca1ae0429c8a9"),
        ("free-form-10-20", "free-form:10-20", "d1ea1696407d1d86", "db28e30db771fa82"),
        ("free-form-20-30", "free-form:20-30", "2a94cee8257a3da1", "a192259c57d367f5"),
        ("free-form-30-40", "free-form:30-40", "11fc3bd993e1f648", "b1de80583729dce3"),
        ("free-form-40-50", "free-form:40-50", "2f6a920448e2933a", "ce7a49b6fed4f763"),
        ("free-form-50-60", "free-form:50-60", "8a2a669a01f78a74", "cd26caa68a2fd1f8"),
    )
}
"""The named sets: the kinds of Yeh et al. (2017, section 4.1); strokes in the bins of Liu et al.
(2018)."""
