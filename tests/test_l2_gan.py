"""The L2-GAN learns in two phases, sees nothing of its square, and goes on as if never stopped.

After a change of `tests/golden/steps_l2_gan.json` that is meant: UPDATE_GOLDEN=1 pytest this file,
and say in the commit why the first steps of a training come out differently.
"""

import functools
import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained

from ce_jax import holes, images, losses, metrics, sharding, systems
from ce_jax.completion import methods
from ce_jax.config import Data, Frame, Inpainting, L2Gan, Sharding, Training
from ce_jax.holes import HoleError
from ce_jax.models.dcgan import Critic
from ce_jax.runs import checkpointing, workdirs
from ce_jax.state import apply
from ce_jax.systems import l2_gan

EXPERIMENT = tiny.l2_gan()
MODEL, SIZE, SIDE = EXPERIMENT.model, 88, 32
BLOCK = (slice(None), slice(50, 82), slice(6, 38))
"""Where the square of bottom-left lies in 88 pixels."""

pytestmark = pytest.mark.usefixtures("quickly")


def batch(seed):
    return tiny.batch(seed, size=8, side=SIZE)


def after_one(game, seed, *, devices=8, noise=None, mode="jit"):
    """State and scalars after a step on a batch of noise, with other noise in its square."""
    bytes_ = batch(seed)
    if noise is not None:
        bytes_[BLOCK] = batch(noise)[BLOCK]
    update = tiny.compiled(replace(EXPERIMENT, sharding=Sharding(mode=mode)), devices)
    return jax.device_get(update(game, [bytes_], jax.random.key(1)))


@pytest.fixture(scope="module")
def steps():
    """The states from step 0 to step 4 and the scalars between them; two steps in each phase."""
    games, reports = [tiny.start(EXPERIMENT)], []
    for seed in range(4):
        game, scalars = after_one(games[-1], seed)
        games.append(game)
        reports.append({name: float(value) for name, (value,) in scalars.items()})
    return games, reports


def moved(before, after):
    pairs = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)
    return jax.tree.leaves(pairs)


@functools.cache
def looking():
    return jax.jit(functools.partial(l2_gan.fill, MODEL))


@pytest.mark.parametrize(("size", "near", "side"), [(350, 23, 128), (175, 11, 64), (88, 6, 32)])
def test_a_quarter_lacks_its_square_in_mirrored_places(size, near, side):
    far = size - near - side
    rows = {"top": near, "bottom": far}
    columns = {"left": near, "right": far}
    for corner in ("top-left", "top-right", "bottom-left", "bottom-right"):
        vertical, horizontal = corner.split("-")
        place = holes.quarter(corner, size=size)
        assert place == (rows[vertical], columns[horizontal], side)
        key = jax.random.key(0)[None]
        hole = np.asarray(holes.draw(holes.parse(f"quarter:{corner}"), key, size=size))
        model = L2Gan(corner=corner)
        assert hole.sum() == l2_gan.cut(model, hole).sum() == side**2
        block = jnp.ones((1, side, side, 1), bool)
        np.testing.assert_array_equal(hole, l2_gan.paste(model, jnp.zeros_like(hole), block))


def test_a_quarter_by_chance_is_any_of_the_four():
    drawn = holes.draw(holes.parse("quarter"), jax.random.split(jax.random.key(0), 40), size=SIZE)
    expected = {
        np.asarray(
            holes.draw(holes.HoleKind("quarter", corner), jax.random.key(0)[None], size=88)
        ).tobytes()
        for corner in ("top-left", "top-right", "bottom-left", "bottom-right")
    }
    assert {hole.tobytes() for hole in np.asarray(drawn)} == expected


def test_a_quarter_that_is_no_corner_is_refused():
    with pytest.raises(HoleError, match="'middle' is not top-left, top-right, bottom-left or"):
        holes.parse("quarter:middle")


@pytest.mark.parametrize(("size", "to"), [(350, 384), (175, 192), (88, 96)])
def test_images_are_padded_evenly_to_three_times_the_square(size, to):
    padded = np.asarray(l2_gan.padded(MODEL, jnp.ones((1, size, size, 3))))
    assert padded.shape == (1, to, to, 3)
    before = (to - size) // 2
    inside = slice(before, before + size)
    assert padded[:, inside, inside].all()
    assert padded.sum() == 3 * size**2


