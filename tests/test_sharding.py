"""Any number of devices gives the same numbers, under jit as under pmap, and all of them work.

Tolerances: sums over a batch are taken in another order, in float32. Gradients are compared through
Adam's moments after one step; the weights themselves are not, because that step divides them out.
"""

import math
import re
from dataclasses import replace

import jax
import numpy as np
import pytest
import tiny

from ce_jax import sharding
from ce_jax.config import Sharding

SYSTEMS = {"dcgan": tiny.dcgan(), "vae": tiny.vae(), "context_encoder": tiny.context_encoder()}


def assert_same_numbers(ours, theirs):
    """Of two runs of one step: scalars, BatchNorm statistics and gradients."""
    (game, (scalars,)), (other_game, (other_scalars,)) = ours, theirs
    assert scalars == pytest.approx(other_scalars, rel=1e-5)
    players = [(game.generator, other_game.generator), (game.critic, other_game.critic)]
    for player, other in players[: 1 if game.critic is None else 2]:
        for learned, rtol, atol in (("batch_stats", 1e-4, 1e-6), ("moments", 1e-3, 1e-5)):
            found, expected = getattr(player, learned), getattr(other, learned)
            assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 10 * atol
            jax.tree.map(
                lambda a, b, rtol=rtol, atol=atol: np.testing.assert_allclose(
                    a, b, rtol=rtol, atol=atol
                ),
                found,
                expected,
            )


def systems(*, slow):
    """Every one of `SYSTEMS`; of twins, one is tested always."""
    return pytest.mark.parametrize(
        "kind",
        [pytest.param(kind, marks=[pytest.mark.slow] * (kind in slow)) for kind in SYSTEMS],
    )


@systems(slow=["vae"])
def test_one_device_and_eight_give_the_same_numbers(kind):
    runs = (tiny.play(SYSTEMS[kind], tiny.batch(0), devices=devices) for devices in (1, 8))
    assert_same_numbers(*runs)


@systems(slow=["vae", "context_encoder"])
def test_pmap_gives_the_numbers_of_jit(kind):
    mapped = replace(SYSTEMS[kind], sharding=Sharding(mode="pmap"))
    runs = (tiny.play(experiment, tiny.batch(0)) for experiment in (mapped, SYSTEMS[kind]))
    assert_same_numbers(*runs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["self_tuned", "latent_encoder"])  # l2_gan has a test of its own
def test_kinds_with_a_state_of_their_own_give_the_numbers_of_one_device(kind):
    mapped = replace(OTHERS[kind], sharding=Sharding(mode="pmap"))
    alone = tiny.play(OTHERS[kind], tiny.batch(0), devices=1)
    for experiment in (OTHERS[kind], mapped):
        assert_same_numbers(tiny.play(experiment, tiny.batch(0)), alone)


def program_of(experiment):
    """The optimised program of one device of eight, for a batch of 8 x 13: no layer is so large."""
    side = experiment.data.frame.size
    images = jax.ShapeDtypeStruct((104, side, side, 3), np.uint8)
    lowered = tiny.compiled(experiment).lower(tiny.start(experiment), [images], jax.random.key(1))
    return lowered.compile().as_text()


def assert_only_averages_are_sent(experiment, program):
    """Sums over all devices of what is a weight's, a feature map's or one number: no image's."""
    sent = re.findall(r"= (.*?) ([\w-]+?)(?:-start)?\(.*(?:replica_groups|source_target)", program)
    assert {operation for _, operation in sent} == {"all-reduce"}
    shapes = [
        tuple(map(int, filter(None, shape.split(","))))
        for result, _ in sent
        for shape in re.findall(r"\w\[([\d,]*)\]|\w\d\[([\d,]*)\]", result)
        for shape in shape
        if shape
    ]
    largest = max(leaf.size for leaf in jax.tree.leaves(tiny.start(experiment)))
    # On a CPU the gradient of a kernel of side 5 is that of one of side 6.
    assert all(math.prod(shape) <= 36 / 25 * largest for shape in shapes)
    assert not any({13, 104} & set(shape) for shape in shapes)
    groups = set(re.findall(r"replica_groups=(.+?), \w+=", program))
    assert groups
    for group in groups:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", group))  # of a mesh; behind it, some of its axes
        together = math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'(?!=)", group))
        assert together == 8 or group in ("{{0,1,2,3,4,5,6,7}}", "[1,8]<=[8]"), group


