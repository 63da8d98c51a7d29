"""Keys and shapes are those of the published programs; what does not fit is refused by its key."""

import sys

import numpy as np
import pytest
import tiny
from converting import CRITIC, STATE
from safetensors.numpy import save_file

from ce_jax.config import ConfigError, ContextEncoder, Data, Dcgan, Frame, Training
from ce_jax.convert import ConvertError, layouts, state_files
from ce_jax.runs.releases import shapes
from ce_jax.state import Trained


@pytest.mark.slow
def test_the_published_widths_are_known_by_their_keys():
    """Without their weights: keys and shapes as they stand in the files of these programs."""
    dcgan = shapes(Training(model=Dcgan()))
    large = Data(frame=Frame(size=128))
    encoder = shapes(Training(model=ContextEncoder(bottleneck=4000, adversarial=0.0), data=large))
    found = keys_of(dcgan, "generator")
    assert found["main.0.weight"] == (100, 512, 4, 4) and found["main.12.weight"] == (64, 3, 4, 4)
    found = keys_of(dcgan, "critic")
    assert found["main.0.weight"] == (64, 3, 4, 4) and found["main.11.weight"] == (1, 512, 4, 4)
    assert (
        keys_of(encoder, "generator").items()
        >= {
            "main.0.weight": (64, 3, 4, 4),
            "main.2.weight": (64, 64, 4, 4),
            "main.14.weight": (4000, 512, 4, 4),
            "main.15.running_var": (4000,),
            "main.17.weight": (4000, 512, 4, 4),
            "main.29.weight": (64, 3, 4, 4),
        }.items()
    )


def keys_of(networks, role):
    layout, nothing = layouts.layout_of(networks, role), np.float32(0)
    return {
        tensor.key: tensor.there(np.broadcast_to(nothing, layout.ours[tensor.place].shape)).shape
        for tensor in layout.tensors
    }


def changed(**replaced):
    state = STATE | {key.replace("_", ".", 2): value for key, value in replaced.items()}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            changed(main_3_weight=STATE["main.3.weight"].transpose(1, 0, 2, 3)),
            r"netG: main.3.weight is \[8, 16, 4, 4\]; the generator of a DCGAN of width 4 for "
            r"32-pixel images has \[16, 8, 4, 4\]",
        ),
        (changed(main_4_running_mean=None), r"netG has no main.4.running_mean; .* has \[8\]"),
        (changed(main_0_bias=np.zeros(16)), "netG has main.0.bias; .* has nothing there"),
        (changed(main_0_weight=None), "netG begins with main.1.weight"),
        (CRITIC, "netG ends in one number, as a critic does; name it as --critic"),
        ({}, "netG begins with nothing"),
        ({f"main.{i}.weight": np.zeros((4, 4, 4, 4)) for i in range(3)}, "netG has 3 convolutions"),
    ],
)
def test_another_network_is_refused_by_the_first_key_that_does_not_fit(state, message):
    with pytest.raises(ConvertError, match=message):
        config = layouts.experiment_of(state, file="netG")
        layouts.imported(state, None, config, files=("netG", "netD"))


def test_a_fill_that_is_no_colour_is_no_fault_of_the_weights():
    state = {f"main.{2 * i}.weight": np.zeros((4, 4, 4, 4)) for i in range(9)}
    with pytest.raises(ConfigError, match=r"^model.fill must be three numbers from 0 to 255"):
        layouts.experiment_of(state, file="netG", fill=(300, 0, 0))


@pytest.mark.parametrize("experiment", [tiny.vae(), tiny.self_tuned(), tiny.dcgan_otherwise()])
def test_what_no_pytorch_program_has_is_not_exported(experiment):
    with pytest.raises(
        ConvertError, match=r"PyTorch's layouts are for .*; this is (Vae|Con|Dcgan)"
    ):
        layouts.layout_of(Trained(experiment, {}, None, 0), "generator")


def test_a_file_that_is_no_state_dict_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")

    def refused(name, message):
        with pytest.raises(ConvertError, match=message):
            state_files.read(tmp_path / name)

    torch.save({"main.0.weight": Unwanted()}, tmp_path / "code.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "list.pth").read_bytes()[:100])
    (tmp_path / "half.safetensors").write_bytes(b"\0" * 20)
    save_file({"main.0.weight": np.full(3, np.nan)}, tmp_path / "nan.safetensors")
    refused("code.pth", "code.pth cannot be read: it is no file of weights alone")
    refused("list.pth", "it holds no state dict")
    refused("half.pth", "half.pth cannot be read")
    refused("half.safetensors", "half.safetensors cannot be read")
    refused("nan.safetensors", "main.0.weight must hold finite floating-point numbers")
    refused("nowhere.pth", "nowhere.pth cannot be read")
    refused("weights.npz", "weights.npz must end in .safetensors or .pth or .pt")


class Unwanted:
    """Code that a pickle would run."""


def test_without_pytorch_its_files_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ConvertError, match=r"netG.pth needs PyTorch: pip install torch; or use"):
        state_files.read(tmp_path / "netG.pth")
