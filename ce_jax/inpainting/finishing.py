"""From what the devices propose to what is kept: blended on the host, measured, and described."""

import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ce_jax import blending, images, metrics
from ce_jax.completion import Candidates, Found, Trails, library
from ce_jax.completion.trails import milestones, principal_plane
from ce_jax.config import Inpainting
from ce_jax.holes.hole_sets import hash_of
from ce_jax.inpainting.pairing import Picture
from ce_jax.inpainting.perceptual import Compare

# Trails are to look at: of an image, the pictures of the best starts, and the way of z through so
# many points.
_TRAILED_STARTS, _TRAIL_POINTS = 4, 64


class Batch(NamedTuple):
    """A batch that was on the devices: what went in, what came out, and their seconds with it."""

    pictures: Sequence[Picture]
    hole: np.ndarray
    found: Found
    seconds: float


class Unserved(NamedTuple):
    """An image for which the method has found no number, and how to say it."""

    picture: Picture
    reason: str


class Finished(NamedTuple):
    """A completed image.

    Attributes:
        picture: what it was.
        record: its line of the manifest; with more than one completion, a list of `candidates`.
        ranked: its completions, uint8 [k, s, s, 3], the best first.
        panel: makes what the report may show of it, pictures [s, s, 3] as `captions_of` has them.
        strips: uint8 [starts, steps, s, s, 3], how the search came there, where that is wanted.
    """

    picture: Picture
    record: dict[str, Any]
    ranked: np.ndarray
    panel: Callable[[], list[np.ndarray]]
    strips: np.ndarray | None


def finish(
    batch: Batch, config: Inpainting, trailed: Container[str], compare: Compare | None
) -> Iterator[Unserved | Finished]:
    """Blends a batch on the host, and measures it where the truth is known.

    The seconds of an image are those of the devices and of blending, without its figures.

    Args:
        batch: as the devices have proposed it.
        config: how it was completed.
        trailed: the images whose trails are kept.
        compare: LPIPS, where that is to be measured too.
    """
    pictures, hole, found, seconds = batch
    begun = time.monotonic()
    steps = np.asarray(found.steps)
    score, proposals, served = _served(found, hole)
    photographs = np.stack([picture.image for picture in pictures])
    ranked = _blended(photographs, proposals, hole, config)
    seconds = round((seconds + time.monotonic() - begun) / len(pictures), 4)
    figures = _figures(pictures, photographs, hole, ranked[:, 0], config, compare)
    for i, picture in enumerate(pictures):
        if not served[i]:
            yield Unserved(picture, _why_not(config.method))
            continue
        spent = {"seconds": seconds, "steps": int(steps[i]), "score": round(float(score[i]), 4)}
        record = _record(picture, hole[i], spent, figures[i])
        if found.candidates is not None:
            record["candidates"] = _ranks(found.candidates, i)
        strips = None
        if found.trails is not None and picture.name in trailed:
            # A start that ended in NaN is not the best, and must not end the run.
            trails = jax.tree.map(lambda array, i=i: np.nan_to_num(array[i]), found.trails)
            record["trail"] = _trail(trails)
            best = trails.proposal[np.newaxis, :_TRAILED_STARTS]
            strips = _blended(photographs[i : i + 1], best, hole[i : i + 1], config)[0]
        panel = partial(_panel, config, picture, hole[i], proposals[i, 0], ranked[i])
        yield Finished(picture, record, ranked[i], panel, strips)


