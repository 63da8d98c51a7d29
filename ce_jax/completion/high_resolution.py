"""A context encoder's completion of a small version, refined scale by scale (Yang et al. 2016).

The size of the model is doubled up to that of the images. At each scale, the hole of the scale
before (at the first: what the context encoder says) is enlarged, and then refined to the minimum of

    content + texture + variation      (eq. 1, with a weight for each of the three)

by L-BFGS without a line search, as in the authors' code: one gradient a step, so that no image of a
batch waits for another. All but the features is quadratic, and twenty steps come near the end.
Every small pixel that the hole touches is missing, so that a known one is the mean of known ones.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from ce_jax import holes, losses
from ce_jax.completion import Found, Propose
from ce_jax.completion.context_encoder import predict
from ce_jax.completion.texture import Wish, texture_loss, wish
from ce_jax.config import ConfigError, ContextEncoder, HighResolution
from ce_jax.models import vgg
from ce_jax.models.context_encoder import FirstLayers
from ce_jax.models.smooth_fill import shrink
from ce_jax.models.vgg import Vgg19
from ce_jax.state import Variables
from ce_jax.systems.context_encoder import paint

Networks = tuple[Variables, Vgg19 | None]
Features = Callable[[Array], Sequence[Array]]

_MEMORY = 5
"""Steps that L-BFGS remembers; more change nothing here."""


def method(model: ContextEncoder, size: int, settings: HighResolution) -> Propose:
    """((encoder, VGG19 or None), images, hole, key) -> what is found.

    Images are [b, n, n, 3] with n the size of the model times a power of two. The score is the
    objective at the end, at the last scale.

    Raises:
        ConfigError: the model is an AlexNet, which does not halve its images.
    """
    if model.alexnet:
        raise ConfigError(
            f"method high-resolution needs a context encoder whose model.encoder is convolutions; "
            f"this one is {model.encoder}."
        )

    def propose(networks: Networks, images: Array, hole: Array, key: Array) -> Found:
        features = features_of(model, size, networks)
        doublings = (images.shape[1] // size).bit_length() - 1
        missing = holes.reduce(hole, factor=2**doublings)
        small = shrink(images, 2**doublings)
        first = predict(model, networks[0], small, missing)
        # Where the context encoder has no opinion, there is nothing to refine, but all else is.
        silent = jnp.isnan(first)

        def refined() -> tuple[Array, Array]:
            content = blended(small, jnp.where(silent, 0.0, first), missing)
            score = jnp.zeros(len(images))
            for factor in (2**k for k in range(doublings, -1, -1)):
                known, gap = shrink(images, factor), holes.reduce(hole, factor=factor)
                start = jnp.where(gap, jax.image.resize(content, known.shape, "bilinear"), known)
                content, score = refine(start, gap, features=features, settings=settings)
            return content, score

        # It takes minutes to refine what nobody will get.
        served = ~jnp.any(silent & missing, axis=(1, 2, 3))
        content, score = lax.cond(
            jnp.any(served), refined, lambda: (images, jnp.zeros(len(images)))
        )
        silent = jnp.repeat(jnp.repeat(silent, 2**doublings, axis=1), 2**doublings, axis=2)
        steps = jnp.full(len(images), settings.steps * (doublings + 1), jnp.int32)
        return Found(jnp.where(silent & hole, jnp.nan, content), score, steps)

    return propose


def features_of(model: ContextEncoder, size: int, networks: Networks) -> Features:
    """Images [b, n, n, 3] -> feature maps: of VGG19 where there is one, else of the encoder.

    The encoder takes the images for whole, and has its stored BatchNorm statistics.
    """
    variables, vgg19 = networks
    if vgg19 is not None:
        return partial(vgg.features, vgg19)
    layers = FirstLayers(size, model.width)

    def features(images: Array) -> Sequence[Array]:
        nothing = jnp.zeros((*images.shape[:-1], 1), bool)
        maps = layers.apply(variables, paint(model, images, nothing), train=False)
        return cast(Sequence[Array], maps)  # only `mutable` would make it something else

    return features


def blended(images: Array, proposal: Array, hole: Array) -> Array:
    """The proposal in the hole, with what it misses at the rim spread over it, [b, n, n, 3].

    Poisson's equation as `blending.poisson` solves it, by conjugate gradients on the device: what
    follows takes the known pixels around the hole as they are, and could not mend a seam.
    """

    def spread(miss: Array, hole: Array) -> Array:
        def energy(values: Array) -> Array:
            """Half of the squares of the steps between neighbours within the image, summed."""
            whole = jnp.where(hole, values, miss)
            down, right = (jnp.sum(jnp.diff(whole, axis=axis) ** 2) for axis in (0, 1))
            return (down + right) / 2

        slope, curvature = jax.linearize(jax.grad(energy), jnp.zeros_like(miss))
        within, _ = jax.scipy.sparse.linalg.cg(curvature, -slope, tol=1e-4, maxiter=500)
        return within

    miss = jax.vmap(spread)(images - proposal, hole)
    return jnp.where(hole, jnp.clip(proposal + miss, -1, 1), images)


def refine(
    start: Array, hole: Array, *, features: Features, settings: HighResolution
) -> tuple[Array, Array]:
    """The hole refined at one scale, and the objective that is reached.

    Args:
        start: [b, n, n, 3], with what the hole is to keep near; in [-1, 1].
        hole: [b, n, n, 1].
        features: what neural patches are taken of.
        settings: steps, patches and weights.

    Returns:
        [b, n, n, 3], what is known as it was; and [b].
    """
    wishes = [
        wish(maps, hole, patch=settings.patch, stride=settings.stride) for maps in features(start)
    ]

    def one(start: Array, hole: Array, wishes: list[Wish]) -> tuple[Array, Array]:
        start, hole, wishes = jax.tree.map(lambda array: array[None], (start, hole, wishes))

        # The optimiser sees sums, as in the papers: the steps of a mean would be very small.
        pixels = jnp.maximum(jnp.sum(hole), 1)

        def objective(images: Array) -> Array:
            whole = jnp.where(hole, images, start)
            loss = objective_of(whole, start, hole, wishes, features=features, settings=settings)
            return pixels * loss[0]

        found, lowest = minimise(objective, start, steps=settings.steps)
        return jnp.where(hole, found, start)[0], lowest / pixels

    return jax.vmap(one)(start, hole, wishes)


def objective_of(
    images: Array,
    start: Array,
    hole: Array,
    wishes: Sequence[Wish],
    *,
    features: Features,
    settings: HighResolution,
) -> Array:
    """Content + texture + variation, each with its weight, [b] (Yang et al. 2016, eq. 1)."""
    content = losses.reconstruction_loss(images, start, hole.astype(images.dtype))
    texture = [texture_loss(*pair) for pair in zip(features(images), wishes, strict=True)]
    return (
        settings.content * content
        + settings.texture * sum(texture) / len(texture)
        + settings.variation * losses.total_variation(images, hole)
    )


def minimise(
    objective: Callable[[Array], Array], start: Array, *, steps: int
) -> tuple[Array, Array]:
    """The best that L-BFGS comes by within [-1, 1] on its way from `start`, and its objective.

    `start` has any shape. Steps have unit length; without a line search nothing else says that they
    go down.
    """
    optimizer = optax.lbfgs(1.0, memory_size=_MEMORY, linesearch=None)

    def step(carry, _):
        x, state, best, lowest = carry
        value, gradient = jax.value_and_grad(objective)(x)
        best, lowest = jnp.where(value < lowest, x, best), jnp.minimum(value, lowest)
        updates, state = optimizer.update(gradient, state, x)
        x = jnp.clip(x + cast(Array, updates), -1, 1)
        return (x, state, best, lowest), None

    begun = (start, optimizer.init(start), start, jnp.array(jnp.inf))
    # One more, which looks at where the last step has led.
    (_, _, best, lowest), _ = lax.scan(step, begun, length=steps + 1)
    return best, lowest
