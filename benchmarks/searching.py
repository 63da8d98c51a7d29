"""Latent search: a step, all steps of the paper, and ours that begins with a guess."""

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import torch

from benchmarks import ours, pytorch, theirs
from benchmarks.pytorch.networks import frozen
from benchmarks.pytorch.running import EAGER, Mode
from benchmarks.pytorch.searching import GuidedSearch, Search
from benchmarks.setting import Setting
from benchmarks.theirs import Call, tensor
from benchmarks.training import holed, label, work_of_steps
from benchmarks.work import Side, Work
from ce_jax.completion.space import Networks
from ce_jax.config import LatentSearch
from ce_jax.runs.arithmetic import flops

PUBLISHED = LatentSearch()
"""The search of Yeh et al. 2017, 1,500 steps."""

GUIDED = "latent search, 30 steps from a guess"
ALGORITHMS = "latent search, two algorithms"

_FAST = Path(__file__).parent.parent / "configs" / "latent_search_fast.py"


def search_step(
    setting: Setting,
    *,
    name: str = "latent search step",
    keep: Callable[[Mode], bool] = lambda mode: True,
) -> Work:
    """A step of latent search in frozen networks; a call ends by judging where it has arrived."""
    networks = ours.dcgan_networks(setting, setting.size)
    found = theirs.sides(
        setting,
        ours=lambda setting: our_side(setting, networks),
        theirs=lambda mode: _their_call(setting, networks, mode),
        keep=keep,
    )
    counted = _flops(setting, networks)
    return work_of_steps(name, label(setting), setting, counted, found)


def whole_search(setting: Setting) -> Work:
    """All 1,500 steps; where they would take too long, a chain of some of them.

    Nobody judges where it has arrived: once in a chain would be many times in all.
    """
    setting, said = _chain(setting)
    networks = ours.dcgan_networks(setting, setting.size)
    part = setting.steps / PUBLISHED.steps
    found = theirs.sides(
        setting,
        ours=lambda setting: our_side(setting, networks, part=part, judged=False),
        theirs=lambda mode: _their_call(setting, networks, mode, judged=False),
        part=part,
    )
    return Work(
        name="latent search, 1,500 steps",
        setting=f"{label(setting)}{said}",
        images=setting.batch_size,
        flops=_flops(setting, networks, judged=False) * PUBLISHED.steps,
        sides=found.sides,
        missing=found.missing,
    )


def guided_search(setting: Setting) -> Work:
    """All of our search that begins with a guess, 30 steps, on both sides."""
    networks = ours.dcgan_networks(setting, setting.size)

    def their_call(mode: Mode) -> Call:
        guided = ours.guided(networks, setting)
        search = their_guided_search(setting, guided, fast(setting), mode=mode)

        def call() -> None:
            search()
            pytorch.wait()

        return call

    found = theirs.sides(
        setting, ours=lambda setting: _our_fast_side(setting, networks), theirs=their_call
    )
    return Work(
        name=GUIDED,
        setting=label(setting),
        images=setting.batch_size,
        sides=found.sides,
        missing=found.missing,
    )


def fast_search(setting: Setting) -> Work:
    """Two algorithms: our search of 30 steps from a guess, and PyTorch's of all 1,500.

    Over the centre of faces the hole PSNR of the shorter one is as good, though its objective is
    not (docs/results.md, Faster search). It needs an encoder that was trained before.
    """
    setting, said = _chain(setting)
    networks = ours.dcgan_networks(setting, setting.size)
    found = theirs.sides(
        setting,
        ours=lambda setting: _our_fast_side(setting, networks),
        theirs=lambda mode: _their_call(setting, networks, mode, judged=False),
        part=setting.steps / PUBLISHED.steps,
    )
    return Work(
        name=ALGORITHMS,
        setting=f"{label(setting)}; JAX 30 steps from a guess (needs a trained encoder; hole "
        f"PSNR as good over the centre), PyTorch 1,500{said}",
        images=setting.batch_size,
        sides=found.sides,
        missing=found.missing,
        alike=False,
    )