def _served(found: Found, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [b], proposals [b, k, s, s, 3], the best first, and for whom these are numbers, [b].

    Without what the batch was padded with; what is no number in a proposal is 0.
    """
    score = np.asarray(found.score)[: len(hole)]
    proposals = np.asarray(found.proposal)[: len(hole), np.newaxis]
    if found.candidates is not None:
        proposals = np.asarray(found.candidates.proposal)[: len(hole)]
    finite = np.isfinite(proposals)
    served = np.isfinite(score) & np.all(finite | ~hole[:, np.newaxis], axis=(1, 2, 3, 4))
    return score, np.where(finite, proposals, 0), served


def _figures(
    pictures: Sequence[Picture],
    photographs: np.ndarray,
    hole: np.ndarray,
    completed: np.ndarray,
    config: Inpainting,
    compare: Compare | None,
) -> list[dict[str, dict[str, float]]]:
    """What the manifest says of how good each image is, by method, where the truth is known."""
    if all(picture.truth is None for picture in pictures):
        return [{} for _ in pictures]
    truth = np.stack([p.image if p.truth is None else p.truth for p in pictures])
    figures = {}
    filled = {config.method: completed, "laplace": _laplace(photographs, hole)}
    for method, result in filled.items():
        figures[method] = metrics.figures(result, truth, hole)
        if compare is not None:
            figures[method]["image/lpips"] = compare(result, truth)
    return [
        {
            method: {k: round(float(v[i]), 5) for k, v in values.items() if np.isfinite(v[i])}
            for method, values in figures.items()
            if picture.truth is not None
        }
        for i, picture in enumerate(pictures)
    ]


def _record(
    picture: Picture,
    hole: np.ndarray,
    spent: Mapping[str, float],
    figures: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """What the manifest says of a completed image."""
    missing = float(hole.mean()) if picture.place is None else picture.place.missing
    record = {
        "name": picture.name,
        "status": "done",
        **spent,
        "missing": round(missing, 4),
        "hole": hash_of(hole),
        "figures": figures,
        "note": "; ".join(filter(None, (_note(missing, hole), picture.note))),
        "files": {role: stamp._asdict() for role, stamp in picture.files.items()},
    }
    if picture.place is not None:
        record["square"] = picture.place.square._asdict()
    if picture.restarts:
        record["restarts"] = picture.restarts
    return record


def _panel(
    config: Inpainting,
    picture: Picture,
    hole: np.ndarray,
    proposal: np.ndarray,
    ranked: np.ndarray,
) -> list[np.ndarray]:
    """What a report shows of an image, as `captions_of` has it."""
    seen = np.where(hole, np.uint8(255), picture.image)
    panel = [picture.image, seen, images.to_uint8(proposal), *ranked]
    if config.method != "laplace":
        panel.append(_laplace(picture.image[np.newaxis], hole[np.newaxis])[0])
    return panel if picture.truth is None else [*panel, picture.truth]


def _laplace(photographs: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The Laplace fill of photographs, uint8."""
    filled = images.to_uint8(blending.harmonic(images.to_float(photographs), hole))
    return np.where(hole, filled, photographs)


def _blended(
    photographs: np.ndarray, proposals: np.ndarray, hole: np.ndarray, config: Inpainting
) -> np.ndarray:
    """Proposals [b, ..., s, s, 3] in the photographs of [b], uint8; known pixels as they were."""
    blend = {"poisson": blending.poisson, "overlay": blending.overlay}[config.blend]
    shape = proposals.shape
    proposals = proposals.reshape(-1, *shape[-3:])
    each = len(proposals) // len(photographs)
    photographs, hole = (np.repeat(array, each, axis=0) for array in (photographs, hole))
    completed = images.to_uint8(blend(images.to_float(photographs), proposals, hole))
    return np.where(hole, completed, photographs).reshape(shape)


def captions_of(config: Inpainting) -> list[str]:
    """Of the pictures in a panel; the truth is not known of every image."""
    others = [f"candidate {rank}" for rank in range(2, config.candidates + 1)]
    # The completion of the method laplace is the Laplace fill.
    laplace = [] if config.method == "laplace" else ["laplace"]
    return ["photograph", "hole", "proposal", "completion", *others, *laplace, "truth"]


def _ranks(candidates: Candidates, i: int) -> list[dict[str, Any]]:
    """What the manifest says of the candidates of an image, the best of which is its completion."""
    each = zip(np.asarray(candidates.score[i]), np.asarray(candidates.start[i]), strict=True)
    return [
        {"rank": rank, "score": round(float(score), 4), "start": int(start)}
        for rank, (score, start) in enumerate(each, 1)
    ]


def _trail(trails: Trails) -> dict[str, Any]:
    """What the manifest says of the trails of an image: losses [k, n] and places [k, points, 2]."""
    steps = trails.z.shape[1] - 1
    plane, share = principal_plane(np.asarray(trails.z))
    points = milestones(steps, count=min(steps + 1, _TRAIL_POINTS))
    numbers = {"context": trails.context, "prior": trails.prior, "plane": plane[:, points]}
    return {
        "steps": milestones(steps, count=trails.context.shape[1]).tolist(),
        **{name: np.round(array.astype(float), 6).tolist() for name, array in numbers.items()},
        "share": round(share, 4),
    }


def _why_not(method: str) -> str:
    """Why a method proposes nothing, or no number, for a part of a hole: the manifest says it."""
    if method == "low-rank":
        return "low-rank cannot fill a row or a column that is missing whole"
    if method in library.METHODS:
        return f"{method} cannot fill an image of which nothing is known"
    return f"{method} proposes nothing for a part of this hole"


def _note(missing: float, hole: np.ndarray) -> str:
    if missing == 0:
        return "nothing to do: the hole is empty"
    if not hole.any():
        return f"too thin to be seen at {len(hole)} pixels: filled from around it alone"
    return "no pixel is known: the proposal alone" if missing == 1 else ""
