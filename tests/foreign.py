"""Files with the weights of networks of others, as narrow as can be, and what they compute."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.signal import correlate

from ce_jax.models import inception, lpips
from ce_jax.models.vgg import LAYERS


def arrays_of(network, *, batch_norm, seed=0):
    """Random arrays of one to three channels for a network, by the names of its file."""
    random, arrays = np.random.default_rng(seed), {}

    def convolve(name, x, side=3, *, stride=1, padding="SAME"):
        sides = (side, side) if isinstance(side, int) else side
        out = 1 + len(arrays) % 3
        spread = (2 / (x.shape[-1] * sides[0] * sides[1])) ** 0.5
        kernel = random.normal(0, spread, (out, x.shape[-1], *sides))
        if batch_norm:
            arrays[f"{name}.conv.weight"] = kernel
            arrays[f"{name}.bn.weight"] = random.uniform(0.7, 1.3, out)
            arrays[f"{name}.bn.bias"] = random.normal(0.5, 0.2, out)
            arrays[f"{name}.bn.running_mean"] = random.normal(0, 0.2, out)
            arrays[f"{name}.bn.running_var"] = random.uniform(0.5, 2, out)
        else:
            arrays[f"{name}.weight"] = kernel
            arrays[f"{name}.bias"] = random.normal(0.2, 0.2, out)
        size = x.shape[1] if padding == "SAME" else (x.shape[1] - sides[0]) // stride + 1
        return jnp.zeros((len(x), size, size, out))

    size = 299 if batch_norm else 64
    shapes = jax.eval_shape(lambda x: network(convolve, x), jnp.zeros((1, size, size, 3)))
    if not batch_norm:
        for number, activations in enumerate(shapes):
            head = random.uniform(0, 1, (1, activations.shape[-1], 1, 1))
            arrays[f"lin{number}.model.1.weight"] = head
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def alex(**options):
    return arrays_of(lpips.alex, batch_norm=False, **options)


def vgg(**options):
    return arrays_of(lpips.vgg, batch_norm=False, **options)


def inception_v3(**options):
    return arrays_of(inception.pool3, batch_norm=True, **options)


def vgg19(*, torchvision=False):
    """A VGG19 with three to six channels, in either layout, less what lies behind conv4_1."""
    widths, arrays, channels = (3, 4, 3, 5, 4, 3, 4, 5, 6), {}, 3
    for layer, place, width in zip(LAYERS, (0, 2, 5, 7, 10, 12, 14, 16, 19), widths, strict=True):
        kernel = np.random.default_rng(place).normal(0, 0.5, (3, 3, channels, width))
        name = f"features.{place}" if torchvision else layer
        kernel = kernel.transpose(3, 2, 0, 1) if torchvision else kernel
        arrays[f"{name}.weight"] = np.ascontiguousarray(kernel, np.float32)
        arrays[f"{name}.bias"] = np.linspace(-1, 1, width, dtype=np.float32)
        channels = width
    return arrays


def saved(path, arrays):
    np.savez(path, **arrays)
    return str(path)


# By hand, of one image [h, w, c]


def convolved(x, kernel, bias, *, stride=1, padding=0):
    """ReLU of a convolution, kernel [out, in, h, w], with so many zeros, or rows and columns."""
    rows, columns = (padding, padding) if isinstance(padding, int) else padding
    padded = np.pad(x, ((rows, rows), (columns, columns), (0, 0)))
    maps = [correlate(padded, one.transpose(1, 2, 0), "valid")[..., 0] for one in kernel]
    return np.maximum(np.stack(maps, -1)[::stride, ::stride] + bias, 0)


def pooled(x, reduce, *, side, stride, padding=0):
    """What `reduce` makes of each window, as far as it lies in the image."""
    rows, columns = (
        [
            slice(max(first, 0), first + side)
            for first in range(-padding, n + padding - side + 1, stride)
        ]
        for n in x.shape[:2]
    )
    return np.stack([[reduce(x[r, c], axis=(0, 1)) for c in columns] for r in rows])
