"""The smallest experiments that still have every part, shared so that they are compiled once."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import replace
from unittest import mock

import jax
import numpy as np
from flax import linen as nn

from ce_jax import sharding, systems
from ce_jax.config import (
    Adam,
    ContextEncoder,
    Data,
    Dcgan,
    Frame,
    L2Gan,
    LatentEncoder,
    Training,
    Vae,
)
from ce_jax.models.layers import BatchNorm
from ce_jax.state import Game

# XLA then takes less than half of the time, and what runs once is none the slower for it.
QUICKLY = {"xla_backend_optimization_level": "0"}
if jax.__version_info__ < (0, 11):  # from there on its CPU compiler has no other way to fuse
    QUICKLY["xla_cpu_use_fusion_emitters"] = False

jit = functools.partial(jax.jit, compiler_options=QUICKLY)

# The same operations as in earnest: two programs then agree to the last bit where they would there.
EXACTLY = {"xla_backend_optimization_level": "0"}

_BASE = Training(
    model=Dcgan(width=4, latent=8),
    data=Data(source="bundled:digits[:64]", frame=Frame(size=32), threads=2),
    steps=4,
    batch_size=16,
    steps_per_call=1,
    log_every=1,
    picture_every=2,
    checkpoint_every=2,
)


def dcgan(**changes) -> Training:
    """A DCGAN with a running average."""
    return replace(_BASE, **({"average": 0.9} | changes))


def dcgan_otherwise(**changes) -> Training:
    """A DCGAN in which everything is chosen that is not the default, without an average."""
    model = Dcgan(
        width=4,
        latent=8,
        prior="normal",
        kernel=5,
        head="softmax",
        generator_steps=2,
        augmentation=("colour", "translation", "cutout"),
    )
    adam = Adam(l2=1e-2)
    return replace(_BASE, **({"model": model, "generator": adam, "critic": adam} | changes))


def vae(**changes) -> Training:
    """A VAE that learns its scale, with a divergence that counts twice."""
    return replace(_BASE, **({"model": Vae(width=4, latent=8, beta=2.0)} | changes))


def latent_encoder(**changes) -> Training:
    """The encoder of a tiny DCGAN, which it needs, so it is no part of `EVERY_KIND`."""
    model = LatentEncoder(dcgan=_BASE.model, width=4, holes=("center", "random:0.5"))
    rate = Adam(rate=5e-3)
    return replace(_BASE, **({"model": model, "generator": rate, "average": 0.9} | changes))


def context_encoder(**changes) -> Training:
    """The published kind: predicts the centre, with an overlap band and a patch critic."""
    return replace(_BASE, **({"model": ContextEncoder(width=4, bottleneck=8)} | changes))


def context_encoder_alone(**changes) -> Training:
    """The whole image, with skips and residual, from two kinds of hole, no critic."""
    model = ContextEncoder(
        width=4,
        bottleneck=8,
        skips=True,
        residual=True,
        error="logarithm",
        predicts="image",
        holes=("block:12", "random:0.3"),
        adversarial=0.0,
    )
    return replace(
        _BASE, **({"model": model, "generator": Adam(rate=1e-3, schedule="cosine")} | changes)
    )


def self_tuned(**changes) -> Training:
    """Three levels of squares that share a batch on demand; `changes` may be of the model too."""
    model = ContextEncoder(
        width=4,
        bottleneck="channel-wise",
        predicts="image",
        holes=("block:1-4", "block:5-8", "block:9-12"),
        sharing="on-demand",
        reconstructs="image",
        hole_channel=True,
        overlap=0,
        adversarial=0.0,
    )
    of_model = {name: changes.pop(name) for name in list(changes) if hasattr(model, name)}
    return replace(_BASE, model=replace(model, **of_model), **changes)


def alexnet(**changes) -> Training:
    """AlexNet at the only size it has, 227 pixels; no part of `EVERY_KIND`. Model as above."""
    model = ContextEncoder(
        encoder="alexnet",
        width=6,
        bottleneck="channel-wise",
        predicts="image",
        holes=("pattern:0.25",),
        overlap=0,
        adversarial=0.0,
    )
    of_model = {name: changes.pop(name) for name in list(changes) if hasattr(model, name)}
    data = replace(_BASE.data, frame=Frame(size=227))
    return replace(_BASE, model=replace(model, **of_model), data=data, **changes)


def l2_gan(**changes) -> Training:
    """Two steps of recovery, two of refinement, at 88 pixels; no part of `EVERY_KIND`. As above."""
    model = L2Gan(width=2, bottleneck=8, recovery_steps=2, corner="bottom-left", adversarial=0.1)
    of_model = {name: changes.pop(name) for name in list(changes) if hasattr(model, name)}
    data = replace(_BASE.data, frame=Frame(size=88))
    of_run = {"data": data, "average": 0.9, "batch_size": 8} | changes
    return replace(_BASE, model=replace(model, **of_model), **of_run)


EVERY_KIND = {
    "dcgan": dcgan(),
    "dcgan_otherwise": dcgan_otherwise(),
    "vae": vae(),
    "context_encoder": context_encoder(),
    "context_encoder_alone": context_encoder_alone(),
    "self_tuned": self_tuned(),
}


def quickly(options=QUICKLY):
    """While this holds, `jax.jit` compiles as quickly as it can, for numbers that run seldom."""
    return mock.patch.object(jax, "jit", functools.partial(jax.jit, compiler_options=options))


def quick_pmap(*arguments, pmap=jax.pmap, **options):
    """`jax.pmap` likewise; compiles at every call."""
    lower = pmap(*arguments, **options).lower
    return lambda *inputs: lower(*inputs).compile(compiler_options=QUICKLY)(*inputs)


@contextlib.contextmanager
def built_once():
    """Runs of one experiment share what is traced and compiled: the most of so short a run."""
    with (
        quickly(),
        mock.patch.object(systems, "build", functools.cache(systems.build)),
        mock.patch.object(sharding, "compile_steps", functools.cache(sharding.compile_steps)),
    ):
        yield


@functools.cache
def compiled(experiment: Training, devices: int = 8) -> Callable:
    """The steps of an experiment on the first so many devices."""
    mesh, mode = sharding.make_mesh(jax.devices()[:devices]), experiment.sharding.mode
    step = systems.build(experiment, axis=sharding.AXIS if mode == "pmap" else None).step
    with quickly(), mock.patch.object(jax, "pmap", quick_pmap):
        return sharding.compile_steps(step, mesh, mode=mode)


@functools.cache
def start(experiment: Training) -> Game:
    """The state of step 0, on the host."""
    with quickly():
        return jax.device_get(jax.jit(systems.build(experiment).init)(jax.random.key(0)))


def after(steps: int) -> Callable[[], bool]:
    """Asks a run to stop after so many further steps."""
    asked = iter(range(steps + 1))
    return lambda: next(asked) == steps


def batch(seed: int, *, size: int = 16, side: int = 32) -> np.ndarray:
    """Bytes of noise that stand for photographs."""
    return np.random.default_rng(seed).integers(0, 256, (size, side, side, 3), np.uint8)


def play(experiment: Training, *batches: np.ndarray, devices: int = 8, begun: Game | None = None):
    """The state after a step on each batch, from step 0 or another on, and the scalars of each."""
    mesh, reports = sharding.make_mesh(jax.devices()[:devices]), []
    game = jax.device_put(begun or start(experiment), sharding.replicated(mesh))
    for images in jax.device_put(batches, sharding.split(mesh)):
        game, scalars = compiled(experiment, devices)(game, [images], jax.random.key(1))
        reports.append({name: float(value) for name, (value,) in scalars.items()})
    return jax.device_get(game), reports


class Painter(nn.Module):
    """The smallest generator: z -> images [b, 2, 2, 3]."""

    normalised: bool = True

    @nn.compact
    def __call__(self, z, *, train):
        x = nn.Dense(12)(z)
        return (BatchNorm(train)(x) if self.normalised else nn.tanh(x)).reshape(-1, 2, 2, 3)


class Judge(nn.Module):
    """The smallest critic: images -> logits [b]."""

    normalised: bool = True

    @nn.compact
    def __call__(self, images, *, train):
        x = nn.Dense(4)(images.reshape(len(images), -1))
        return nn.Dense(1)(BatchNorm(train)(x) if self.normalised else nn.tanh(x))[:, 0]
