"""What can be chosen of the methods that learn nothing, and fill a hole from its own image alone."""

from dataclasses import dataclass
from typing import Annotated, Literal

from ce_jax.config.rules import POSITIVE, Part, Rule, at_least


@dataclass(frozen=True, kw_only=True)
class TotalVariation(Part, called="tv"):
    """Total variation inpainting by ADMM, as Afonso et al. 2011 split it."""

    rho: Annotated[float, POSITIVE] = 30.0
    """Penalty of the splitting, for images in [0, 1]: the way, not the goal. Measured: with 10, large holes drift for longer than 500 iterations."""
    steps: Annotated[int, at_least(1)] = 500
    """Most iterations for an image; the usual range is 100 to 500."""
    tolerance: Annotated[float, at_least(0)] = 1e-4
    """An image is done when an iteration moves it by no more than this share of its norm; the usual value."""


@dataclass(frozen=True, kw_only=True)
class LowRank(Part, called="low_rank"):
    """Low-rank completion of each channel; the defaults keep a 64x64 image under half a second on one core."""

    algorithm: Literal["tnnr", "irnn"] = "tnnr"
    """tnnr: truncated nuclear norm by ADMM (Hu et al. 2013); irnn: reweighted singular values (Lu et al. 2014), for single missing pixels only."""
    steps: Annotated[int, at_least(1)] = 200
    """Most iterations for a channel, each with one decomposition; irnn takes them all. The authors' codes allow thousands."""
    rank: Annotated[int, at_least(0)] = 2
    """tnnr: singular values that count nothing. Hu et al. try 1 to 20 and keep the one nearest to the truth; this was measured for faces of which a fifth is known, and 5 is better where half is."""
    rho: Annotated[float, POSITIVE] = 0.02
    """tnnr: penalty of the splitting, for values in 0..255. The authors' code has 0.05, which takes twice the iterations to the same place."""
    tolerance: Annotated[float, at_least(0)] = 1e-4
    """tnnr: a channel is done when an iteration moves it by no more than this share of its norm (authors' code)."""
    p: Annotated[float, Rule("in (0, 1]", lambda p: 0 < p <= 1)] = 0.35
    """irnn: exponent of the singular values (authors' code)."""


@dataclass(frozen=True, kw_only=True)
class Neighbours(Part, called="neighbours"):
    """The vote of the nearest known pixels, weighted by their distance."""

    count: Annotated[int, at_least(1)] = 8
    """How many of them, and all that are as far away as the last (not stated in the surveys)."""
    power: Annotated[float, at_least(0)] = 2.0
    """A vote weighs 1 / distance^power: 2 as in Shepard 1968, 0 for all alike."""


@dataclass(frozen=True, kw_only=True)
class OpenCv(Part, called="opencv"):
    """OpenCV's inpaint: the marching of Telea 2004, or the fluid flow of Bertalmio et al. 2001."""

    radius: Annotated[float, POSITIVE] = 3.0
    """Pixels around a missing one that are looked at (OpenCV's tutorial)."""


@dataclass(frozen=True, kw_only=True)
class PatchMatch(Part, called="patchmatch"):
    """Patches of the known part, found as by Barnes et al. 2009 (PyPatchMatch)."""

    radius: Annotated[int, at_least(1)] = 3
    """From the middle of a patch to its border: patches are 7x7 (PyPatchMatch's examples; its default of 15 is for photographs of many hundred pixels)."""
