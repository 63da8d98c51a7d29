"""Folders of photographs and holes to inpaint, the shortest runs over them, and what they wrote."""

import json
from dataclasses import replace

import numpy as np
from PIL import Image

from ce_jax.config import Frame, Inpainting, LatentSearch
from ce_jax.images import write_png

FRAME = Frame(size=32, shorter_side=36)


def noise(seed, height=40, width=50, channels=3):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (height, width, channels), np.uint8)


def photographs(folder, *names):
    """PNG photographs, all different."""
    for seed, name in enumerate(names):
        write_png(folder / f"{name}.png", noise(seed))
    return f"folder:{folder}"


def numbered(folder, count):
    return photographs(folder, *(f"{number:02}" for number in range(count)))


def truncated(path):
    Image.fromarray(noise(9)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:600])


def hole_file(path, box, height=40, width=50):
    """A hole from left, top to right, bottom."""
    picture = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = box
    picture[top:bottom, left:right] = 255
    write_png(path, picture)
    return str(path)


def laplace(source, output, **changes):
    config = Inpainting(
        images=source, output=str(output), method="laplace", frame=FRAME, batch_size=8
    )
    return replace(config, **changes)


def latent(source, output, model, **changes):
    search = LatentSearch(steps=3, rate=0.1)
    return laplace(source, output, method="latent", model=model, latent=search, **changes)


def nearest(source, output, collection, **changes):
    return laplace(source, output, method="nearest", collection=collection, **changes)


def strictly(text):
    """JSON as everybody else reads it: without NaN and Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def manifest(output):
    """Name -> its newest line."""
    lines = (output / "manifest.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return {record["name"]: record for record in map(strictly, lines)}


def contents(folder):
    """Every file in a folder, with its bytes and the time of its last change."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def pictures(output):
    return {name: file[0] for name, file in contents(output).items() if name.endswith(".png")}


def solid(level, height=4, width=6):
    return np.full((height, width, 3), level, np.uint8)


def levels(source):
    """Of solid pictures."""
    return [int(source[index][0, 0, 0]) for index in range(len(source))]
