"""The devices: one mesh with one axis, images split along it, everything learned replicated.

`jax.jit` over the mesh is the default; `jax.pmap` compiles the same pure step for those who want
one program per device. Both give the same numbers for any number of devices, because noise and
holes are drawn from one key per image and BatchNorm sees the whole batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ce_jax import images

AXIS = "data"


class DeviceError(ValueError):
    """A batch that the devices cannot share."""


def make_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """All devices (or the given ones) in a row."""
    devices = jax.devices() if devices is None else devices
    return Mesh(np.asarray(devices), (AXIS,), axis_types=(AxisType.Auto,))


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


def here(tree: Any) -> Any:
    """Replicated arrays as this host alone holds them, for what no other host takes part in."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)


def check_batch(batch_size: int, mesh: Mesh) -> None:
    """Raises DeviceError, with the nearest sizes that fit, unless the devices can share a batch."""
    devices = mesh.size
    if batch_size % devices:
        fits = [
            n for n in (batch_size // devices * devices, -(-batch_size // devices) * devices) if n
        ]
        raise DeviceError(
            f"batch_size ({batch_size}) must be a multiple of the number of devices ({devices}); "
            f"try {' or '.join(map(str, fits))}."
        )


def compile_steps(step: Callable, mesh: Mesh) -> Callable:
    """`jax.jit` of a pure step, once for each batch: (state, batches, key) -> (state, scalars).

    All steps are one program: the host is needed once for all of them, and the memory that they
    work in is allocated once. The batches arrive as bytes and become floats on the device; the
    state's buffers are reused. Step t draws from `fold_in(key, t)`, where t is `state.step`.
    Scalars come back as [steps] each.
    """
    shared, whole = split(mesh), replicated(mesh)

    def update(state: Any, batches: Sequence[jax.Array], key: jax.Array) -> tuple[Any, Any]:
        def one(state: Any, batch: jax.Array) -> tuple[Any, Any]:
            keys = jax.random.split(jax.random.fold_in(key, state.step), len(batch))
            keys = jax.lax.with_sharding_constraint(keys, shared)
            return step(state, images.to_float(batch), keys)

        return jax.lax.scan(one, state, jnp.stack(batches))

    return jax.jit(
        update, in_shardings=(whole, shared, whole), out_shardings=(whole, whole), donate_argnums=0
    )


def pmap_step(step: Callable, devices: Sequence[Any]) -> Callable:
    """`jax.pmap` of a pure step that was built with `axis=AXIS`: (state, images, key) as above.

    It does one step, with a key of its own. State and scalars come back with a leading device axis,
    as pmap has it; the state goes in so.
    """
    mapped = jax.pmap(
        lambda state, batch, keys: step(state, images.to_float(batch), keys),
        axis_name=AXIS,
        devices=devices,
    )

    def update(state: Any, batch: jax.Array, key: jax.Array) -> tuple[Any, Any]:
        rows = (len(devices), len(batch) // len(devices))
        keys = jax.random.split(key, rows)
        return mapped(state, batch.reshape(*rows, *batch.shape[1:]), keys)

    return update
