"""Everything a run has learned, as pytrees: what linen keeps in its variables, and the optimisers.

A `Network` is the static half of a player (its layers and its optimiser); a `Player` is what it
has learned; a `Game` is two players against each other.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct
from jax import Array

from ce_jax.config import Adam, Training

Variables = dict[str, Any]
Scalars = dict[str, Array]


@struct.dataclass
class Player:
    """What a network has learned: weights, BatchNorm statistics and the optimiser's moments."""

    params: Any
    batch_stats: Any
    moments: Any

    @property
    def variables(self) -> Variables:
        """What is needed to use the network, without what is needed to go on training it."""
        return {"params": self.params, "batch_stats": self.batch_stats}

    def with_variables(self, variables: Variables) -> "Player":
        """This player, as if it had learned these; its optimiser remembers nothing of it."""
        return replace(self, params=variables["params"], batch_stats=variables["batch_stats"])


@struct.dataclass
class Game:
    """The state of a run: a generator, its critic (None without an adversarial loss), the step."""

    generator: Player
    critic: Player | None
    average: Variables | None
    step: Array

    @property
    def inference_variables(self) -> Variables:
        """The generator to show and to complete with: the running average where one is kept."""
        return self.generator.variables if self.average is None else self.average

    def with_variables(self, variables: Variables, critic: Variables | None) -> "Game":
        """The inverse of `inference_variables`: this game with networks that learned elsewhere.

        A critic of which nothing is known stays as it is.
        """
        judge = self.critic
        return replace(
            self,
            generator=self.generator.with_variables(variables),
            critic=judge if judge is None or critic is None else judge.with_variables(critic),
            average=None if self.average is None else variables,
        )


@struct.dataclass
class Curriculum:
    """How many images of a batch each kind of hole gets, and its PSNR when that was decided."""

    counts: Array
    psnr: Array


@struct.dataclass
class TaughtGame(Game):
    """A game whose kinds of hole share a batch after a curriculum."""

    curriculum: Curriculum


@struct.dataclass
class RefinedGame(Game):
    """A game whose generator refines what a network has recovered that learned before it.

    `validation` is what they did on validation images when they were last tried: the mean L2 of the
    recovered block, in per cent of the square of the range (`recovery`), that of the refined one
    (`l2`), and the mean loss of the critic on real and refined blocks (`critic`).
    """

    recovery: Player
    validation: Scalars

    @property
    def inference_variables(self) -> Variables:
        """Both networks: what a completion needs."""
        return {"recovery": self.recovery.variables, "refiner": super().inference_variables}

    def with_variables(self, variables: Variables, critic: Variables | None) -> Game:
        """As every game does, with both networks."""
        recovery = self.recovery.with_variables(variables["recovery"])
        return replace(super().with_variables(variables["refiner"], critic), recovery=recovery)


class Searched(NamedTuple):
    """The networks of the DCGAN in whose z is searched."""

    generator: Variables
    critic: Variables


@struct.dataclass
class GuessingGame(Game):
    """A game whose generator is the encoder; the DCGAN stays as it is."""

    searched: Searched

    @property
    def inference_variables(self) -> Variables:
        """All three networks: what a latent search needs."""
        return {"encoder": super().inference_variables, "searched": self.searched}

    def with_variables(self, variables: Variables, critic: Variables | None) -> Game:
        """As every game does, with all three networks; or with those of a DCGAN alone."""
        if "searched" not in variables:
            assert critic is not None
            return replace(self, searched=Searched(variables, critic))
        searched = Searched(*variables["searched"])
        return replace(super().with_variables(variables["encoder"], critic), searched=searched)


def parameters(game: Game) -> dict[str, int]:
    """How many weights each network has that learns in a game, by its name there."""
    players = {name: value for name, value in vars(game).items() if isinstance(value, Player)}
    return {
        name: sum(leaf.size for leaf in jax.tree.leaves(player.params))
        for name, player in players.items()
    }