def problem(setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, a hole in each, and the z to begin with."""
    shape = setting.batch_size, setting.model.latent
    z = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
    return *holed(setting.batch_size, setting.size), z


def our_side(
    setting: Setting, networks: Networks, *, part: float = 1.0, judged: bool = True
) -> Side:
    """A search of as many steps as the setting has."""
    search, _ = ours.search(setting, _settings(setting))
    if not judged:
        both = search
        search = jax.jit(lambda *given: both(*given)[0])
    inputs = jax.device_put(problem(setting))
    made = ours.executable(search, networks, *inputs)
    return made.side(lambda: jax.block_until_ready(made.run(networks, *inputs)), part=part)


def their_search(
    setting: Setting, networks: Networks, *, mode: Mode = EAGER, prior: float = PUBLISHED.prior
) -> Search:
    """The opponent in the same networks, on the same images, from the same start."""
    assert networks.critic is not None
    sizes = {"size": setting.size, "width": setting.width}
    return Search(
        frozen(theirs.generator_twin(networks.generator, setting), dtype=mode.dtype),
        frozen(theirs.critic_twin(networks.critic, **sizes), dtype=mode.dtype),
        *map(tensor, problem(setting)),
        rate=PUBLISHED.rate,
        window=PUBLISHED.window,
        prior=prior,
        mode=mode,
    )


def their_guided_search(
    setting: Setting, guided: Networks, settings: LatentSearch, *, mode: Mode = EAGER
) -> GuidedSearch:
    """The opponent of a search that begins with the guess of an encoder."""
    searched = Networks(*guided.generator["searched"])
    assert searched.critic is not None
    sizes = {"size": setting.size, "width": setting.width}
    images, hole, _ = problem(setting)
    return GuidedSearch(
        frozen(theirs.latent_encoder_twin(guided.generator["encoder"], setting)),
        frozen(theirs.generator_twin(searched.generator, setting), dtype=mode.dtype),
        frozen(theirs.critic_twin(searched.critic, **sizes), dtype=mode.dtype),
        tensor(images),
        tensor(hole),
        steps=settings.steps,
        rate=settings.rate,
        window=settings.window,
        prior=settings.prior,
        prior_every=settings.prior_every,
        mode=mode,
    )


def fast(setting: Setting) -> LatentSearch:
    """The search of configs/latent_search_fast.py, in the precision of a setting."""
    found = runpy.run_path(str(_FAST))["get_config"]().latent
    return replace(found, precision=setting.precision)


def _their_call(setting: Setting, networks: Networks, mode: Mode, *, judged: bool = True) -> Call:
    search = their_search(setting, networks, mode=mode)
    do = search if judged else search.descend

    def call() -> None:
        do(setting.steps)
        pytorch.wait()

    return call


def _our_fast_side(setting: Setting, networks: Networks) -> Side:
    guided = ours.guided(networks, setting)
    images, hole, _ = jax.device_put(problem(setting))
    keys = jax.random.split(jax.random.key(0), setting.batch_size)
    search = ours.guided_search(setting.guesser, fast(setting))
    made = ours.executable(search, guided, images, hole, keys)
    return made.side(lambda: jax.block_until_ready(made.run(guided, images, hole, keys)))


def _settings(setting: Setting) -> LatentSearch:
    return LatentSearch(steps=setting.steps, precision=setting.precision)


def _chain(setting: Setting) -> tuple[Setting, str]:
    """A setting with as many steps in a call as there is time for, and how to say so."""
    if torch.cuda.is_available():
        return replace(setting, steps=PUBLISHED.steps), ""
    return setting, f", by a chain of {setting.steps}"


def _flops(setting: Setting, networks: Networks, *, judged: bool = True) -> float:
    """Of a step; a loop's body counts once, however often it runs, and so does the judging."""
    inputs = problem(setting)
    one_step, judge = ours.search(setting, LatentSearch(steps=1))
    judging = flops(judge, networks, inputs[-1])
    return flops(one_step, networks, *inputs) - (1 - judged / setting.steps) * judging
