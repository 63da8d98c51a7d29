"""Eight simulated devices, and every laxness of JAX that can be an error is one."""

import atexit
import gc
import importlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8"
    " --xla_backend_optimization_level=2"  # LLVM's -O2 gives the same loops as -O3 much sooner
)
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the programs have it

# One compilation serves all tests of a run, its workers, and the programs that they start.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    cache = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="ce_jax-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    atexit.register(shutil.rmtree, cache, ignore_errors=True)

import foreign
import jax
import tiny
import untrained

from ce_jax import commands

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


_LONGEST = (
    *("completion", "systems", "training", "latent", "l2_gan", "models", "fast_search"),
    *("sharding", "convolution", "high_resolution", "batch", "holes", "alexnet"),
)


def pytest_collection_modifyitems(items):
    """Begins with the files that take longest, so that no worker is left alone with one."""
    order = {f"test_{name}": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_collection_finish():
    """What was imported is no garbage, and need not be looked through again and again."""
    gc.freeze()


@pytest.fixture
def golden():
    """The committed answer of that name in tests/golden; UPDATE_GOLDEN=1 first writes `found`."""

    def read(name: str, found: str) -> str:
        path = Path(__file__).parent / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found)
        return path.read_text()

    return read


@pytest.fixture
def assert_committed_steps(golden):
    """Compares the scalars of the first steps of a kind of run with those in tests/golden.

    Within 0.2 %: Adam divides by gradients near 0, which enlarges the last bits of a sum.
    """

    def check(kind: str, found: list[dict[str, float]]) -> None:
        expected = json.loads(golden(f"steps_{kind}.json", json.dumps(found, indent=1) + "\n"))
        for step, (ours, theirs) in enumerate(zip(found, expected, strict=True), start=1):
            complaint = f"step {step}; if this is meant: UPDATE_GOLDEN=1 pytest"
            assert ours == pytest.approx(theirs, rel=2e-3), complaint

    return check


@pytest.fixture
def assert_committed_start(golden):
    """Compares names, shapes, means and deviations of starting values with those in tests/golden.

    Three decimals: the numbers of a key are firm, the last bits of a logarithm are not.
    """

    def check(name: str, *trees: dict) -> None:
        lines = []
        for tree in trees:
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
                where = "/".join(str(key.key) for key in path)
                sides = "x".join(map(str, leaf.shape))
                lines.append(f"{where} {sides} {leaf.mean():.3f} {leaf.std():.3f}")
        found = "\n".join(lines).replace("-0.000", "0.000") + "\n"
        assert found == golden(f"{name}.txt", found), "if this is meant: UPDATE_GOLDEN=1 pytest"

    return check


@pytest.fixture(scope="module")
def quickly():
    """A file in which everything is compiled as quickly as XLA can."""
    with tiny.quickly():
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny DCGAN that did not learn, as a run leaves it at step 7; nobody writes to it."""
    return untrained.workdir(tmp_path_factory.mktemp("model") / "dcgan", tiny.dcgan())


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Files of an AlexNet, a VGG16, an Inception and a VGG19, each of few channels."""
    folder = tmp_path_factory.mktemp("weights")
    return {
        name: foreign.saved(folder / f"{name}.npz", getattr(foreign, name)())
        for name in ("alex", "vgg", "inception_v3", "vgg19")
    }


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a program in this process: its exit code, and what it wrote to either output."""

    def run(program, *arguments):
        monkeypatch.chdir(Path(__file__).parents[1])
        monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        try:
            code = commands.run(importlib.import_module(Path(program).stem).main)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run
