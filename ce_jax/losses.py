"""What is punished. Every function returns one value per image, [b]; the steps take the mean.

Images are float32 in [-1, 1]; logits are the critic's output before the sigmoid D of the papers.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

EXACT = 1e-6
"""A mean square that nobody sees, where a logarithm stops to ask for more: 66 dB."""


def critic_loss(real: Array, fake: Array) -> Array:
    """-log D(x) - log(1 - D(G(z))) from logits [b] (Goodfellow et al. 2014, eq. 1)."""
    return jax.nn.softplus(-real) + jax.nn.softplus(fake)


def adversarial_loss(fake: Array) -> Array:
    """-log D(G(z)) from logits [b]: the non-saturating form (Goodfellow et al. 2014, section 3).

    Every public DCGAN trains with it.
    """
    return jax.nn.softplus(-fake)


def reconstruction_loss(prediction: Array, truth: Array, weight: Array) -> Array:
    """Weighted mean square over the pixels that have a weight (L_rec, Pathak et al. 2016, eq. 1).

    Args:
        prediction: [b, h, w, c].
        truth: [b, h, w, c].
        weight: [b, h, w, 1]: 1 in the hole, larger in the overlap band, 0 where nothing is asked.
    """
    pixels = jnp.sum(weight > 0, axis=(1, 2, 3)) * truth.shape[-1]
    return jnp.sum(weight * (prediction - truth) ** 2, axis=(1, 2, 3)) / jnp.maximum(pixels, 1)


def hole_psnr(prediction: Array, truth: Array, hole: Array) -> Array:
    """PSNR over the missing pixels in dB: what the reconstruction loss is on the scale of metrics.

    Args:
        prediction: [b, h, w, c] in [-1, 1].
        truth: [b, h, w, c].
        hole: [b, h, w, 1].

    Returns:
        [b], at most that of `EXACT`: 66 dB.
    """
    square = reconstruction_loss(prediction, truth, hole.astype(truth.dtype))
    return 10 * jnp.log10(4 / jnp.maximum(square, EXACT))  # peak to peak is 2


def overlap_weight(hole: Array, *, overlap: int, weight: float) -> Array:
    """1 in the hole, `weight` on the known pixels within `overlap` pixels of it, 0 elsewhere.

    Pathak et al. 2016 (section 3.2) let the prediction overlap the context and weigh the error
    there ten times, so that it continues what it borders on. hole [b, h, w, 1] -> [b, h, w, 1].
    """
    side = 2 * overlap + 1
    near = lax.reduce_window(
        hole.astype(jnp.float32), -jnp.inf, lax.max, (1, side, side, 1), (1, 1, 1, 1), "SAME"
    )
    return jnp.where(hole, 1.0, weight * near)


def importance_weight(hole: Array, *, window: int) -> Array:
    """W of Yeh et al. 2017, eq. 3: the missing share around each known pixel; 0 in the hole.

    The window is `window` pixels square, cut off at the image border; hole and result [b, h, w, 1].
    """
    sides, strides = (1, window, window, 1), (1, 1, 1, 1)
    missing = lax.reduce_window(hole.astype(jnp.float32), 0.0, lax.add, sides, strides, "SAME")

    def covered(side: int) -> np.ndarray:
        at = np.arange(side)
        return np.minimum(at + window // 2, side - 1) - np.maximum(at - (window - 1) // 2, 0) + 1

    # Counted here: XLA would fold the sum of a constant, for seconds where images are large.
    pixels = np.outer(*map(covered, hole.shape[1:3])).astype(np.float32)
    return jnp.where(hole, 0.0, missing / pixels[np.newaxis, ..., np.newaxis])


def context_loss(
    generated: Array, images: Array, weight: Array, *, norm: Literal["l1", "l2"] = "l1"
) -> Array:
    """||W (G(z) - y)||_1, the sum over pixels and channels (Yeh et al. 2017, eq. 4).

    With the weight 1 on every known pixel it is eq. 2 of Yeh et al. 2016. Both papers compare it
    with l2, here the sum of W (G(z) - y)^2. generated and images [b, h, w, c], weight
    [b, h, w, 1] -> [b].
    """
    difference = generated - images
    size = jnp.abs(difference) if norm == "l1" else difference**2
    return jnp.sum(weight * size, axis=(1, 2, 3))


def prior_loss(fake: Array) -> Array:
    """log(1 - D(G(z))) from logits [b] (Yeh et al. 2016, eq. 3; 2017, eq. 5 without lambda)."""
    return -jax.nn.softplus(fake)


def gaussian_loss(prediction: Array, truth: Array, log_scale: Array) -> Array:
    """-log p(x | z) in nats, for pixels normal around the prediction (Kingma & Welling 2014, C.2).

    Args:
        prediction: [b, h, w, c].
        truth: [b, h, w, c].
        log_scale: logarithm of their standard deviation, one for all, [].
    """
    square = jnp.mean((prediction - truth) ** 2, axis=(1, 2, 3)) * jnp.exp(-2 * log_scale)
    return truth[0].size * (square + 2 * log_scale + jnp.log(2 * jnp.pi)) / 2


def divergence(mean: Array, log_variance: Array) -> Array:
    """KL(q(z | x), p(z)) in nats of a normal [b, d] from the standard one (as above, eq. 10)."""
    return jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance, axis=1) / 2


def latent_loss(z: Array) -> Array:
    """-log p(z) in nats up to a constant, for z [b, d] standard normal: |z|^2 / 2."""
    return jnp.sum(z**2, axis=1) / 2


def total_variation(images: Array, hole: Array) -> Array:
    """Mean square of the step between neighbours, over all pairs that touch the hole.

    Upsilon of Yang et al. 2016, eq. 5, who take the sum. Pairs of which one pixel is known count
    too, so that the hole has no seam; where nothing is missing, 0. images [b, h, w, c], hole
    [b, h, w, 1] -> [b].
    """
    total, pairs = jnp.zeros(len(images)), jnp.zeros(len(images))
    for axis in (1, 2):
        before, after = (
            lax.slice_in_dim(hole, i, hole.shape[axis] - 1 + i, axis=axis) for i in (0, 1)
        )
        touched = before | after
        steps = jnp.where(touched, jnp.diff(images, axis=axis), 0.0)
        total += jnp.sum(steps**2, axis=(1, 2, 3))
        pairs += jnp.sum(touched, axis=(1, 2, 3)) * images.shape[-1]
    return total / jnp.maximum(pairs, 1)
