"""One word for one thing, one shape for every signature, and experiments that stay what they are.

After a change of an experiment that is meant: UPDATE_GOLDEN=1 pytest this file.
"""

import ast
import json
import re
import runpy
from pathlib import Path

import pytest

from ce_jax import config
from ce_jax.config import Inpainting, Table, Training

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "ce_jax").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
PROGRAMS = ("train.py", "inpaint.py", "draw_holes.py", "report.py")
SCRIPTS = [*PACKAGE, *CONFIGS, *(ROOT / program for program in PROGRAMS)]

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def definitions(path):
    """Classes and functions of a file with their dotted names; not those inside of functions."""

    def inside(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FUNCTIONS | ast.ClassDef):
                yield f"{prefix}{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from inside(child, f"{prefix}{child.name}.")

    yield from inside(ast.parse(path.read_text()), f"{path.relative_to(ROOT).as_posix()}: ")


EVERYTHING = [definition for path in SCRIPTS for definition in definitions(path)]
PUBLIC = [
    (name, node)
    for name, node in EVERYTHING
    if not any(part.startswith("_") for part in name.split(": ")[1].split("."))
]


def parameters(node):
    arguments = node.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def test_everything_public_says_what_it_is_for():
    silent = [name for name, node in PUBLIC if not ast.get_docstring(node)]
    silent += [path.name for path in SCRIPTS if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent
    assert len(PUBLIC) > 80


def test_docstrings_begin_with_one_line_that_is_a_sentence():
    crooked = []
    for name, node in PUBLIC:
        first, _, rest = (ast.get_docstring(node) or "").partition("\n")
        if not first.endswith((".", ":")) or (rest and not rest.startswith("\n")):
            crooked.append(name)
    assert not crooked


SHAPE = re.compile(r"any shape|\[\]|\[[^\]]*([a-zA-Z]|\.\.\.)[^\]]*\]")
ARRAY = re.compile(r"(?<![\w.])(Array|jax\.Array|np\.ndarray)(?!\w)")


def documentation(name, node):
    """The docstrings of a function, of its class and of its file, from near to far."""
    path, _ = name.split(": ")
    yield ast.get_docstring(node) or ""
    for other, found in PUBLIC:
        if name.startswith(f"{other}."):
            yield ast.get_docstring(found) or ""
    yield ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""


def test_a_parameter_that_is_an_array_has_a_shape():
    """In the docstring, or once for all in that of the class or of the module; [-1, 1] is none."""
    shapeless = []
    for name, node in PUBLIC:
        if isinstance(node, FUNCTIONS):
            annotations = [ast.unparse(p.annotation) for p in parameters(node) if p.annotation]
            arrays = [a for a in annotations if ARRAY.search(a) and "Callable" not in a]
            if arrays and not any(map(SHAPE.search, documentation(name, node))):
                shapeless.append(name)
    assert not shapeless


def raised(node):
    """Names of what is raised in a function, but in a `try` that may catch it again."""
    if isinstance(node, ast.Raise) and node.exc is not None:
        yield ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
    passed = node.body if isinstance(node, ast.Try) and node.handlers else []
    for child in ast.iter_child_nodes(node):
        if child not in passed:
            yield from raised(child)


def test_what_a_function_raises_is_said():
    """By name or as "raises as `other`"; of an error that a function makes, that it is raised."""
    silent = []
    for name, node in PUBLIC:
        if isinstance(node, FUNCTIONS):
            said = ast.get_docstring(node) or ""
            for error in raised(node):
                plain = error.rpartition(".")[2]
                named = plain in said if plain[0].isupper() else "aises" in said
                if not named and not re.search(r"[Rr]aises (\w+ )?as ", said):
                    silent.append(f"{name} {error}")
    assert not silent


def test_options_are_named_where_they_are_given():
    """What has a default, and every bool that is an option, stands behind the star."""
    found = []
    for name, node in PUBLIC:
        if isinstance(node, FUNCTIONS):
            positional = [*node.args.posonlyargs, *node.args.args]
            optional = positional[len(positional) - len(node.args.defaults) :]
            found += [f"{name} {p.arg}" for p in optional if p is not positional[0]]
            flags = [p for p in positional if is_annotated(p, "bool") and p.arg != "condition"]
            found += [f"{name} {p.arg}" for p in flags]
    assert found == []


def is_annotated(parameter, *annotations):
    return parameter.annotation is not None and ast.unparse(parameter.annotation) in annotations


def test_a_random_key_is_called_key_and_a_hole_is_never_a_mask():
    found = []
    for name, node in EVERYTHING:
        if not isinstance(node, FUNCTIONS):
            continue
        for parameter in parameters(node):
            word = parameter.arg
            array = is_annotated(parameter, "Array", "jax.Array")
            if array and word != "key" and re.search(r"key|rng|seed|random", word):
                found.append(f"{name} {word}")
    for path in SCRIPTS:
        for node in ast.walk(ast.parse(path.read_text())):
            word = getattr(node, "id", None) or getattr(node, "arg", None) or ""
            if "mask" in word.lower():
                found.append(f"{path.name}: {word}")
    assert found == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_experiment_is_what_was_committed(path, golden):
    experiment = runpy.run_path(str(path))["get_config"]()
    assert isinstance(experiment, Training | Inpainting | Table)
    plain = config.to_dict(experiment)
    assert json.loads(json.dumps(plain)) == plain, "what is read back is compared with it"
    found = json.dumps({"kind": type(experiment).__name__, **plain}, indent=1) + "\n"
    expected = golden(f"configs/{path.stem}.json", found)
    assert found == expected, "if this is meant: UPDATE_GOLDEN=1 pytest"
    if isinstance(experiment, Training):
        assert config.training_from_dict(json.loads(json.dumps(plain))) == experiment


def test_every_committed_experiment_still_exists():
    committed = {path.stem for path in (ROOT / "tests" / "golden" / "configs").glob("*.json")}
    assert committed == {path.stem for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_experiment_says_how_to_run_it(path):
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    experiment = runpy.run_path(str(path))["get_config"]()
    script = "train.py" if isinstance(experiment, Training) else "inpaint.py"
    assert f"python {script} configs/{path.name}" in text


def test_the_tree_of_the_readme_shows_every_room():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = re.findall(r"[\w/.]+", text.split("## Layout")[1].split("## ")[0])
    rooms = [
        path for path in (ROOT / "ce_jax").iterdir() if not path.name.startswith(("__", "py."))
    ]
    names = {path.name + "/" * path.is_dir() for path in rooms if path.name != "templates"}
    assert names <= set(tree)
