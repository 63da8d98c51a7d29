"""The devices: one mesh with one axis, images split along it, everything learned replicated.

`jax.jit` over the mesh is the default; `jax.pmap` compiles the same pure step into one program for
each device. Both give the same numbers for any number of devices, because noise and
holes are drawn from one key per image and BatchNorm sees the whole batch.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import (
    global_array_to_host_local_array,
    host_local_array_to_global_array,
)
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ce_jax.config import nearest
from ce_jax.pixels import to_float

AXIS = "data"
Mode = Literal["jit", "pmap"]


class DeviceError(ValueError):
    """A batch that the devices cannot share."""


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """All devices in a row, those of a host beside one another; or the given ones as they come."""
    if devices is None:
        devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


def processor() -> Any:
    """The processor beside an accelerator; None where JAX was told not to use it."""
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return None


def split(mesh: Mesh) -> NamedSharding:
    """Images, holes and keys: the leading axis is shared out over the devices."""
    return NamedSharding(mesh, P(AXIS))


def replicated(mesh: Mesh) -> NamedSharding:
    """Weights and scalars: the same on every device."""
    return NamedSharding(mesh, P())


def spread(tree: Any, layout: Any) -> Any:
    """What this process holds whole, laid out like `layout`; the same in all of them.

    Args:
        tree: arrays of this host.
        layout: arrays of the same shapes, which may span the devices of many hosts.
    """

    def one(leaf: Any, like: jax.Array) -> jax.Array:
        whole = np.asarray(leaf)
        return jax.make_array_from_callback(like.shape, like.sharding, lambda part: whole[part])

    return jax.tree.map(one, tree, layout)


def copied(tree: Any, mesh: Mesh) -> Any:
    """Arrays that every process has the same of, on all devices of all of them."""
    return jax.jit(lambda same: same, out_shardings=replicated(mesh))(tree)


def here(tree: Any) -> Any:
    """Replicated arrays as this host alone holds them, for what no other host takes part in."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def check_batch(batch_size: int, mesh: Mesh, *, parts: int = 1) -> None:
    """Raises DeviceError, with the nearest sizes that fit, unless the devices can share a batch.

    Of a batch that is seen in parts, each device must have its share of every part.
    """
    shares, times = mesh.size * parts, f", times microbatches ({parts})" if parts > 1 else ""
    if batch_size % shares:
        raise DeviceError(
            f"batch_size ({batch_size}) must be a multiple of the number of devices ({mesh.size})"
            f"{times}; try {nearest(batch_size, shares)}."
        )


def compile_steps(step: Callable, mesh: Mesh, *, mode: Mode = "jit") -> Callable:
    """A pure step, compiled, once for each batch: (state, batches, key) -> (state, scalars).

    All steps are one program: the host is needed once for all of them, and the memory that they
    work in is allocated once. The batches arrive as bytes and become floats on the device; the
    state's buffers are reused. Step t draws from `fold_in(key, t)`, where t is `state.step`.
    Scalars come back as [steps] each. In both modes state and scalars are replicated over the mesh
    and batches split along it, before and after.

    Args:
        step: (state, images, key) -> (state, scalars), of a system with the axis of the mode.
        mesh: the devices.
        mode: `jit` or `pmap`.
    """
    compiled = _jit_steps if mode == "jit" else _pmap_steps
    return compiled(step, mesh)


def _jit_steps(step: Callable, mesh: Mesh) -> Callable:
    shared, whole = split(mesh), replicated(mesh)

    def keys(key: jax.Array, count: int) -> jax.Array:
        return jax.lax.with_sharding_constraint(jax.random.split(key, count), shared)

    return jax.jit(
        partial(_steps, step, keys),
        in_shardings=(whole, shared, whole),
        out_shardings=(whole, whole),
        donate_argnums=0,
    )


def _pmap_steps(step: Callable, mesh: Mesh) -> Callable:
    devices, shared = mesh.size, split(mesh)

    def keys(key: jax.Array, count: int) -> jax.Array:
        of_all = jax.random.split(key, (devices, count))
        return of_all[jax.lax.axis_index(AXIS)]

    def rows(batches: Sequence[jax.Array]) -> list[jax.Array]:
        return [batch.reshape(devices, -1, *batch.shape[1:]) for batch in batches]

    # Of several hosts, pmap would take a typed key apart on the host: it is given the numbers.
    def steps(state: Any, batches: Sequence[jax.Array], key: jax.Array) -> tuple[Any, Any]:
        return _steps(step, keys, state, batches, jax.random.wrap_key_data(key))

    in_rows = jax.jit(rows, out_shardings=shared)
    mapped = jax.pmap(
        steps,
        axis_name=AXIS,
        in_axes=(None, 0, None),
        out_axes=(None, None),
        devices=list(mesh.devices.flat),
        donate_argnums=0,
    )

    def update(state: Any, batches: Sequence[jax.Array], key: jax.Array) -> tuple[Any, Any]:
        """Of several hosts, each hands pmap what lies on it, and gets the same back."""
        given = state, in_rows(batches), jax.random.key_data(key)
        if jax.process_count() == 1:
            return mapped(*given)
        ours = global_array_to_host_local_array(given, mesh, (P(), P(AXIS), P()))
        return host_local_array_to_global_array(mapped(*ours), mesh, P())

    return update


def _steps(
    step: Callable, keys: Callable, state: Any, batches: Sequence[jax.Array], key: jax.Array
) -> tuple[Any, Any]:
    """One step after another, with a key for each image of this program: `keys(key, count)`."""

    def one(state: Any, batch: jax.Array) -> tuple[Any, Any]:
        return step(state, to_float(batch), keys(jax.random.fold_in(key, state.step), len(batch)))

    return jax.lax.scan(one, state, jnp.stack(batches))
