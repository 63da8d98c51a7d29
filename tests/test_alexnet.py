"""The context encoder with AlexNet is that of the paper, completes at 227 pixels, gives features.

After a change of `tests/golden/*alexnet*` that is meant: UPDATE_GOLDEN=1 pytest this file, and say
in the commit why.
"""

from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from PIL import Image

from ce_jax import holes, images, sources, systems
from ce_jax.batch import inpaint
from ce_jax.config import ConfigError, Frame, Inpainting
from ce_jax.models import alexnet, context_encoder
from ce_jax.runs import checkpointing
from ce_jax.systems.context_encoder import features, module_of

SIZE = 227
EXPERIMENT = tiny.alexnet()
CENTER = tiny.alexnet(predicts="center", holes=("center",), overlap=7)

CONVOLUTIONS = (
    11 * 11 * 3 * 96
    + 5 * 5 * (96 // 2) * 256
    + 3 * 3 * 256 * 384
    + 3 * 3 * (384 // 2) * 384
    + 3 * 3 * (384 // 2) * 256
)
DECODER = 4 * 4 * (256 * 128 + 128 * 64 + 64 * 64 + 64 * 32 + 32 * 3)


@cache
def traced(module):
    """Shapes of all variables, and of the output of every layer on two images, in order."""
    photographs = jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), jnp.float32)
    (_, seen), variables = jax.eval_shape(
        lambda key, x: (
            module.apply(
                variables := module.init(key, x, train=False),
                x,
                train=False,
                capture_intermediates=True,
            ),
            variables,
        ),
        jax.random.key(0),
        photographs,
    )
    return variables["params"], seen["intermediates"]


def outputs(seen, kind):
    """Side and channels of what the layers of a kind put out, from the first to the last."""
    found = {}
    for name, layer in seen.items():
        if name.startswith(f"{kind}_"):
            _, height, width, channels = layer["__call__"][0].shape
            assert height == width
            found[int(name.rpartition("_")[2])] = (height, channels)
    return [found[number] for number in range(len(found))]


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def kernels(params):
    """Weights that belong to no BatchNorm."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return sum(leaf.size for path, leaf in leaves if "BatchNorm" not in str(path))


def test_every_stage_has_the_published_side_and_channels():
    _, seen = traced(alexnet.ContextEncoder(SIZE))
    encoder = seen["encoder"]
    assert outputs(encoder, "Conv") == [(55, 96), (27, 256), (13, 384), (13, 384), (13, 256)]
    assert encoder["__call__"][0].shape == (2, 6, 6, 256)
    assert seen["ChannelWise_0"]["__call__"][0].shape == (2, 6, 6, 256)
    assert outputs(seen, "Conv") == [(6, 256)]


def test_without_pooling_a_convolution_stands_in_the_place_of_each():
    _, seen = traced(alexnet.ContextEncoder(SIZE, pooling=False))
    assert outputs(seen["encoder"], "Conv") == [
        *((55, 96), (27, 96)),
        *((27, 256), (13, 256)),
        *((13, 384), (13, 384)),
        *((13, 256), (6, 256)),
    ]


@pytest.mark.parametrize(
    ("target", "sides"), [(SIZE, [12, 24, 48, 96, 192]), (SIZE // 2, [12, 24, 48, 96])]
)
def test_the_decoder_doubles_up_to_roughly_the_target(target, sides):
    _, seen = traced(alexnet.ContextEncoder(target))
    doubled = outputs(seen, "Upsample")
    assert [side for side, _ in doubled] == sides
    assert [channels for _, channels in doubled][-1] == 3
    assert seen["__call__"][0].shape == (2, target, target, 3)
    assert 1 < target / sides[-1] < 1.2


def test_the_network_has_the_weights_of_the_paper():
    params, _ = traced(alexnet.ContextEncoder(SIZE))
    assert kernels(params["encoder"]) == CONVOLUTIONS == 2_332_704
    assert count(params["ChannelWise_0"]) == 256 * 6**4  # m n^4
    assert count(params["Conv_0"]) == 256 * 256
    assert kernels(params) == CONVOLUTIONS + 256 * 6**4 + 256 * 256 + DECODER == 3_485_216


def test_the_pool_free_network_has_three_convolutions_more():
    params, _ = traced(alexnet.ContextEncoder(SIZE, pooling=False))
    assert kernels(params["encoder"]) - CONVOLUTIONS == 3 * 3 * (96**2 + 256**2 + 256**2)


def test_a_factor_scales_every_layer():
    _, seen = traced(alexnet.ContextEncoder(SIZE, 12))
    channels = [c for _, c in outputs(seen["encoder"], "Conv")]
    assert channels == [12, 32, 48, 48, 32]
    assert [c for _, c in outputs(seen, "Upsample")] == [16, 8, 8, 4, 3]


def test_starting_values_have_the_committed_names_shapes_and_spread(assert_committed_start):
    assert_committed_start("initialisers_alexnet", tiny.start(EXPERIMENT).generator.variables)


@pytest.fixture(scope="module")
def first_steps():
    """The state before and after two steps on noise, on one device, and their scalars."""
    batches = [tiny.batch(seed, size=2, side=SIZE) for seed in range(2)]
    after, scalars = tiny.play(EXPERIMENT, *batches, devices=1)
    return tiny.start(EXPERIMENT), after, scalars


def test_the_first_steps_have_the_committed_scalars(first_steps, assert_committed_steps):
    *_, found = first_steps
    assert_committed_steps("alexnet", found)


def test_every_weight_learns_and_every_statistic_moves(first_steps):
    before, after, _ = first_steps
    pairs = jax.tree.map(
        lambda a, b: np.isfinite(b).all() and (a != b).any(),
        before.generator.variables,
        after.generator.variables,
    )
    assert all(jax.tree.leaves(pairs)), pairs


@pytest.mark.parametrize("experiment", [EXPERIMENT, CENTER], ids=["image", "center"])
def test_previews_are_rows_of_whole_pictures(experiment):
    system = systems.build(experiment)
    game = jax.eval_shape(system.init, jax.random.key(0))
    pictures = jax.eval_shape(
        lambda game, images, key: system.preview(
            game.inference_variables, images, jax.random.split(key, 2)
        ),
        game,
        jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), jnp.float32),
        jax.random.key(0),
    )
    assert pictures.shape == (2, 3, SIZE, SIZE, 3)


def centre(size):
    """The hole of that name."""
    draw = tiny.jit(partial(holes.draw, holes.parse("center"), size=size))
    return np.asarray(draw(jax.random.key(0)[None]))


@pytest.mark.parametrize("size", [8, 11, SIZE])
def test_the_centre_of_any_side_is_the_hole_of_that_name(size):
    hole = centre(size)
    cut = context_encoder.center(jnp.asarray(hole))
    assert cut.shape == (1, size // 2, size // 2, 1)
    assert cut.all()
    assert cut.size == hole.sum()
    pasted = context_encoder.paste_center(jnp.zeros(hole.shape, bool), cut)
    np.testing.assert_array_equal(pasted, hole)


def test_the_centre_of_227_pixels_lies_in_the_middle():
    hole = centre(SIZE)
    np.testing.assert_array_equal(hole, hole[:, ::-1, ::-1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was saved and loaded again, with random weights, which predicts the centre."""
    workdir = untrained.workdir(tmp_path_factory.mktemp("model") / "alexnet", CENTER)
    return workdir, checkpointing.load(Path(workdir))


@pytest.fixture(scope="module")
def photographs():
    return images.to_float(tiny.batch(7, size=3, side=SIZE))


@pytest.fixture(scope="module")
def passes(trained):
    """Both ways to the features, compiled once: (features, intermediates of the whole network)."""
    run = trained[1]
    module = module_of(CENTER.model, size=SIZE)

    @tiny.jit
    def both(photographs):
        _, seen = module.apply(run.generator, photographs, train=False, capture_intermediates=True)
        return features(run, photographs), seen["intermediates"]

    return both


def test_features_are_what_the_whole_network_has_behind_its_encoder(passes, photographs):
    found, seen = passes(photographs)
    (inside,) = seen["encoder"]["__call__"]
    assert found.shape == (3, 6, 6, 16)
    assert found.min() >= 0
    assert np.unique(found).size > 100
    np.testing.assert_allclose(found, inside, rtol=1e-5)


def test_the_prediction_is_the_last_doubling_enlarged(passes, photographs):
    """Against Pillow's bilinear interpolation."""
    _, seen = passes(photographs)
    (small,), (prediction,) = seen["Upsample_3"]["__call__"], seen["__call__"]
    channel = Image.fromarray(np.asarray(small[0, ..., 1]))
    large = np.asarray(channel.resize((113, 113), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(prediction[0, ..., 1], np.tanh(large), atol=1e-4)


def test_the_features_of_an_image_are_its_own(trained, passes, photographs):
    found, _ = passes(photographs)
    others = np.array([0, 2, 2])
    with_others, _ = passes(photographs[others])
    np.testing.assert_array_equal(found[::2], with_others[::2])
    # On some processors XLA's own convolutions round the rest of a batch otherwise than its body.
    np.testing.assert_allclose(found[2], with_others[1], rtol=1e-6)
    one = tiny.jit(partial(features, trained[1]))
    alone = jnp.concatenate([one(photograph[None]) for photograph in photographs])
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-4 * found.max())


@pytest.mark.parametrize("run", [tiny.dcgan(), tiny.self_tuned()], ids=["dcgan", "convolutions"])
def test_features_of_another_network_are_refused(run, photographs):
    with pytest.raises(ConfigError, match=r"model\.encoder is alexnet; this run trained"):
        features(untrained.networks(run), photographs)


@pytest.mark.slow
def test_a_run_completes_photographs_at_227_pixels(trained, passes, tmp_path):
    """What is pasted is the prediction, less the band in which it overlaps the known pixels."""
    outcome = inpaint(
        Inpainting(
            images="bundled:photographs[:3]",
            holes="center:99",
            output=str(tmp_path),
            model=trained[0],
            method="context-encoder",
            batch_size=8,
            blend="overlay",
        )
    )
    assert (outcome.done, outcome.failed) == (3, 0)
    source = sources.open_source("bundled:photographs[:3]")
    truth = np.stack([images.frame(source[i], Frame(size=SIZE)) for i in range(3)])
    completed = np.stack([images.read(tmp_path / f"images/{name}.png") for name in source.names])
    hole = np.zeros((1, SIZE, SIZE, 1), bool)
    hole[:, 64:163, 64:163] = True
    np.testing.assert_array_equal(np.where(hole, 0, completed), np.where(hole, 0, truth))

    colour = np.float32(CENTER.model.fill) / 127.5 - 1
    _, seen = passes(np.where(hole, colour, images.to_float(truth)))
    (prediction,) = seen["__call__"]
    expected = images.to_uint8(np.asarray(prediction)[:, 7:-7, 7:-7])
    pasted = completed[:, 64:163, 64:163].astype(int)
    assert np.abs(pasted - expected).max() <= 1
