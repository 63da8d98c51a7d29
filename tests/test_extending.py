"""What docs/extending.md adds to the package, added to a copy of it, and its commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from processes import ROOT

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECTIONS = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.fixture
def house(tmp_path):
    """A copy of what it takes to train and to inpaint, some photographs, and a list of them."""
    for name in ("ce_jax", "configs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("train.py", "inpaint.py"):
        shutil.copy(ROOT / name, tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 80, 90, 3), np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    (tmp_path / "photographs.txt").write_text("b.png\na.png\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS, ids=lambda text: text.partition("\n")[0])
def test_what_the_page_adds_works_as_it_stands(house, section):
    blocks = BLOCK.findall(section)
    changes = "".join(text for kind, text in blocks if kind == "diff")
    subprocess.run(
        ["git", "apply", "-C1", "-"], input=changes, text=True, cwd=house, check=True, timeout=60
    )
    commands = "".join(text for kind, text in blocks if not kind).replace("\\\n", " ")
    for command in map(shlex.split, commands.splitlines()):
        ended = subprocess.run(
            [sys.executable, *command[1:]], cwd=house, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr
    (metrics,) = (house / "runs").glob("*/metrics.json")
    found = json.loads(metrics.read_text())
    assert found["done"] > 0
    assert found["failed"] == 0
