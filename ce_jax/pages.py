"""HTML pages that need nothing but themselves: one look for all of them, in `templates/page.html`.

Style, script and pictures are part of the file, and its content security policy forbids everything
else, but for what a page says that it links to. It can be opened without a network.
"""

import base64
import functools
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jinja2

from ce_jax import files

WIDE = 40
"""Facts of more letters than these have a line of their own."""


def write(path: str | os.PathLike, template: str, content: Mapping[str, Any]) -> None:
    """Write a page from a template and what is to stand in it, escaped.

    The file appears whole or not at all; an existing one is replaced, parent folders are created.
    """
    page = _template(template).stream(content, wide=WIDE)
    with files.replacing(path) as temporary:
        # File names need not be valid text: what cannot be written is shown as an escape.
        page.dump(str(temporary), encoding="utf-8", errors="backslashreplace")


def data_uri(content: bytes, kind: str) -> str:
    """A file of a media type, such as image/png, as an address that holds it."""
    return f"data:{kind};base64," + base64.b64encode(content).decode("ascii")


def moment(time: datetime) -> str:
    """A point in time, in UTC."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


@functools.cache
def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ce_jax"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