def test_the_networks_have_the_published_layers_at_350_pixels():
    """Six convolutions, 4000 units; the decoder doubles 4x4 up to 128 pixels."""
    game = jax.eval_shape(
        systems.build(Training(model=L2Gan(), data=Data(frame=Frame(size=350)), steps=40_000)).init,
        jax.random.key(0),
    )
    params = game.recovery.params
    encoder = [params[f"Downsample_{i}"]["kernel"].shape for i in range(6)]
    maps = [64, 64, 128, 256, 512, 512]
    assert encoder == [(4, 4, i, o) for i, o in zip([3, *maps], maps, strict=False)]
    assert params["Dense_0"]["kernel"].shape == (6 * 6 * 512, 4000)
    assert params["Dense_1"]["kernel"].shape == (4000, 4 * 4 * 512)
    decoder = [params[f"Upsample_{i}"]["kernel"].shape[2] for i in range(5)]
    assert decoder == [256, 128, 64, 64, 3]
    blocks = jax.eval_shape(
        functools.partial(l2_gan.fill, L2Gan()),
        game.inference_variables,
        jnp.zeros((2, 350, 350, 3)),
    )
    assert [block.shape for block in blocks] == [(2, 128, 128, 3)] * 2


def test_the_first_steps_have_the_committed_scalars(steps, assert_committed_steps):
    _, found = steps
    assert_committed_steps("l2_gan", found)


def test_first_the_encoder_decoder_learns_then_the_others(steps):
    games, _ = steps
    for before, after in itertools.pairwise(games[:3]):
        assert all(moved(before.recovery.variables, after.recovery.variables))
        assert not any(moved((before.generator, before.critic), (after.generator, after.critic)))
        assert not any(moved(before.average, after.average))
    for before, after in itertools.pairwise(games[2:]):
        assert not any(moved(before.recovery, after.recovery))
        assert all(moved(before.critic.variables, after.critic.variables))
        assert all(moved(before.generator.batch_stats, after.generator.batch_stats))
    assert all(moved(games[3].generator.params, games[4].generator.params))
    assert any(moved(games[3].average, games[4].average))
    assert [int(game.step) for game in games] == [0, 1, 2, 3, 4]


def test_the_losses_are_those_of_the_phase(steps):
    _, (_, second, third, fourth) = steps
    assert second["loss/generator"] == second["loss/recovery"] > 0
    assert second["loss/critic"] == second["loss/adversarial"] == 0
    for scalars in (third, fourth):
        joint = 0.9 * scalars["loss/reconstruction"] + 0.1 * scalars["loss/adversarial"]
        assert scalars["loss/generator"] == pytest.approx(joint, rel=1e-5)
    assert third["loss/reconstruction"] == pytest.approx(third["loss/recovery"], rel=1e-6)
    assert fourth["loss/reconstruction"] != pytest.approx(fourth["loss/recovery"], rel=1e-6)
    assert third["loss/critic"] > 1


def test_nothing_of_the_square_is_seen(steps):
    """Neither by the network that recovers it nor by the one that refines it."""
    games, _ = steps
    same, scalars = after_one(games[0], 0, noise=9)
    assert not any(moved(games[1].recovery.batch_stats, same.recovery.batch_stats))
    assert scalars["loss/recovery"] != steps[1][0]["loss/recovery"]
    same, scalars = after_one(games[2], 2, noise=9)
    assert not any(moved(games[3].generator.batch_stats, same.generator.batch_stats))
    assert scalars["loss/recovery"] != steps[1][2]["loss/recovery"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 3])
@pytest.mark.parametrize("otherwise", [{"devices": 1}, {"mode": "pmap"}], ids=["one", "pmap"])
def test_one_device_and_eight_give_the_same_numbers(number, otherwise, steps):
    """Gradients are compared through Adam's moments."""
    games, reports = steps
    alone, scalars = after_one(games[number], number, **otherwise)
    found = {name: float(value) for name, (value,) in scalars.items()}
    assert found == pytest.approx(reports[number], rel=1e-5)
    for player in ("recovery", "generator", "critic"):
        ours, theirs = getattr(alone, player), getattr(games[number + 1], player)
        for learned, rtol, atol in (("batch_stats", 1e-4, 1e-6), ("moments", 1e-3, 1e-5)):
            jax.tree.map(
                functools.partial(np.testing.assert_allclose, rtol=rtol, atol=atol),
                getattr(ours, learned),
                getattr(theirs, learned),
            )


