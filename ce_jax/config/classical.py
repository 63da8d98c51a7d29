"""What can be chosen of the methods that learn nothing, and fill a hole from its own image alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ce_jax.config.rules import at_least, check, positive, within


@dataclass(frozen=True, kw_only=True)
class TotalVariation:
    """Total variation inpainting by ADMM, as Afonso et al. 2011 split it."""

    rho: float = 30.0
    """Penalty of the splitting, for images in [0, 1]: the way, not the goal. Measured: with 10, large holes drift for longer than 500 iterations."""
    steps: int = 500
    """Most iterations for an image; the usual range is 100 to 500."""
    tolerance: float = 1e-4
    """An image is done when an iteration moves it by no more than this share of its norm; the usual value."""

    def __post_init__(self) -> None:
        check(self, "tv", positive("rho"), at_least(1, "steps"), at_least(0, "tolerance"))


@dataclass(frozen=True, kw_only=True)
class LowRank:
    """Low-rank completion of each channel; the defaults keep a 64x64 image under half a second on one core."""

    algorithm: Literal["tnnr", "irnn"] = "tnnr"
    """tnnr: truncated nuclear norm by ADMM (Hu et al. 2013); irnn: reweighted singular values (Lu et al. 2014), for single missing pixels only."""
    steps: int = 200
    """Most iterations for a channel, each with one decomposition; irnn takes them all. The authors' codes allow thousands."""
    rank: int = 2
    """tnnr: singular values that count nothing. Hu et al. try 1 to 20 and keep the one nearest to the truth; this was measured for faces of which a fifth is known, and 5 is better where half is."""
    rho: float = 0.02
    """tnnr: penalty of the splitting, for values in 0..255. The authors' code has 0.05, which takes twice the iterations to the same place."""
    tolerance: float = 1e-4
    """tnnr: a channel is done when an iteration moves it by no more than this share of its norm (authors' code)."""
    p: float = 0.35
    """irnn: exponent of the singular values (authors' code)."""

    def __post_init__(self) -> None:
        check(
            self,
            "low_rank",
            at_least(1, "steps"),
            at_least(0, "rank", "tolerance"),
            positive("rho"),
            within("(0, 1]", "p"),
        )


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The vote of the nearest known pixels, weighted by their distance."""

    count: int = 8
    """How many of them, and all that are as far away as the last (not stated in the surveys)."""
    power: float = 2.0
    """A vote weighs 1 / distance^power: 2 as in Shepard 1968, 0 for all alike."""

    def __post_init__(self) -> None:
        check(self, "neighbours", at_least(1, "count"), at_least(0, "power"))


@dataclass(frozen=True, kw_only=True)
class OpenCv:
    """OpenCV's inpaint: the marching of Telea 2004, or the fluid flow of Bertalmio et al. 2001."""

    radius: float = 3.0
    """Pixels around a missing one that are looked at (OpenCV's tutorial)."""

    def __post_init__(self) -> None:
        check(self, "opencv", positive("radius"))


@dataclass(frozen=True, kw_only=True)
class PatchMatch:
    """Patches of the known part, found as by Barnes et al. 2009 (PyPatchMatch)."""

    radius: int = 3
    """From the middle of a patch to its border: patches are 7x7 (PyPatchMatch's examples; its default of 15 is for photographs of many hundred pixels)."""

    def __post_init__(self) -> None:
        check(self, "patchmatch", at_least(1, "radius"))
