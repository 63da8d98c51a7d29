"""Latent search (Yeh et al. 2016, 2017): the z whose image agrees with the known pixels, batched.

`Searching` is how far the search for the answer to a `Problem` has come. `begin` makes one,
`advance` moves it on, `conclude` says what was found. Every image counts its own steps and ends on
its own, so that it does not matter when the others began. Of several starts of an image the best is
chosen by what is known alone.
"""

from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from ce_jax.completion import Candidates, Found, Propose, Trails
from ce_jax.completion.beyond import beyond
from ce_jax.completion.guided import shared
from ce_jax.completion.objective import (
    REDRAWN,
    Objective,
    Opinion,
    Problem,
    objective_of,
    pose,
    weights,
    with_slope,
)
from ce_jax.completion.space import Networks, Pool, Space, space_of
from ce_jax.completion.starts import starts
from ce_jax.completion.trails import milestones
from ce_jax.config import ContextEncoder, Dcgan, LatentEncoder, LatentSearch, Vae
from ce_jax.systems.dcgan import latent_bound

Each = TypeVar("Each", bound=tuple)
"""Arrays with an entry for each image."""


class Searching(NamedTuple):
    """Searches under way: b images, each from k starts.

    Attributes:
        z: where the searches stand, [b, k, d].
        moments: what the optimiser remembers of each.
        best: the z of the least objective so far, [b, k, d].
        score: that objective, [b, k]; infinite before the first step.
        mark: the objective at the last progress that was worth waiting for, [b, k].
        idle: steps since then, int32 [b, k].
        taken: all steps, int32 [b].
    """

    z: Array
    moments: Any
    best: Array
    score: Array
    mark: Array
    idle: Array
    taken: Array


def method(
    model: Dcgan | Vae | LatentEncoder,
    settings: LatentSearch,
    *,
    guide: ContextEncoder | None = None,
    keep: int = 1,
) -> Propose:
    """(networks, images, hole, key) -> what is found.

    Candidates are given if more than one is to be kept, trails if the settings ask for them.
    """

    def propose(networks: Networks, images: Array, hole: Array, key: Array) -> Found:
        space = space_of(model, networks, settings, guide=guide)
        problem = pose(space, images, hole, key)
        searching, way = search(space, problem, begin(space, problem, networks.pool))
        return conclude(space, problem, searching, way, keep=keep)

    return propose


def begin(space: Space, problem: Problem, pool: Pool | None) -> Searching:
    """Searches that have taken no step; from a pool if the settings ask for one."""
    z = starts(space, problem, pool)
    never, none = jnp.full_like(z[..., 0], jnp.inf), jnp.zeros(z.shape[:2], jnp.int32)
    moments = jax.vmap(jax.vmap(optimizer_of(space.settings).init))(z)
    return Searching(z, moments, z, never, never, none, none[:, 0])


def search(space: Space, problem: Problem, searching: Searching) -> tuple[Searching, Array | None]:
    """argmin_z L_c(z) + L_p(z) (Yeh et al. 2017, eq. 2): all steps, of those under way.

    Returns:
        The searches; and, if the settings ask for a trail, every z from the start to the end,
        [b, k, steps + 1, d].
    """
    every, start = space.settings.prior_every, searching.z
    go, (blocks, rest) = partial(advance, space, problem), divmod(space.settings.steps, every)
    ended, way = lax.scan(lambda s, _: go(s, count=every), searching, length=blocks)
    ended, last = go(ended, count=rest) if rest else (ended, start[None][:0])
    if way is None or last is None:
        return ended, None
    ways = jnp.concatenate([start[None], way.reshape(-1, *start.shape), last])
    return ended, jnp.moveaxis(ways, 0, 2)


def under_way(searching: Searching, settings: LatentSearch) -> Array:
    """Whether an image has steps left, and one of its searches has lately made progress: [b]."""
    left = searching.taken < settings.steps
    if settings.patience == 0:
        return left
    return left & jnp.any(searching.idle < settings.patience, axis=1)


def advance(
    space: Space, problem: Problem, searching: Searching, *, count: int
) -> tuple[Searching, Array | None]:
    """So many steps of every search that is under way.

    The critic is asked at the first of them; its slope in the images is kept for the others.

    Returns:
        The searches; and, if the settings ask for a trail, z after each step, [steps, b, k, d].
    """
    settings, k = space.settings, searching.z.shape[1]
    objective = objective_of(space, problem, weights(problem, settings)[0], starts=k)
    go = partial(step, space, problem, objective)
    after, opinion = go(searching, None)
    if count == 1:
        return after, after.z[None] if settings.trail else None

    def again(searching: Searching, _: None) -> tuple[Searching, Array | None]:
        after = go(searching, opinion)[0]
        return after, after.z if settings.trail else None

    last, way = lax.scan(again, after, length=count - 1)
    return last, None if way is None else jnp.concatenate([after.z[None], way])


