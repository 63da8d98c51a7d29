"""Networks of common PyTorch programs: their keys, in the order of their layers, and ours.

These programs have one `nn.Sequential` called `main`, without biases, in which BatchNorm and
activation follow a convolution:

    generator         main.0.weight [100, 512, 4, 4], main.1 BatchNorm, main.3 ... main.12
    critic            main.0.weight [64, 3, 4, 4], main.2, main.3 BatchNorm, main.5 ... main.11
                      (both as in the DCGAN of pytorch/examples; its sigmoid is left to the user)
    context encoder   main.0.weight [64, 3, 4, 4], main.2, main.3 BatchNorm, ... main.14 to 4000
                      units, main.17 back to 4x4, ... main.29 (as in the PyTorch ports of Pathak's)

A kernel is [o, c, 4, 4] there and [4, 4, c, o] here. Between 4x4 places and one, theirs is a
convolution and ours a matrix, with rows or columns in the order (height, width, channels).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from ce_jax.config import ConfigError, ContextEncoder, Data, Dcgan, Frame, Training
from ce_jax.convert import ConvertError
from ce_jax.runs.releases import shapes
from ce_jax.state import Trained, Variables

StateDict = dict[str, np.ndarray]
Place = tuple[str, ...]
Role = Literal["generator", "critic"]


class Tensor(NamedTuple):
    """Its key in PyTorch, its place among our variables, and the way between the two."""

    key: str
    place: Place
    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


class Layout(NamedTuple):
    """A network in both worlds: what it is called, its tensors, and ours of them."""

    network: str
    tensors: tuple[Tensor, ...]
    ours: Mapping[Place, Any]


def layout_of(networks: Trained, role: Role) -> Layout:
    """The layout of one of some networks, or of their shapes.

    Raises:
        ConvertError: no PyTorch program has such a network, or it is not there.
    """
    model, size = networks.config.model, networks.config.data.frame.size
    plain_gan = isinstance(model, Dcgan) and (model.kernel, model.head) == (4, "logit")
    if not plain_gan and not (isinstance(model, ContextEncoder) and _is_published(model)):
        raise ConvertError(
            "PyTorch's layouts are for a Dcgan with kernel 4 and head logit, and for a "
            f"ContextEncoder with a bottleneck of units that is shown 3 channels; this is {model}."
        )
    variables = networks.generator if role == "generator" else networks.critic
    if variables is None:
        raise ConvertError(f"there is no critic beside this {model}.")
    linear = [name for name in variables["params"] if not name.startswith("BatchNorm")]
    downs, ups = (sum(name.startswith(kind) for name in linear) for kind in ("Down", "Up"))
    kind = "DCGAN" if isinstance(model, Dcgan) else "context encoder"
    network = f"{role} of a {kind}" if kind == "DCGAN" or role == "critic" else kind
    title = f"the {network} of width {model.width} for {size}-pixel images"
    return Layout(title, tuple(_tensors(downs, ups)), flatten_dict(variables))


def to_state_dict(layout: Layout) -> StateDict:
    """The weights and statistics of a network of ours, as PyTorch names and shapes them."""
    return {
        tensor.key: np.array(tensor.there(np.asarray(layout.ours[tensor.place])), order="C")
        for tensor in layout.tensors
    }


def from_state_dict(layout: Layout, arrays: StateDict, *, file: str) -> Variables:
    """The inverse of `to_state_dict`.

    Raises:
        ConvertError: a key is missing, of another shape, or one too many; the first is named.
    """
    found = {}
    for key, place, there, back in layout.tensors:
        wanted = there(np.broadcast_to(np.float32(0), layout.ours[place].shape)).shape
        if key not in arrays:
            raise ConvertError(f"{file} has no {key}; {layout.network} has {list(wanted)}.")
        if (shape := arrays[key].shape) != wanted:
            raise ConvertError(
                f"{file}: {key} is {list(shape)}; {layout.network} has {list(wanted)}."
            )
        found[place] = back(arrays[key])
    known = {tensor.key for tensor in layout.tensors}
    if others := [key for key in arrays if key not in known]:
        raise ConvertError(f"{file} has {others[0]}; {layout.network} has nothing there.")
    return unflatten_dict(found)


def experiment_of(
    arrays: StateDict,
    *,
    file: str,
    prior: Literal["uniform", "normal"] = "normal",
    fill: tuple[int, int, int] = ContextEncoder.fill,
    judged: bool = True,
) -> Training:
    """The experiment whose generator might have such weights, told by a few of their shapes.

    What they were trained on is unknown; the other fields mean nothing.

    Args:
        arrays: of the generator, or of a context encoder.
        file: to be named in errors.
        prior: what z was drawn from in training.
        fill: 8-bit RGB that holes were painted with.
        judged: whether a context encoder has a critic.

    Raises:
        ConvertError: there is no such experiment.
        ConfigError: `fill` is no colour.
    """
    kernels = [array for _, array in _in_order(arrays) if array.ndim == 4]
    if "main.0.weight" not in arrays or len(kernels) < 2:
        first = next(iter(arrays), "nothing")
        raise ConvertError(
            f"{file} begins with {first}; a DCGAN or a context encoder of the known layouts "
            "begins with main.0.weight, of rank 4."
        )
    if len(kernels[-1]) == 1:
        raise ConvertError(f"{file} ends in one number, as a critic does; name it as --critic.")
    if "main.1.weight" in arrays:  # BatchNorm behind the first layer
        size = 4 << (len(kernels) - 1)
        model = Dcgan(width=len(kernels[-1]), latent=len(kernels[0]), prior=prior)
    else:
        # As many layers up as down, and two in between; one less for the middle square.
        downs, predicts = (len(kernels) - 1) // 2, "center" if len(kernels) % 2 else "image"
        size = 4 << downs
        model = ContextEncoder(
            width=len(kernels[0]),
            bottleneck=len(kernels[downs]),
            predicts=predicts,
            fill=fill,
            adversarial=ContextEncoder.adversarial if judged else 0.0,
        )
    try:
        return Training(model=model, data=Data(source="unknown", frame=Frame(size=size)))
    except ConfigError as error:
        raise ConvertError(f"{file} has {len(kernels)} convolutions, so that {error}") from error


def imported(
    generator: StateDict, critic: StateDict | None, config: Training, *, files: tuple[str, str]
) -> Trained:
    """The networks of an experiment with these weights; `files` are named in errors.

    Raises:
        ConvertError: they do not fit.
    """
    wanted, judge = shapes(config), None
    weights = from_state_dict(layout_of(wanted, "generator"), generator, file=files[0])
    if critic is not None:
        judge = from_state_dict(layout_of(wanted, "critic"), critic, file=files[1])
    return Trained(config, weights, judge, 0)


def _is_published(model: ContextEncoder) -> bool:
    return (
        not model.alexnet
        and model.bottleneck != "channel-wise"
        and model.convolutions is None
        and not (model.hole_channel or model.skips or model.residual)
    )


def _in_order(arrays: StateDict) -> list[tuple[int, np.ndarray]]:
    """The weights of `main` by their numbers, whatever the order of the file."""
    numbered = []
    for key, array in arrays.items():
        main, _, rest = key.partition(".")
        number, _, name = rest.partition(".")
        if main == "main" and name == "weight" and number.isdecimal():
            numbered.append((int(number), array))
    return sorted(numbered, key=lambda pair: pair[0])


def _tensors(downs: int, ups: int) -> Iterator[Tensor]:
    """All tensors of a network that halves so often, and then doubles so often."""
    layers = [(f"Downsample_{i}", _straight) for i in range(downs)]
    if downs:
        layers.append(("Dense_0", _gathered))
    if ups:
        layers.append((f"Dense_{1 if downs else 0}", _spread))
    layers += [(f"Upsample_{i}", _straight) for i in range(ups)]
    number = norms = 0
    for index, (name, ways) in enumerate(layers):
        yield Tensor(f"main.{number}.weight", ("params", name, "kernel"), *ways)
        first, last = index == 0, index == len(layers) - 1
        if last or (first and downs):  # next to the image, and at the end
            number += 2
            continue
        for (collection, ours), theirs in _BATCH_NORM.items():
            place = (collection, f"BatchNorm_{norms}", "BatchNorm_0", ours)
            yield Tensor(f"main.{number + 1}.{theirs}", place, _same, _same)
        number, norms = number + 3, norms + 1


_BATCH_NORM = {
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}


def _same(array: Any) -> Any:
    return array


# A layer at stride 2: [4, 4, c, o] and [o, c, 4, 4].
_straight = (lambda k: k.transpose(3, 2, 0, 1), lambda k: k.transpose(2, 3, 1, 0))

# From 4x4 places to one: [16 c, o] and [o, c, 4, 4].
_gathered = (
    lambda k: k.reshape(4, 4, -1, k.shape[1]).transpose(3, 2, 0, 1),
    lambda k: k.transpose(2, 3, 1, 0).reshape(-1, len(k)),
)

# From one place to 4x4: [i, 16 c] and [i, c, 4, 4].
_spread = (
    lambda k: k.reshape(len(k), 4, 4, -1).transpose(0, 3, 1, 2),
    lambda k: k.transpose(0, 2, 3, 1).reshape(len(k), -1),
)
