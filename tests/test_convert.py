"""Networks go from PyTorch to ours and back and compute the same; what does not fit is refused."""

import subprocess
import sys
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
import untrained
from converting import CRITIC, STATE, images_of, ours_of
from safetensors.numpy import load_file, save_file

from ce_jax.convert import ConvertError, layouts, state_files
from ce_jax.convert.__main__ import main
from ce_jax.runs import loading
from ce_jax.systems import context_encoder, dcgan

WIDTH, LATENT, BOTTLENECK = 4, 6, 16
COLOUR = (10, 200, 30)


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


def generator_of(nn):
    """`Generator` of pytorch/examples/dcgan with ngf 4, nz 6."""
    layers = [nn.ConvTranspose2d(LATENT, 8 * WIDTH, 4, 1, 0, bias=False)]
    for inner in (8 * WIDTH, 4 * WIDTH, 2 * WIDTH):
        layers += [nn.BatchNorm2d(inner), nn.ReLU(True)]
        layers.append(nn.ConvTranspose2d(inner, inner // 2, 4, 2, 1, bias=False))
    layers += [nn.BatchNorm2d(WIDTH), nn.ReLU(True)]
    return sequential(nn, *layers, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh())


def critic_of(nn):
    """`Discriminator` of the same, and of the context encoder."""
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for outer in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        layers.append(nn.Conv2d(outer, 2 * outer, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(2 * outer), nn.LeakyReLU(0.2)]
    return sequential(nn, *layers, nn.Conv2d(8 * WIDTH, 1, 4, 1, 0, bias=False), nn.Sigmoid())


def context_encoder_of(nn):
    """`_netG` of the common ports of Pathak's, with nef = ngf = 4 and a bottleneck of 16."""
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    wide = [WIDTH, WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH]
    for before, after in pairwise(wide):
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(8 * WIDTH, BOTTLENECK, 4, bias=False), nn.BatchNorm2d(BOTTLENECK)]
    layers += [nn.LeakyReLU(0.2), nn.ConvTranspose2d(BOTTLENECK, 8 * WIDTH, 4, 1, 0, bias=False)]
    for inner in (8 * WIDTH, 4 * WIDTH, 2 * WIDTH):
        layers += [nn.BatchNorm2d(inner), nn.ReLU(True)]
        layers.append(nn.ConvTranspose2d(inner, inner // 2, 4, 2, 1, bias=False))
    layers += [nn.BatchNorm2d(WIDTH), nn.ReLU(True)]
    return sequential(nn, *layers, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh())


def sequential(nn, *layers):
    network = nn.Module()
    network.main = nn.Sequential(*layers)
    return network.eval()


def loud(torch, network, seed):
    """The network with random weights and statistics, so that every one of them matters."""
    random = np.random.default_rng(seed)
    drawn = {"running_var": lambda s: random.uniform(0.5, 2, s)}
    state = {}
    for key, tensor in network.state_dict().items():
        name = key.rpartition(".")[2]
        if name == "num_batches_tracked":
            continue
        spread = 0.15 if tensor.ndim == 4 else 0.2
        mean = 1 if name == "weight" and tensor.ndim == 1 else 0
        array = drawn.get(name, lambda s, m=mean, d=spread: random.normal(m, d, s))(tensor.shape)
        state[key] = torch.from_numpy(array.astype(np.float32))
    network.load_state_dict(state)
    return network


@pytest.fixture(scope="module")
def networks(torch):
    built = (make(torch.nn) for make in (generator_of, critic_of, context_encoder_of))
    return [loud(torch, network, seed) for seed, network in enumerate(built)]


@pytest.fixture(scope="module")
def imported(torch, networks, tmp_path_factory):
    """Both models, imported by the command from files in the forms that programs write."""
    folder = tmp_path_factory.mktemp("imported")
    generator, critic, encoder = (network.state_dict() for network in networks)
    torch.save({f"module.{key}": value for key, value in generator.items()}, folder / "netG.pth")
    floats = {key: value.numpy() for key, value in critic.items() if value.is_floating_point()}
    save_file(floats, folder / "netD.safetensors")
    torch.save({"epoch": 3, "state_dict": encoder}, folder / "encoder.pth")
    both = ["--generator", f"{folder}/netG.pth", "--critic", f"{folder}/netD.safetensors"]
    main(["import", *both, "--output", f"{folder}/dcgan.safetensors"])
    alone = ["--generator", f"{folder}/encoder.pth", "--fill", *map(str, COLOUR)]
    main(["import", *alone, "--output", f"{folder}/encoder.safetensors"])
    return folder


def theirs_of(torch, network, images):
    """What a network of PyTorch makes of images [b, h, w, c] or of z [b, d], as images or [b]."""
    images = np.asarray(images)
    images = images[:, :, None, None] if images.ndim == 2 else images.transpose(0, 3, 1, 2)
    with torch.no_grad():
        found = network.main(torch.from_numpy(np.ascontiguousarray(images))).numpy()
    return found[:, 0, 0, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)


def test_an_imported_dcgan_computes_what_it_did(torch, networks, imported):
    trained = loading.load(imported / "dcgan.safetensors")
    model, size = trained.config.model, trained.config.data.frame.size
    assert (model.width, model.latent, model.prior, size) == (WIDTH, LATENT, "normal", 64)
    generator, critic = dcgan.modules(model, size=size)
    z, images = np.random.default_rng(0).normal(0, 1, (3, LATENT)).astype(np.float32), images_of(64)
    drawn = ours_of(generator, trained.generator, z)
    assert np.std(drawn) > 0.2
    np.testing.assert_allclose(drawn, theirs_of(torch, networks[0], z), atol=1e-4)
    logits = ours_of(critic, trained.critic, images)
    theirs = theirs_of(torch, networks[1], images)
    assert np.ptp(theirs) > 0.01
    np.testing.assert_allclose(jax.nn.sigmoid(logits), theirs, atol=1e-4)


def test_an_imported_context_encoder_computes_what_it_did(torch, networks, imported):
    trained = loading.load(imported / "encoder.safetensors")
    model, size = trained.config.model, trained.config.data.frame.size
    assert (model.width, model.bottleneck, model.predicts, size) == (4, BOTTLENECK, "center", 128)
    images, hole = images_of(128), np.zeros((3, 128, 128, 1), bool)
    hole[:, 36:92, 36:92] = True
    painted = np.where(hole, np.float32(COLOUR) / np.float32(127.5) - 1, images)  # as its authors
    shown = context_encoder.paint(model, jnp.asarray(images), hole)
    module = context_encoder.module_of(model, size=size)
    predicted = ours_of(module, trained.generator, shown)
    assert predicted.shape == (3, 64, 64, 3) and np.std(predicted) > 0.1
    np.testing.assert_allclose(predicted, theirs_of(torch, networks[2], painted), atol=1e-4)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_an_export_has_every_bit_of_what_was_imported(torch, networks, imported, tmp_path, ending):
    generator, critic = (tmp_path / f"{name}.{ending}" for name in ("netG", "netD"))
    files = ["--generator", str(generator), "--critic", str(critic)]
    main(["export", str(imported / "dcgan.safetensors"), *files])
    encoder = tmp_path / f"encoder.{ending}"
    main(["export", str(imported / "encoder.safetensors"), "--generator", str(encoder)])
    for path, network in zip((generator, critic, encoder), networks, strict=True):
        if ending == "pth":
            found = torch.load(path, weights_only=True)
        else:
            found = {key: torch.from_numpy(array) for key, array in load_file(path).items()}
        theirs = network.state_dict()
        assert all(torch.equal(found[key], theirs[key]) for key in found)
        network.load_state_dict(found)  # which wants every key


@pytest.mark.parametrize("experiment", [tiny.dcgan(), tiny.context_encoder()])
def test_what_we_have_trained_survives_the_way_there_and_back(experiment):
    trained = untrained.networks(experiment)
    networks = {"generator": trained.generator, "critic": trained.critic}
    layout = {role: layouts.layout_of(trained, role) for role in networks}
    state = {role: layouts.to_state_dict(layout[role]) for role in networks}
    config = layouts.experiment_of(state["generator"], file="netG", prior="uniform")
    assert config.model == experiment.model
    assert config.data.frame == experiment.data.frame
    back = layouts.imported(*state.values(), config, files=("netG", "netD"))
    jax.tree.map(np.testing.assert_array_equal, back.generator, trained.generator)
    jax.tree.map(np.testing.assert_array_equal, back.critic, trained.critic)


def test_a_command_replaces_nothing_unless_asked(tmp_path):
    path, model = tmp_path / "netG.safetensors", tmp_path / "model.safetensors"
    state_files.write(path, STATE)
    words = ["import", "--generator", str(path), "--output", str(model)]
    model.write_text("somebody's")
    with pytest.raises(ValueError, match=r"model.safetensors is there already; .* --overwrite"):
        main(words)
    assert model.read_text() == "somebody's"
    main([*words, "--overwrite"])
    assert loading.load(model).critic is None
    with pytest.raises(ConvertError, match="there is no critic beside this Dcgan"):
        main(["export", str(model), "--critic", str(tmp_path / "netD.safetensors")])
    with pytest.raises(ValueError, match="name a file to write"):
        main(["export", str(model)])
    both = tmp_path / "both.safetensors"
    with pytest.raises(ValueError, match=r"are both .*both.safetensors; name two files"):
        main(["export", str(model), f"--generator={both}", f"--critic={both}"])
    assert not both.exists()
    with pytest.raises(ValueError, match=r"must end in .safetensors"):
        main([*words[:-1], str(tmp_path / "model.pth")])


@pytest.mark.slow
def test_the_commands_of_the_documentation_work(tmp_path):
    def run(*words):
        process = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        return process.stdout

    convert = ("-m", "ce_jax.convert")
    state_files.write(tmp_path / "netG.safetensors", STATE)
    state_files.write(tmp_path / "netD.safetensors", CRITIC)
    model = f"{tmp_path}/faces.safetensors"
    both = [f"--generator={tmp_path}/netG.safetensors", f"--critic={tmp_path}/netD.safetensors"]
    assert "Dcgan for 32x32 images" in run(*convert, "import", *both, "--output", model)
    images = ["--images", "bundled:digits[:4]", "--holes", "center", "--batch-size", "8"]
    output = ["--output", f"{tmp_path}/completed", "--latent.steps", "2"]
    run("inpaint.py", "configs/latent_search.py", "--model", model, *images, *output)
    assert len(list((tmp_path / "completed" / "images").iterdir())) == 4
    half = f"{tmp_path}/half.safetensors"
    assert "grey levels" in run(
        *convert, "release", model, "--output", half, "--precision", "float16"
    )
    wrong = subprocess.run(
        [sys.executable, *convert, "import", "--generator", half, "--output", f"{tmp_path}/x"],
        capture_output=True,
        text=True,
    )
    assert wrong.returncode == 2
    assert wrong.stderr == (
        f"python -m ce_jax.convert: --output {tmp_path}/x must end in .safetensors\n"
    )