def step(
    space: Space,
    problem: Problem,
    objective: Objective,
    searching: Searching,
    opinion: Opinion | None,
) -> tuple[Searching, Opinion]:
    """One step down the objective, of every search that is under way; best z and progress noted.

    Args:
        space: where to search, and how.
        problem: what is searched for.
        objective: what to go down.
        searching: where they stand.
        opinion: what the prior said at an earlier step; None: it is asked now.

    Returns:
        Where they stand then, and what the prior said.
    """
    settings = space.settings
    z = searching.z.reshape(-1, space.dimensions)
    pictures, pull_back = jax.vjp(partial(space.generate, maps=problem.maps), z)
    context, slope = with_slope(objective.context)(pictures)
    if opinion is None:
        opinion = Opinion(*with_slope(objective.prior, of=(0, 1))(z, pictures))
    slope_of_z, slope_of_pictures = opinion.slope
    gradient = pull_back(slope + slope_of_pictures)[0] + slope_of_z
    update = jax.vmap(jax.vmap(optimizer_of(settings).update))
    updates, moments = update(gradient.reshape(searching.z.shape), searching.moments)
    score = (context + opinion.value).reshape(searching.score.shape)
    better = score < searching.score
    worth = settings.tolerance * jnp.abs(searching.mark)
    progress = score < searching.mark - jnp.where(jnp.isfinite(worth), worth, 0)
    after = Searching(
        z=project(space, problem, searching.z + cast(Array, updates), searching.taken),
        moments=moments,
        best=jnp.where(better[..., None], searching.z, searching.best),
        score=jnp.where(better, score, searching.score),
        mark=jnp.where(progress, score, searching.mark),
        idle=jnp.where(progress, 0, searching.idle + 1),
        taken=searching.taken + 1,
    )
    return choose(under_way(searching, settings), after, searching), opinion


def conclude(
    space: Space, problem: Problem, searching: Searching, way: Array | None, *, keep: int = 1
) -> Found:
    """What was found: the best of each search, taken beyond z where that is asked for, and ranked.

    Args:
        space: where was searched, and how.
        problem: what was searched for.
        searching: at its end.
        way: z from the start to the end, [b, k, steps + 1, d]; None without a trail.
        keep: candidates, if more than one.
    """
    settings, generate = space.settings, partial(space.generate, maps=problem.maps)
    b, k, d = searching.z.shape
    seen, unseen = weights(problem, settings)
    objective = objective_of(space, problem, seen, starts=k)
    last, best = searching.z.reshape(-1, d), searching.best.reshape(-1, d)
    improved = objective(last, generate(last)) < searching.score.reshape(-1)
    z = jnp.where(improved[:, None], last, best)
    proposal = beyond(space, problem, objective, z) if settings.beyond.steps else generate(z)
    score = objective(z, proposal)
    if settings.choose == "held-out":
        judge = objective_of(space, problem, unseen, starts=k).context(proposal)
        # Around a small hole there may be no pixel that counts among those held out.
        heard = jnp.repeat(jnp.any(unseen > 0, axis=(1, 2, 3)), k)
        score = jnp.where(heard, judge, score)

    if problem.prediction is not None:
        prediction = jnp.repeat(problem.prediction, k, axis=0)
        proposal = shared(proposal, prediction, detail=settings.guide_detail)

    # The objective has nothing of the truth in it, and neither has what is held out.
    order = jnp.argsort(score.reshape(b, k), axis=1)

    def ranked(array: Array) -> Array:
        """[b * k, ...] -> [b, k, ...], the best first."""
        by_image = array.reshape(b, k, *array.shape[1:])
        return jax.vmap(lambda starts, order: starts[order])(by_image, order)

    trails = None
    if way is not None:
        way = way.reshape(b * k, *way.shape[2:])
        trails = jax.tree.map(ranked, trails_of(space, problem, objective, way))
    proposal, score = ranked(proposal), ranked(score)
    candidates = Candidates(proposal[:, :keep], score[:, :keep], order[:, :keep])
    steps = searching.taken + settings.beyond.steps
    return Found(proposal[:, 0], score[:, 0], steps, candidates if keep > 1 else None, trails)


def project(space: Space, problem: Problem, z: Array, taken: Array) -> Array:
    """z [b, k, d] within the bounds of the prior: cut off there, or drawn anew where it left them.

    The second is stochastic clipping (Lipton and Tripathi 2017): a number that was cut off often
    stays at the bound, where few images of the training lie. `taken` [b] are the steps so far.
    """
    bound = latent_bound(space.prior)
    if space.settings.projection == "clip" or bound == np.inf:
        return jnp.clip(z, -bound, bound)

    def draw(key: Array, taken: Array) -> Array:
        key = jax.random.fold_in(jax.random.fold_in(key, REDRAWN), taken)
        return jax.random.uniform(key, z.shape[1:], minval=-bound, maxval=bound)

    return jnp.where(jnp.abs(z) > bound, jax.vmap(draw)(problem.key, taken), z)


def optimizer_of(settings: LatentSearch) -> optax.GradientTransformation:
    """Adam, or momentum after Nesterov, with a rate that goes down in steps or as a cosine.

    Nesterov as in the public code: v' = m v - rate g and z' = z + m v' - rate g, so that a rate
    that has gone down slows what is still to come and not what is already under way.
    """
    if settings.schedule == "cosine":
        rate = optax.cosine_decay_schedule(settings.rate, settings.steps)
    else:
        rate = optax.exponential_decay(
            settings.rate, settings.decay_every, settings.decay, staircase=True
        )
    if settings.optimizer == "adam":
        return optax.adam(rate, b1=settings.momentum)
    return optax.chain(
        optax.scale_by_learning_rate(rate), optax.trace(settings.momentum, nesterov=True)
    )


def trails_of(space: Space, problem: Problem, objective: Objective, way: Array) -> Trails:
    """What searches saw on their way z [n, t + 1, d], at `settings.trail` of its steps."""
    steps = milestones(way.shape[1] - 1, count=space.settings.trail)

    def look(z: Array) -> tuple[Array, Array, Array]:
        pictures = space.generate(z, maps=problem.maps)
        return pictures, objective.context(pictures), objective.prior(z, pictures)

    looks = lax.map(look, jnp.moveaxis(way[:, steps], 1, 0))
    return Trails(way, *(jnp.moveaxis(array, 0, 1) for array in looks))


def choose(which: Array, first: Each, second: Each) -> Each:
    """What the first has for each image where `which` [b] says so, of the second elsewhere."""

    def one(a: Array, b: Array) -> Array:
        return jnp.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(one, first, second)
