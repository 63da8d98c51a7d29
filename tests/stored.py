"""A training into an object store that is only pretended, stopped and continued: stored.py FOLDER.

One dictionary holds the objects. fsspec reaches it as it would by gcsfs, and tensorstore, which
speaks to Google's servers itself, by a server on loopback. What is left out is the network.
"""

import io
import json
import os
import re
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import fsspec
import jax
import numpy as np
import tiny
from etils.epath import backend
from orbax.checkpoint._src.path import gcs_utils
from processes import scalars

from ce_jax import files
from ce_jax.runs import checkpointing, workdirs
from ce_jax.training import train

OBJECTS = {}


class Buffer(io.BytesIO):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def close(self):
        if not self.closed:
            OBJECTS[self.name] = self.getvalue()
        super().close()


class Store(fsspec.AbstractFileSystem):
    """As flat as gcsfs: folders are what names have in common."""

    protocol = ("gs", "gcs")
    cachable = False

    def ls(self, path, detail=True, **_):
        path = self._strip_protocol(path).strip("/")
        if path in OBJECTS:
            found = {path: "file"}
        else:
            found = {}
            for name in OBJECTS:
                if name.startswith(path + "/"):
                    child, _, below = name[len(path) + 1 :].partition("/")
                    found[f"{path}/{child}"] = "directory" if below else "file"
            if not found:
                raise FileNotFoundError(path)
        known = [
            {"name": name, "type": kind, "size": len(OBJECTS.get(name, b""))}
            for name, kind in found.items()
        ]
        return known if detail else list(found)

    def _open(self, path, mode="rb", **_):
        assert mode in ("rb", "wb"), "an object store adds nothing to an object"
        if mode == "wb":
            return Buffer(path)
        if path not in OBJECTS:
            raise FileNotFoundError(path)
        return io.BytesIO(OBJECTS[path])

    def mkdir(self, path, create_parents=True, **_):
        pass

    def makedirs(self, path, exist_ok=False):
        pass

    def rmdir(self, path):
        pass

    def rm_file(self, path):
        if OBJECTS.pop(self._strip_protocol(path), None) is None:
            raise FileNotFoundError(path)

    def cp_file(self, path1, path2, **_):
        one, other = self._strip_protocol(path1), self._strip_protocol(path2)
        if one in OBJECTS:
            OBJECTS[other] = OBJECTS[one]


class Handler(BaseHTTPRequestHandler):
    """As much of the JSON interface of Google's storage as tensorstore speaks."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _parts(self):
        url = urllib.parse.urlsplit(self.path)
        found = re.fullmatch(r"(?:/upload)?/storage/v1/b/([^/]+)(?:/o(?:/(.*))?)?", url.path)
        bucket, name = found[1], urllib.parse.unquote(found[2] or "")
        return bucket, name, dict(urllib.parse.parse_qsl(url.query))

    def _answer(self, status, content=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _told(self, key):
        generation = str(1 + hash(OBJECTS[key]) % 2**40)
        return {
            "name": key.partition("/")[2],
            "generation": generation,
            "size": str(len(OBJECTS[key])),
        }

    def do_GET(self):
        bucket, name, options = self._parts()
        if not name:
            prefix = f"{bucket}/{options.get('prefix', '')}"
            items = [self._told(key) for key in sorted(OBJECTS) if key.startswith(prefix)]
            return self._answer(200, json.dumps({"items": items}).encode())
        key = f"{bucket}/{name}"
        if key not in OBJECTS:
            return self._answer(404)
        content, told = OBJECTS[key], self._told(key)
        if options.get("alt") != "media":
            return self._answer(200, json.dumps(told).encode())
        if options.get("ifGenerationNotMatch") == told["generation"]:
            return self._answer(304)
        headers = {"x_goog_generation": told["generation"]}
        if asked := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            if asked[1]:
                first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            else:
                first, last = max(len(content) - int(asked[2]), 0), len(content) - 1
            last = min(last, len(content) - 1)
            headers["Content_Range"] = f"bytes {first}-{last}/{len(content)}"
            return self._answer(206, content[first : last + 1], **headers)
        return self._answer(200, content, **headers)

    def do_POST(self):
        bucket, _, options = self._parts()
        key = f"{bucket}/{options['name']}"
        content = self.rfile.read(int(self.headers["Content-Length"]))
        wanted = options.get("ifGenerationMatch")
        held = self._told(key)["generation"] if key in OBJECTS else "0"
        if wanted is not None and wanted != held:
            return self._answer(412)
        OBJECTS[key] = content
        return self._answer(200, json.dumps(self._told(key)).encode())

    def do_DELETE(self):
        bucket, name, _ = self._parts()
        self._answer(204 if OBJECTS.pop(f"{bucket}/{name}", None) is not None else 404)


def main(folder):
    server = ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["TENSORSTORE_GCS_HTTP_URL"] = f"http://localhost:{server.server_port}"
    config, place = tiny.dcgan(), "gs://bucket/runs/one"
    pretended = mock.patch.object(
        type(backend.fsspec_backend), "_get_filesystem", lambda self, name: Store()
    )
    # A kind of bucket that orbax would do otherwise with, and asks Google's own library for.
    flat = mock.patch.object(gcs_utils, "get_bucket", lambda name: object())
    with tiny.quickly(), pretended, flat, mock.patch.object(files, "find_spec", lambda name: True):
        assert train(config, place, stopped=tiny.after(3)) == 3
        assert workdirs.saved_steps(place) == [2, 3]
        assert train(config, place) == 4
        assert train(config, Path(folder, "local")) == 4
        stored, local = (checkpointing.load(where) for where in (place, Path(folder, "local")))
        newest = "bucket/runs/one/checkpoints/4/"
        for name in [name for name in OBJECTS if name.startswith(newest)]:
            if not name.endswith("commit_success.txt"):
                OBJECTS[name] = OBJECTS[name][: len(OBJECTS[name]) // 2]
        assert checkpointing.load(place).step == 3
    jax.tree.map(np.testing.assert_array_equal, stored.generator, local.generator)
    lines = Path(folder, "scalars.jsonl")
    lines.write_bytes(OBJECTS["bucket/runs/one/scalars.jsonl"])
    assert scalars(Path(folder)) == scalars(Path(folder, "local"))
    board = (OBJECTS[name] for name in OBJECTS if "/tensorboard/" in name)
    assert not any(b"pictures" in content for content in board)
    names = {re.sub(r"\d+", "N", name.removeprefix("bucket/runs/one/")) for name in OBJECTS}
    print(*sorted(name for name in names if not name.startswith("checkpoints/")))


if __name__ == "__main__":
    main(sys.argv[1])
