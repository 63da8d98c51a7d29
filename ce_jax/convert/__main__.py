"""Brings networks from PyTorch, and takes ours elsewhere: python -m ce_jax.convert --help."""

import hashlib
import sys
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

    def __call__(self) -> None:
        """Writes the model, if the weights are those of one."""
        from ce_jax.convert import layouts, state_files
        from ce_jax.runs import releases

        _require_model_file(self.output)
        _require_new(self.output, overwrite=self.overwrite)
        generator = state_files.read(self.generator)
        critic = self.critic and state_files.read(self.critic)
        config = layouts.experiment_of(
            generator,
            file=str(self.generator),
            prior=self.prior,
            fill=self.fill,
            judged=critic is not None,
        )
        named = str(self.generator), str(self.critic)
        trained = layouts.imported(generator, critic, config, files=named)
        _write(self.output, releases.pack(trained))
        size = config.data.frame.size
        print(f"{self.output}: {type(config.model).__name__} for {size}x{size} images")


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

    def __call__(self) -> None:
        """Writes what is asked for, or nothing."""
        from ce_jax.convert import layouts, state_files
        from ce_jax.runs import loading

        paths: dict[layouts.Role, Path] = {}
        if self.generator is not None:
            paths["generator"] = self.generator
        if self.critic is not None:
            paths["critic"] = self.critic
        if not paths:
            raise ValueError("name a file to write: --generator netG.pth, or --critic netD.pth")
        for path in paths.values():
            state_files.check_name(path)
            _require_new(path, overwrite=self.overwrite)
        if len({path.resolve() for path in paths.values()}) < len(paths):
            raise ValueError(f"--generator and --critic are both {self.critic}; name two files")
        trained = loading.load(self.model)
        found = {role: layouts.to_state_dict(layouts.layout_of(trained, role)) for role in paths}
        for role, path in paths.items():
            state_files.write(path, found[role])
            print(f"{path}: {len(found[role])} tensors")


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

    def __call__(self) -> None:
        """Writes all programs, or nothing."""
        from ce_jax.convert import stablehlo
        from ce_jax.runs import loading

        programs = stablehlo.programs(loading.load(self.model))
        paths = {self.output / f"{name}.stablehlo": data for name, data in programs.items()}
        for path in paths:
            _require_new(path, overwrite=self.overwrite)
        for path, data in paths.items():
            _write(path, data)
            print(f"{path}: {len(data):,} bytes")


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

    def __call__(self) -> None:
        """Writes both files."""
        from ce_jax.convert import cards
        from ce_jax.runs import loading, releases

        _require_model_file(self.output)
        beside = self.output.with_suffix(".md")
        for path in (self.output, beside):
            _require_new(path, overwrite=self.overwrite)
        trained = releases.needed(loading.load(self.model))
        if self.trained_on is not None:
            config = releases.without_paths(trained.config, source=self.trained_on)
            trained = trained._replace(config=config)
        data = releases.pack(trained, precision=self.precision)
        sha256, cost = hashlib.sha256(data).hexdigest(), cards.cost(trained, self.precision)
        card = cards.card(
            trained, path=self.output, sha256=sha256, precision=self.precision, cost=cost
        )
        _write(self.output, data)
        _write(beside, card.encode())
        print(f"{self.output}: {len(data):,} bytes, SHA-256 {sha256}")
        if cost:
            print(cards.difference(cost))
        print(f"{beside}: add figures, limits and a licence")


Command = (
    Annotated[Import, tyro.conf.subcommand("import")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[StableHlo, tyro.conf.subcommand("stablehlo")]
    | Annotated[Release, tyro.conf.subcommand("release")]
)


def main(arguments: list[str]) -> int:
    """Does what is asked, and says what has been written; explains `--help` and every mistake."""
    description = "Brings networks from PyTorch, and takes ours elsewhere."
    tyro.cli(Command, args=arguments, prog=_PROGRAM, description=description)()
    return commands.DONE


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