def by_name(tree: Any) -> dict[str, Any]:
    """Every array of a tree, or its shape, by the dotted name of its place, in their order."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: hasattr(x, "shape"))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


class Trained(NamedTuple):
    """What an inpainting needs of a finished (or still running) training run.

    Attributes:
        config: the experiment.
        generator: what completes.
        critic: what judges; None without one.
        step: how far the run has come; 0 where nobody knows.
        sha256: of the file that holds it all; None for a work directory.
        guide: a context encoder beside it, where an inpainting asks for one.
    """

    config: Training
    generator: Variables
    critic: Variables | None
    step: int
    sha256: str | None = None
    guide: "Trained | None" = None

    @classmethod
    def of(cls, config: Training, game: Game, step: int) -> "Trained":
        """The networks of a run that has come to this step."""
        return cls(config, game.inference_variables, game.critic and game.critic.variables, step)


@dataclass(frozen=True)
class Network:
    """A module and its optimiser.

    Attributes:
        module: the layers.
        optimizer: how it learns.
        axis: names the device axis under `jax.pmap`.
        parts: in how many equal parts it sees a batch.
    """

    module: nn.Module
    optimizer: optax.GradientTransformation
    axis: str | None = None
    parts: int = 1

    def init(self, key: Array, *examples: Array) -> Player:
        """A player that has learned nothing yet, from a key [], for inputs like `examples`."""
        variables = self.module.init(key, *examples, train=False)
        params = variables["params"]
        return Player(params, variables.get("batch_stats", {}), self.optimizer.init(params))

    def forward(self, params: Any, batch_stats: Any, *inputs: Array) -> tuple[Any, Any]:
        """Outputs on a training batch, and the BatchNorm statistics after it.

        Those of several parts are averaged.
        """

        def seen(*inputs: Array) -> tuple[Any, Any]:
            outputs, updated = self.module.apply(
                {"params": params, "batch_stats": batch_stats},
                *inputs,
                train=True,
                mutable=["batch_stats"],
            )
            return outputs, updated.get("batch_stats", {})

        if self.parts == 1:
            return seen(*inputs)
        outputs, updated = in_parts(seen, self.parts)(*inputs)
        return _together(outputs), jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), updated)

    def learn(self, player: Player, gradient: Any, batch_stats: Any) -> Player:
        """The player after one optimisation step."""
        gradient = mean_over(self.axis, gradient)
        updates, moments = self.optimizer.update(gradient, player.moments, player.params)
        return Player(optax.apply_updates(player.params, updates), batch_stats, moments)


def apply(module: nn.Module, variables: Variables, *inputs: Any, parts: int = 1) -> Any:
    """Outputs for inputs [b, ...] with stored BatchNorm statistics: each result is its own."""

    def seen(*inputs: Any) -> Any:
        return module.apply(variables, *inputs, train=False)

    return seen(*inputs) if parts == 1 else _together(in_parts(seen, parts)(*inputs))


def in_parts(function: Callable[..., Any], parts: int) -> Callable[..., Any]:
    """The function of equal parts of its inputs [b, ...], one after another: results [parts, ...].

    So much memory is needed as one part takes, in both directions: going back, each part is
    computed again, and the gradients of all are added up. Part p has the images i with
    i % parts = p, so that every device has its share of each.
    """

    def cut(x: Array) -> Array:
        return jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0)

    again = jax.checkpoint(lambda inputs: function(*inputs), prevent_cse=False)
    return lambda *inputs: jax.lax.map(again, jax.tree.map(cut, inputs))


def _together(outputs: Any) -> Any:
    """What parts made of a batch [parts, b / parts, ...], in its order; of scalars, the mean."""

    def joined(x: Array) -> Array:
        if x.ndim == 1:
            return jnp.mean(x)
        return jnp.moveaxis(x, 0, 1).reshape(-1, *x.shape[2:])

    return jax.tree.map(joined, outputs)


def mean_over(axis: str | None, tree: Any) -> Any:
    """The mean over the devices of a pmap; under jit, where `axis` is None, arrays are global."""
    return tree if axis is None else jax.lax.pmean(tree, axis)


def optimizer(adam: Adam, *, steps: int) -> optax.GradientTransformation:
    """Adam with the schedule and the L2 penalty of the config over a run of `steps`."""
    rate = optax.cosine_decay_schedule(adam.rate, steps) if adam.schedule == "cosine" else adam.rate
    plain = optax.adam(rate, b1=adam.beta1, b2=adam.beta2)
    return optax.chain(optax.add_decayed_weights(adam.l2), plain) if adam.l2 else plain


def update_average(
    average: Variables | None, variables: Variables, step: Array, decay: float
) -> Variables | None:
    """The running average of a network; its decay at step t is min(decay, (1 + t) / (10 + t)).

    As TensorFlow's ExponentialMovingAverage has it; the step t is int32 []. Of None, None.
    """
    if average is None:
        return None
    pace = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    return jax.tree.map(lambda old, new: old + pace * (new - old), average, variables)
