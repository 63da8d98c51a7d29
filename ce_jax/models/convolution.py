"""Convolutions at stride 2: what every network here is built of, fast on CPU too.

Three bilinear maps between a large image [b, 2h, 2w, c] and a small one [b, h, w, o], tied by a
kernel [side, side, c, o] of side 4 or 5. Sizes halve and double exactly: the padding is 1 before
and 1 or 2 after, which is what TensorFlow calls SAME.

    downsample(large, kernel)   small[i, j] = sum_kl large[2i + k - 1, 2j + l - 1] @ kernel[k, l]
    upsample(small, kernel)     its transpose in the image:
                                large[2i + k - 1, 2j + l - 1] += kernel[k, l] @ small[i, j]
    correlate(large, small)     its transpose in the kernel:
                                kernel[k, l] = sum_bij large[2i + k - 1, 2j + l - 1] (x) small[i, j]

They are closed under differentiation: the gradients of each are the other two. Of a kernel that
learns no more, `prepare` makes once what else every convolution would make of it. GPU and TPU get
the native convolutions. XLA:CPU computes the kernel gradient of one at a few per cent of the
machine's peak, so there all three are a handful of matrix products, after an `_Algorithm`: a direct
one, or that of `winograd`. In blocks of 2x2 pixels these are convolutions at stride 1, of 2x2
blocks for side 4 and of 3x3 for side 5, which is side 6 with zeros in the last row and column.

Images may be bfloat16: then both factors of every product are, the kernel is rounded to it for that
alone, and sums are float32, as is the gradient of a kernel that is. What comes out has the type of
what went in.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ce_jax.models import winograd


class Prepared(NamedTuple):
    """A kernel that learns no more, [side, side, c, o], and its matrices for products on CPU."""

    kernel: Array
    matrices: list[Array]


def prepare(kernel: Array) -> Prepared:
    """For as many convolutions as wanted, in the type of the kernel, of small images of even sizes.

    They have no gradient in it.
    """
    return _prepared((2, 2), kernel)


def _downsample_native(large: Array, prepared: Prepared) -> Array:
    # Accelerators add up in float32 and round the sum to the type of the factors.
    return lax.conv_general_dilated(
        large, prepared.kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _upsample_native(small: Array, prepared: Prepared) -> Array:
    around = (len(prepared.kernel) - 2, 2)
    return lax.conv_general_dilated(
        small,
        prepared.kernel[::-1, ::-1],
        (1, 1),
        (around, around),
        lhs_dilation=(2, 2),
        dimension_numbers=("NHWC", "HWOI", "NHWC"),
    )


def _correlate_native(large: Array, small: Array, *, side: int) -> Array:
    around = (1, side - 3)
    return lax.conv_general_dilated(
        large,
        small,
        (1, 1),
        (around, around),
        rhs_dilation=(2, 2),
        dimension_numbers=("CHWN", "IHWO", "HWNC"),
        preferred_element_type=_of_sums(large),
    )


def _of_sums(factor: Array) -> jnp.dtype:
    """The type in which products of such numbers are added up."""
    return jnp.promote_types(factor.dtype, jnp.float32)


class _Parts(NamedTuple):
    """A linear map of an array to matrices, as many as there are matrix products; its transpose.

    Attributes:
        split: the map.
        join: takes matrices and the shape of an array.
    """

    split: Callable[[Array], list[Array]]
    join: Callable[[list[Array], tuple[int, ...]], Array]


def _with_transpose(split: Callable[[Array], list[Array]]) -> _Parts:
    def join(parts: list[Array], shape: tuple[int, ...]) -> Array:
        of_shape = jax.ShapeDtypeStruct(shape, parts[0].dtype)
        (joined,) = jax.linear_transpose(split, of_shape)(parts)
        return joined

    return _Parts(split, join)


class _Algorithm(NamedTuple):
    """Linear maps of the three arrays to equally many matrices, one matrix product for each.

    With X, K and Y the matrices of large, kernel and small, sum_m <X_m K_m, Y_m> is the sum of
    small * downsample(large, kernel). Whatever is left out of that sum, its derivative is one of
    the three maps: products first, then the transpose of what makes the matrices of the result.
    """

    large: _Parts
    kernel: _Parts
    small: _Parts


def _blocks(large: Array, taps: int) -> Array:
    """A padded image in blocks of 2x2 pixels: [b, 2h, 2w, c] -> [b, h + taps - 1, w + ..., 4c]."""
    b, height, width, c = large.shape
    phases = large.reshape(b, height // 2, 2, width // 2, 2, c)

    # The first row of a block is the second one of two rows of pixels, from one before the first.
    def shifted(row: int, column: int) -> Array:
        rows, columns = ((1 - i, taps - 2 + i) for i in (row, column))
        return jnp.pad(phases[:, :, 1 - row, :, 1 - column], ((0, 0), rows, columns, (0, 0)))

    return jnp.concatenate([shifted(i, j) for i in (0, 1) for j in (0, 1)], axis=-1)


def _pixels(blocks: Array) -> Array:
    """The transpose of that for two taps: [b, h + 1, w + 1, 4c] -> [b, 2h, 2w, c]."""
    b, h, w, channels = blocks.shape
    pixels = blocks.reshape(b, h, w, 2, 2, channels // 4).transpose(0, 1, 3, 2, 4, 5)
    return pixels.reshape(b, 2 * h, 2 * w, channels // 4)[:, 1:-1, 1:-1]


def _kernel_of_blocks(kernel: Array) -> Array:
    """The kernel of the same convolution over blocks at stride 1: [taps, taps, 4c, o]."""
    side, _, c, o = kernel.shape
    taps = _taps(side)
    after = (0, 2 * taps - side)
    padded = jnp.pad(kernel, (after, after, (0, 0), (0, 0))).reshape(taps, 2, taps, 2, c, o)
    return padded.transpose(0, 2, 1, 3, 4, 5).reshape(taps, taps, 4 * c, o)


def _taps(side: int) -> int:
    """How many blocks of two a kernel of this side reaches over."""
    return -(-side // 2)


def _windows(large: Array, taps: int) -> list[Array]:
    """The blocks under each small pixel, side by side: [b, 2h, 2w, c] -> [b, h, w, taps^2 4c]."""
    blocks = _blocks(large, taps)
    h, w = (size - taps + 1 for size in blocks.shape[1:3])
    shifted = [blocks[:, i : h + i, j : w + j] for i in range(taps) for j in range(taps)]
    return [jnp.concatenate(shifted, axis=-1)]


def _direct(taps: int) -> _Algorithm:
    return _Algorithm(
        large=_with_transpose(partial(_windows, taps=taps)),
        kernel=_with_transpose(
            lambda kernel: [_kernel_of_blocks(kernel).reshape(-1, kernel.shape[-1])]
        ),
        small=_with_transpose(lambda small: [small]),
    )


_WINOGRAD = _Algorithm(
    large=_Parts(
        lambda large: winograd.tiles_of_large(_blocks(large, taps=2)),
        lambda tiles, _: _pixels(winograd.large_of_tiles(tiles)),
    ),
    kernel=_with_transpose(lambda kernel: winograd.tiles_of_kernel(_kernel_of_blocks(kernel))),
    small=_Parts(winograd.tiles_of_small, lambda tiles, _: winograd.small_of_tiles(tiles)),
)


def _algorithm(size: tuple[int, ...], side: int, channels: int, dtype: jnp.dtype) -> _Algorithm:
    """Winograd's for two taps, where outputs come in twos and rows of numbers are long enough.

    Not for bfloat16, to which its sums would have to be rounded before they are multiplied.
    """
    (h, w), taps = size, _taps(side)
    in_twos = taps == 2 and h % 2 == w % 2 == 0
    return _WINOGRAD if in_twos and channels >= 16 and dtype != jnp.bfloat16 else _direct(taps)


def _product(left: Array, right: Array) -> Array:
    return jnp.matmul(left, right, preferred_element_type=_of_sums(left))


def _prepared(size: tuple[int, ...], kernel: Array) -> Prepared:
    algorithm = _algorithm(size, len(kernel), kernel.shape[2], kernel.dtype)
    return Prepared(kernel, algorithm.kernel.split(kernel))


def _downsample_products(large: Array, prepared: Prepared) -> Array:
    (b, height, width, c), (side, _, _, o) = large.shape, prepared.kernel.shape
    size = height // 2, width // 2
    algorithm = _algorithm(size, side, c, large.dtype)
    factors = zip(algorithm.large.split(large), prepared.matrices, strict=True)
    products = [_product(x, k) for x, k in factors]
    return algorithm.small.join(products, (b, *size, o)).astype(large.dtype)


def _upsample_products(small: Array, prepared: Prepared) -> Array:
    (b, h, w, _), (side, _, c, _) = small.shape, prepared.kernel.shape
    algorithm = _algorithm((h, w), side, c, small.dtype)
    factors = zip(algorithm.small.split(small), prepared.matrices, strict=True)
    products = [_product(y, k.T) for y, k in factors]
    return algorithm.large.join(products, (b, 2 * h, 2 * w, c)).astype(small.dtype)


def _correlate_products(large: Array, small: Array, *, side: int) -> Array:
    c, o = large.shape[-1], small.shape[-1]
    algorithm = _algorithm(small.shape[1:3], side, c, large.dtype)
    factors = zip(algorithm.large.split(large), algorithm.small.split(small), strict=True)
    products = [_product(_rows(y).T, _rows(x)).T for x, y in factors]
    return algorithm.kernel.join(products, (side, side, c, o))


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _on_platform(cpu: Callable, default: Callable) -> Callable:
    return lambda *arrays, **static: lax.platform_dependent(
        *arrays, cpu=partial(cpu, **static), default=partial(default, **static)
    )


_correlate = _on_platform(_correlate_products, _correlate_native)
_downsample = _on_platform(_downsample_products, _downsample_native)
_upsample = _on_platform(_upsample_products, _upsample_native)


@jax.custom_vjp
def downsample(large: Array, kernel: Array | Prepared) -> Array:
    """Convolves at stride 2: [b, 2h, 2w, c], [side, side, c, o] -> [b, h, w, o].

    For side 4, equal to PyTorch's `Conv2d(c, o, 4, 2, 1, bias=False)` with weight [o, c, 4, 4];
    for side 5, to TensorFlow's `conv2d(large, kernel, 2, "SAME")`.
    """
    _, height, width, _ = large.shape
    return _downsample(large, _ready(kernel, (height // 2, width // 2), large.dtype))


@jax.custom_vjp
def upsample(small: Array, kernel: Array | Prepared) -> Array:
    """Transposed convolution at stride 2: [b, h, w, o], [side, side, c, o] -> [b, 2h, 2w, c].

    For side 4, equal to PyTorch's `ConvTranspose2d(o, c, 4, 2, 1, bias=False)` with weight
    [o, c, 4, 4]; for side 5, to TensorFlow's `conv2d_transpose(small, kernel, ..., 2, "SAME")`.
    """
    return _upsample(small, _ready(kernel, small.shape[1:3], small.dtype))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def correlate(large: Array, small: Array, side: int) -> Array:
    """Gradient of both in their kernel: [b, 2h, 2w, c], [b, h, w, o] -> [side, side, c, o]."""
    return _correlate(large, small, side=side)


def _ready(kernel: Array | Prepared, size: tuple[int, ...], dtype: jnp.dtype) -> Prepared:
    return kernel if isinstance(kernel, Prepared) else _prepared(size, kernel.astype(dtype))


def _gradient(large: Array, small: Array, kernel: Array | Prepared) -> Array | None:
    if isinstance(kernel, Prepared):
        return None
    return lax.convert_element_type(correlate(large, small, len(kernel)), kernel.dtype)


downsample.defvjp(
    lambda large, kernel: (downsample(large, kernel), (large, kernel)),
    lambda saved, small: (upsample(small, saved[1]), _gradient(saved[0], small, saved[1])),
)
upsample.defvjp(
    lambda small, kernel: (upsample(small, kernel), (small, kernel)),
    lambda saved, large: (downsample(large, saved[1]), _gradient(large, saved[0], saved[1])),
)
correlate.defvjp(
    lambda large, small, side: (correlate(large, small, side), (large, small)),
    lambda side, saved, kernel: (upsample(saved[1], kernel), downsample(saved[0], kernel)),
)