def test_an_untrained_refiner_hands_on_what_was_recovered(steps):
    painted = l2_gan.paint(MODEL, images.to_float(batch(0)))
    recovered, refined = looking()(steps[0][1].inference_variables, painted)
    np.testing.assert_array_equal(refined, recovered)


def test_validation_is_the_mean_l2_in_per_cent_and_the_loss_of_the_critic(monkeypatch):
    monkeypatch.setattr(l2_gan, "_AT_A_TIME", 3)
    game, photographs = untrained.game(EXPERIMENT), batch(5)
    squares = images.to_float(photographs)
    found = jax.jit(systems.build(EXPERIMENT).validate)(
        game, squares, jax.random.split(jax.random.key(0), 8)
    ).validation

    blocks = looking()(game.inference_variables, l2_gan.paint(MODEL, squares))
    hole = np.zeros((8, SIZE, SIZE, 1), bool)
    hole[BLOCK] = True
    for ours, block in zip((found["recovery"], found["l2"]), blocks, strict=True):
        completed = images.to_uint8(np.asarray(l2_gan.paste(MODEL, jnp.asarray(squares), block)))
        measured = metrics.figures(completed, photographs, hole)["hole/l2"]
        assert float(ours) == pytest.approx(100 * measured.mean(), rel=1e-2)
    logits = jax.jit(lambda block: apply(Critic(2), game.critic.variables, block))
    loss = losses.critic_loss(logits(squares[BLOCK]), logits(blocks[1]))
    assert float(found["critic"]) == pytest.approx(float(loss.mean()), rel=1e-4)


def test_a_completion_is_the_refined_block_and_has_no_opinion_beyond_it():
    trained = untrained.networks(EXPERIMENT)
    config = Inpainting(model="a run", method="context-encoder")
    complete = methods.build(config, trained, sharding.make_mesh(jax.devices()[:1]))
    photographs = images.to_float(batch(0))
    hole = np.zeros((8, SIZE, SIZE, 1), bool)
    hole[:, 60:70, 10:60] = True  # 28 columns within the square, 22 beyond
    inside = np.zeros_like(hole)
    inside[BLOCK] = True
    found = complete(
        jnp.where(hole, jnp.nan, photographs),
        jnp.asarray(hole),
        jax.random.split(jax.random.key(0), 8),
    )
    painted = l2_gan.paint(MODEL, photographs, hole=jnp.asarray(hole))
    _, refined = looking()(trained.generator, painted)
    np.testing.assert_allclose(found.proposal[BLOCK], refined, atol=1e-5)
    assert np.abs(refined).max() <= 1
    # Poisson's equation reads the known pixels next to the square: no seam may stand there.
    np.testing.assert_array_equal(found.proposal[:, 49, 6:38], found.proposal[:, 50, 6:38])
    np.testing.assert_array_equal(found.proposal[:, 49, 39:], photographs[:, 49, 39:])
    np.testing.assert_array_equal(
        np.isnan(found.images), np.broadcast_to(hole & ~inside, photographs.shape)
    )
    np.testing.assert_array_equal(np.where(hole, 0, found.images), np.where(hole, 0, photographs))


@pytest.mark.parametrize("number", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_a_run_resumes_before_and_after_the_switch_bit_for_bit(number, steps, tmp_path):
    games, reports = steps
    workdirs.claim(tmp_path / "run", EXPERIMENT)
    with checkpointing.Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(number, games[number])
    game = checkpointing.restore(tmp_path / "run", jax.tree.map(jnp.zeros_like, games[0]))
    for seed in range(number, 4):
        game, scalars = after_one(game, seed)
        assert {name: float(value) for name, (value,) in scalars.items()} == reports[seed]
    jax.tree.map(np.testing.assert_array_equal, game, games[4])
    loaded = checkpointing.load(tmp_path / "run").generator
    jax.tree.map(np.testing.assert_array_equal, loaded, games[number].inference_variables)


def test_every_step_says_what_validation_found(steps):
    found = {"recovery": np.float32(3), "l2": np.float32(2), "critic": np.float32(1)}
    game, scalars = after_one(replace(steps[0][2], validation=found), 2)
    told = [scalars[f"validation/{name}"].item() for name in ("recovery", "l2", "critic")]
    assert told == [3, 2, 1]
    assert game.validation == found