@systems(slow=["vae"])
def test_no_device_computes_more_than_its_share_of_a_batch(kind):
    """No image, latent or activation of a whole batch stands in the program of one device."""
    program = program_of(SYSTEMS[kind])
    shares, wholes = (
        {shape for shape in re.findall(r"(?:f32|u8|pred)\[[\d,]+\]", program) if first in shape}
        for first in ("[13,", "[104,")
    )
    assert "u8[13,32,32,3]" in shares
    assert any(re.fullmatch(r"f32\[13,32,32,\d+\]", shape) for shape in shares)
    if kind in ("dcgan", "vae"):
        assert "f32[13,8]" in shares  # z
    assert not wholes
    assert_only_averages_are_sent(SYSTEMS[kind], program)


OTHERS = {
    "dcgan_otherwise": tiny.dcgan_otherwise(),
    "context_encoder_alone": tiny.context_encoder_alone(),
    "self_tuned": tiny.self_tuned(),
    "latent_encoder": tiny.latent_encoder(),
    "l2_gan": tiny.l2_gan(),
    "alexnet": tiny.alexnet(),
    "dcgan in bfloat16": tiny.dcgan(precision="bfloat16"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_every_other_kind_sends_averages_alone(kind):
    assert_only_averages_are_sent(OTHERS[kind], program_of(OTHERS[kind]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SYSTEMS)
def test_a_batch_in_parts_moves_no_image_to_another_device(kind):
    """13 x 8 images in one part are 26 x 8 in two."""
    experiment = replace(SYSTEMS[kind], microbatches=2)
    images = jax.ShapeDtypeStruct((208, 32, 32, 3), np.uint8)
    lowered = tiny.compiled(experiment).lower(tiny.start(experiment), [images], jax.random.key(1))
    assert_only_averages_are_sent(experiment, lowered.compile().as_text())


def test_a_step_is_compiled_once_and_keeps_its_state_on_all_devices():
    mesh, update = sharding.make_mesh(), tiny.compiled(tiny.dcgan())
    shared, programs = sharding.split(mesh), []
    game = jax.device_put(tiny.start(tiny.dcgan()), sharding.replicated(mesh))
    for step in range(3):
        images = jax.device_put(tiny.batch(step), shared)
        game, scalars = update(game, [images], jax.random.key(1))
        programs.append(update._cache_size())
    assert programs[0] == programs[1] == programs[2]
    for leaf in jax.tree.leaves((game, scalars)):
        assert leaf.sharding.is_fully_replicated
        assert len(leaf.sharding.device_set) == 8


@pytest.mark.parametrize(
    ("batch_size", "parts", "way_out"),
    [
        (20, 1, "; try 16 or 24"),
        (3, 1, "; try 8"),
        (127, 1, "; try 120 or 128"),
        (24, 2, r", times microbatches \(2\); try 16 or 32"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused_with_the_nearest_sizes(
    batch_size, parts, way_out
):
    mesh = sharding.make_mesh()
    with pytest.raises(sharding.DeviceError, match=rf"\({batch_size}\).* \(8\){way_out}\.$"):
        sharding.check_batch(batch_size, mesh, parts=parts)
    sharding.check_batch(24, mesh, parts=3)
    sharding.check_batch(batch_size, sharding.make_mesh(jax.devices()[:1]))


def test_images_are_split_and_weights_copied():
    mesh = sharding.make_mesh()
    images = jax.device_put(np.zeros((16, 4, 4, 3)), sharding.split(mesh))
    weights = jax.device_put(np.zeros((16, 4)), sharding.replicated(mesh))
    assert [shard.data.shape for shard in images.addressable_shards] == [(2, 4, 4, 3)] * 8
    assert [shard.data.shape for shard in weights.addressable_shards] == [(16, 4)] * 8
