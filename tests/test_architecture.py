"""The house keeps its own rules: who may import whom, and which few modules touch the world.

The order of the modules is read from the docstring of `ce_jax`, so that it cannot say otherwise.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ARITHMETIC_ALONE, python

import ce_jax

PACKAGE = Path(ce_jax.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
TREES = {path: ast.parse(path.read_text()) for path in FILES}
LAYERS = re.findall(r"^    (\w+(?: \w+)*)(?:  .*)?$", str(ce_jax.__doc__), re.MULTILINE)
ORDER = [module for layer in LAYERS for module in layer.split()]

COMPILE = {
    *("sharding", "hosts", "holes.hole_sets", "runs.arithmetic", "sources", "completion"),
    *("inpainting.perceptual", "training", "convert"),
}
"""Modules, or whole folders, that may call `jax.jit` or `jax.pmap`; all else is to be compiled."""
WORLDLESS = {
    "config",
    "losses",
    "metrics",
    "blending",
    "holes.irregular",
    "models",
    "state",
    "systems",
    "completion.trails",
}
"""Modules, or whole folders, that touch no file, clock, thread, process or log."""
WORLD = {"io", "logging", "os", "pathlib", "random", "shutil", "signal", "sys", "threading", "time"}


def module_of(path):
    """The name that the docstring lists: a module, or the folder that it stands in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def named(path, names):
    """Which of these names means a file: its own, dotted, or its folder's; None if none does."""
    dotted = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    found = {module_of(path), dotted.removesuffix(".__init__")} & names
    return found.pop() if found else None


def imports(tree):
    """Dotted names that are imported anywhere in a file, functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def used_modules(path):
    return {name.split(".")[1] for name in imports(TREES[path]) if name.startswith("ce_jax.")}


def called(tree):
    """Dotted names of all that is called, decorated with or passed on."""
    return {
        ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)
    }


def name(path):
    return path.relative_to(PACKAGE).as_posix()


def test_the_docstring_of_the_package_lists_every_module_once():
    assert len(LAYERS) > 5
    assert sorted(ORDER) == sorted({module_of(path) for path in FILES})


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_module_imports_only_what_is_listed_before_it(path):
    module = module_of(path)
    allowed = {*ORDER[: ORDER.index(module)], module}
    assert used_modules(path) <= allowed


def test_imports_form_no_circle():
    graph = {
        ".".join(("ce_jax", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
            ".__init__"
        ): tree
        for path, tree in TREES.items()
    }
    needs = {}
    for module, tree in graph.items():
        targets = set(imports(tree))
        targets |= {target.rpartition(".")[0] for target in targets}
        needs[module] = targets & graph.keys() - {module}
    while leaves := {module for module, others in needs.items() if not others & needs.keys()}:
        needs = {module: others for module, others in needs.items() if module not in leaves}
    assert not needs, "a circle of imports"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_named_modules_compile(path):
    compiles = {"jax.jit", "jax.pmap", "jit", "pmap", "nn.jit"} & called(TREES[path])
    assert not compiles or named(path, COMPILE)
    assert "jax.pmap" not in compiles or module_of(path) == "sharding"


def test_every_module_that_may_compile_does():
    compiling = {named(path, COMPILE) for path in FILES if "jax.jit" in called(TREES[path])}
    assert compiling == COMPILE


@pytest.mark.parametrize("path", FILES, ids=name)
def test_nothing_runs_what_it_was_given(path):
    """No pickle, no text as code, no shell; experiments are Python, which `commands` runs."""
    called_here = called(TREES[path])
    assert not {"eval", "exec", "compile", "os.system", "os.popen", "__import__"} & called_here
    assert "runpy.run_path" not in called_here or name(path) == "commands.py"
    top_levels = {imported.split(".")[0] for imported in imports(TREES[path])}
    loaders = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    assert not (loaders | {"subprocess"}) & top_levels
    assert "extractall" not in path.read_text()
    assert "allow_pickle=True" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_library_neither_prints_nor_exits(path):
    forbidden = {
        "print",
        "exit",
        "quit",
        "sys.exit",
        "os._exit",
        "SystemExit",
        "input",
        "breakpoint",
    }
    if name(path) not in ("commands.py", "convert/__main__.py"):  # programs, and what they share
        assert not forbidden & called(TREES[path])


@pytest.mark.parametrize("path", [p for p in FILES if named(p, WORLDLESS)], ids=name)
def test_what_is_pure_touches_no_world(path):
    top_levels = {imported.split(".")[0] for imported in imports(TREES[path])}
    assert not WORLD & top_levels
    assert "open" not in called(TREES[path])


EXPERIMENTS_MAY_IMPORT = {
    "__future__",
    "ce_jax",
    "collections",
    "contextlib",
    "dataclasses",
    "typing",
    "tyro",
}


def test_an_experiment_can_be_read_without_jax():
    files = [path for path in FILES if module_of(path) == "config"]
    top_levels = {name.split(".")[0] for path in files for name in imports(TREES[path])}
    assert top_levels <= EXPERIMENTS_MAY_IMPORT
    assert {module for path in files for module in used_modules(path)} == {"config"}


def test_steps_and_searches_need_nothing_but_arithmetic():
    python(
        ARITHMETIC_ALONE
        + "import ce_jax.completion.context_encoder, ce_jax.completion.latent, ce_jax.sharding\n"
        + "import ce_jax.runs.arithmetic, ce_jax.systems"
    )


def test_nothing_happens_at_import():
    """No device is claimed, nothing is printed, and what is heavy waits until it is needed."""
    modules = [
        ".".join(("ce_jax", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in FILES
    ]
    code = f"""
import importlib, sys
for module in {modules}:
    importlib.import_module(module)
heavy = {{"tensorflow", "tensorflow_datasets", "sklearn", "skimage", "cv2", "patchmatch"}}
assert not heavy & sys.modules.keys()
"""
    no_devices = os.environ | {"JAX_PLATFORMS": "none"}  # whoever asks for one, fails
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=no_devices
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
