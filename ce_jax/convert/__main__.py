"""Brings networks from PyTorch, and takes ours elsewhere: python -m ce_jax.convert --help."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ce_jax import commands

_PROGRAM = "python -m ce_jax.convert"

Model = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]


@dataclass(frozen=True, kw_only=True)
class Import:
    """Makes a model of the state dicts of a PyTorch program.

    The DCGAN of pytorch/examples:

    python -m ce_jax.convert import --generator netG.pth --critic netD.pth --output f.safetensors

    A context encoder of the common layout (main.0.weight ..., bottleneck 4000, no biases):

    python -m ce_jax.convert import --generator netG_streetview.pth --output s.safetensors

    Then: python inpaint.py configs/latent_search.py --model f.safetensors ...
    """

    generator: Path
    """State dict of the generator, or of the context encoder; .pth needs PyTorch, .safetensors
    does not."""
    critic: Path | None = None
    """State dict of the discriminator. Without it, a latent search needs --latent.prior 0; a
    context encoder completes as well."""
    output: Path
    """The model file to write, ending in .safetensors."""
    prior: Literal["normal", "uniform"] = "normal"
    """What z was drawn from in training: standard normal (pytorch/examples), or uniform in
    [-1, 1]."""
    fill: tuple[int, int, int] = (117, 104, 123)
    """8-bit RGB that the holes of a context encoder were painted with."""
    overwrite: bool = False
    """Replace the file if it is there."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Writes state dicts of a model of ours, for the programs that `import` knows.

    python -m ce_jax.convert export runs/dcgan --generator netG.pth --critic netD.pth
    """

    model: Model
    """A model, as inpaint.py takes it: work directory, .safetensors file, or name."""
    generator: Path | None = None
    """State dict to write of the generator, or of the context encoder: .pth or .safetensors."""
    critic: Path | None = None
    """State dict to write of the critic. It ends in a logit; the sigmoid has no weights."""
    overwrite: bool = False
    """Replace files that are there."""


@dataclass(frozen=True, kw_only=True)
class StableHlo:
    """Writes the networks of a model as programs, with their weights, for CPU, GPU and TPU.

    python -m ce_jax.convert stablehlo runs/dcgan --output programs

    writes programs/generator.stablehlo and so on. What is in one can be called where there is JAX
    with flatbuffers: jax.export.deserialize(bytearray(Path(...).read_bytes())).call(z)
    """

    model: Model
    """A model, as inpaint.py takes it: work directory, .safetensors file, or name."""
    output: Path
    """Folder for the programs, created if need be."""
    overwrite: bool = False
    """Replace files that are there."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """Makes one file of all that a completion needs of a run, and begins its model card.

    python -m ce_jax.convert release runs/dcgan --output faces64.safetensors --precision float16

    writes faces64.safetensors and faces64.md.
    """

    model: Model
    """A model, as inpaint.py takes it: work directory, .safetensors file, or name."""
    output: Path
    """The model file to write, ending in .safetensors."""
    precision: Literal["float32", "float16"] = "float32"
    """What kernels are stored in: float16 halves the file. Networks compute in float32 anyway."""
    trained_on: str | None = None
    """What the file and the card call the images of the run, such as folder:celeba/train, so that
    they give no path of yours away; None: as the run does."""
    overwrite: bool = False
    """Replace the files if they are there."""


Command = (
    Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[StableHlo, tyro.conf.subcommand("stablehlo")]
    | Annotated[Release, tyro.conf.subcommand("release")]
)


def main(arguments: list[str]) -> int:
    """Does what is asked, and says what has been written; explains `--help` and every mistake."""
    does: dict[type, Callable] = {
        Import: _import,
        Export: _export,
        StableHlo: _stablehlo,
        Release: _release,
    }
    description = "Brings networks from PyTorch, and takes ours elsewhere."
    command = tyro.cli(Command, args=arguments, prog=_PROGRAM, description=description)
    does[type(command)](command)
    return commands.DONE


def _import(command: Import) -> None:
    from ce_jax.convert import layouts, state_files
    from ce_jax.runs import releases

    _require_model_file(command.output)
    _require_new(command.output, overwrite=command.overwrite)
    generator = state_files.read(command.generator)
    critic = command.critic and state_files.read(command.critic)
    config = layouts.experiment_of(
        generator,
        file=str(command.generator),
        prior=command.prior,
        fill=command.fill,
        judged=critic is not None,
    )
    named = str(command.generator), str(command.critic)
    trained = layouts.imported(generator, critic, config, files=named)
    _write(command.output, releases.pack(trained))
    size = config.data.frame.size
    print(f"{command.output}: {type(config.model).__name__} for {size}x{size} images")


def _export(command: Export) -> None:
    from ce_jax.convert import layouts, state_files
    from ce_jax.runs import loading

    paths: dict[layouts.Role, Path] = {}
    if command.generator is not None:
        paths["generator"] = command.generator
    if command.critic is not None:
        paths["critic"] = command.critic
    if not paths:
        raise ValueError("name a file to write: --generator netG.pth, or --critic netD.pth")
    for path in paths.values():
        state_files.check_name(path)
        _require_new(path, overwrite=command.overwrite)
    trained = loading.load(command.model)
    found = {role: layouts.to_state_dict(layouts.layout_of(trained, role)) for role in paths}
    for role, path in paths.items():
        state_files.write(path, found[role])
        print(f"{path}: {len(found[role])} tensors")


def _stablehlo(command: StableHlo) -> None:
    from ce_jax.convert import stablehlo
    from ce_jax.runs import loading

    programs = stablehlo.programs(loading.load(command.model))
    paths = {command.output / f"{name}.stablehlo": data for name, data in programs.items()}
    for path in paths:
        _require_new(path, overwrite=command.overwrite)
    for path, data in paths.items():
        _write(path, data)
        print(f"{path}: {len(data):,} bytes")


def _release(command: Release) -> None:
    from ce_jax.convert import cards
    from ce_jax.runs import loading, releases

    _require_model_file(command.output)
    beside = command.output.with_suffix(".md")
    for path in (command.output, beside):
        _require_new(path, overwrite=command.overwrite)
    trained = releases.needed(loading.load(command.model))
    if command.trained_on is not None:
        config = releases.without_paths(trained.config, source=command.trained_on)
        trained = trained._replace(config=config)
    data = releases.pack(trained, precision=command.precision)
    sha256, cost = hashlib.sha256(data).hexdigest(), cards.cost(trained, command.precision)
    card = cards.card(
        trained, path=command.output, sha256=sha256, precision=command.precision, cost=cost
    )
    _write(command.output, data)
    _write(beside, card.encode())
    print(f"{command.output}: {len(data):,} bytes, SHA-256 {sha256}")
    if cost:
        print(cards.difference(cost))
    print(f"{beside}: add figures, limits and a licence")


def _require_model_file(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ValueError(f"--output {path} must end in .safetensors")


def _require_new(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise ValueError(f"{path} is there already; write to another file, or add --overwrite")


def _write(path: Path, data: bytes) -> None:
    from ce_jax import files

    with files.replacing(path) as temporary:
        temporary.write_bytes(data)


if __name__ == "__main__":
    sys.exit(commands.run(main, program=_PROGRAM))
