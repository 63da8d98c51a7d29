"""Taking possession of an output folder: never of somebody's files, never two at a time.

inpainting.json   the config that the results in the folder belong to
.lock             held by whoever is writing; what it says tells those who wait for how long
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from ce_jax import files
from ce_jax.config import flat
from ce_jax.inpainting import packing
from ce_jax.inpainting.manifest import Manifest, OutputError
from ce_jax.inpainting.shards import WHOLE, Shard

_log = logging.getLogger(__name__)

# Seconds that are waited for others, anew as long as they make ready a folder to be shared.
_PATIENCE = 10
_SHARED_SOON = "to be shared"
_OURS = ("manifest.jsonl", "metrics.json", "report.html")


def claim(
    folder: Path, identity: Mapping[str, Any], *, shard: Shard = WHOLE, overwrite: bool = False
) -> ExitStack:
    """Takes possession of a folder, or of a part of it beside others with other parts.

    Args:
        folder: created if need be.
        identity: everything that the results depend on, as JSON types.
        shard: the part of the images that is added to; the other parts are others'.
        overwrite: remove results of another config.

    Returns:
        What gives it back, when it is closed.

    Raises:
        OutputError: the folder cannot be written, holds other files, or results of another
            config, or another process is writing to it.
    """
    with ExitStack() as held:
        try:
            _is_of_another(folder, identity, overwrite=overwrite)
            folder.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context((folder / ".lock").open("a+"))
            manifest = Manifest(folder, shard)
            if _lock(folder, shard, lock):
                lock.truncate(0)
                lock.write("" if shard == WHOLE else _SHARED_SOON)
                lock.flush()
                # Now that nobody else can: it may have changed in the meantime.
                if _is_of_another(folder, identity, overwrite=overwrite):
                    _clear(manifest)
                files.sweep(folder)
                files.write_text(folder / "inpainting.json", json.dumps(identity, indent=2) + "\n")
            if shard == WHOLE:
                manifest.merge()
            else:
                _share(manifest, shard, lock, held)
                _is_of_another(folder, identity, shared=True)
            manifest.mend()
        except OSError as error:
            raise OutputError(
                f"{folder} cannot be written ({error.strerror}); choose another --output."
            ) from error
        return held.pop_all()


def _lock(folder: Path, shard: Shard, lock: IO) -> bool:
    """Holds the folder: alone if possible, else, with a shard, beside others with shards."""
    deadline, told = time.monotonic() + _PATIENCE, False
    while not files.hold(lock):
        lock.seek(0)
        if shard != WHOLE and lock.read() == _SHARED_SOON:
            deadline = time.monotonic() + _PATIENCE
            if not told:
                _log.warning("another shard makes %s ready; waiting for it", folder)
            told = True
        if shard == WHOLE or time.monotonic() > deadline:
            raise _taken(folder)
        # Whoever comes first holds it alone for the moment in which it becomes theirs.
        if (folder / "inpainting.json").is_file() and files.hold(lock, shared=True):
            return False
        time.sleep(0.05)
    return True


def _share(manifest: Manifest, shard: Shard, lock: IO, held: ExitStack) -> None:
    """Lets others in that have parts of the same number of shards, and holds a part alone."""
    deadline = time.monotonic() + _PATIENCE
    # The system lets go of it before it is shared: another may be there first.
    while not files.hold(lock, shared=True):
        if time.monotonic() > deadline:
            raise _taken(manifest.folder)
        time.sleep(0.05)
    ending = f"-of-{shard.count}.jsonl"
    others = [path.name for path in manifest.parts() if not path.name.endswith(ending)]
    if others:
        raise OutputError(
            f"{manifest.folder} holds {others[0]}, a part of another number of shards than "
            f"{shard.count}; run once without --shard, which merges the parts."
        )
    part = held.enter_context(manifest.path.open("a"))
    if not files.hold(part):
        raise OutputError(
            f"shard {shard} of {manifest.folder} is being written by another process; give "
            "each process a --shard of its own."
        )


def _taken(folder: Path) -> OutputError:
    return OutputError(
        f"{folder} is being written to by another process; wait until it has "
        "ended, or choose another --output."
    )


def _is_of_another(
    folder: Path, identity: Mapping[str, Any], *, overwrite: bool = False, shared: bool = False
) -> bool:
    """Whether the results in a folder are those of another config, and are to be replaced.

    They are without being asked for as long as none of the images is done; not in a folder that is
    shared, where others are about to complete some.

    Raises:
        OutputError: they are, and are not to be; or it holds other files.
    """
    if (folder / "inpainting.json").is_file():
        changed = changes(folder, identity, lenient=not shared)
        if not changed:
            return False
        if not overwrite and (shared or any(Manifest(folder).completed())):
            name, (before, now) = next(iter(changed.items()))
            raise OutputError(
                f"{folder} holds results with another {' and '.join(changed)} ({name}: "
                f"{before!r} there, {now!r} now); choose another --output, or --overwrite."
            )
        return True
    if folder.exists() and not all(map(files.is_passing, folder.iterdir())):
        raise OutputError(f"{folder} holds other files; choose a new or empty --output.")
    return False


def changes(
    folder: Path, identity: Mapping[str, Any], *, lenient: bool = True
) -> dict[str, tuple[Any, Any]]:
    """What was another when the results in a folder were made: there, and now.

    What an older version did not know was off. Lenient, without what leaves all that is done.
    """
    before = flat(files.json_object((folder / "inpainting.json").read_bytes()))
    now = flat(dict(identity))
    pairs = {k: (before.get(k), now.get(k)) for k in sorted(before.keys() | now.keys())}
    return {
        k: (old, new)
        for k, (old, new) in pairs.items()
        if (old or None) != (new or None) and not (lenient and _keeps(k, new))
    }


def _keeps(field: str, now: object) -> bool:
    """Whether what is done is the same with this change: more is let in, or in other batches."""
    more = {"resize_holes": True, "allow_missing": True, "checksums": None}
    return field == "batch_size" or (field in more and now == more[field])


def _clear(manifest: Manifest) -> None:
    """Removes what was written of a run before, and nothing that somebody put beside it."""
    folder = manifest.folder
    written = [file for record in manifest.records() for file in manifest.written(record["name"])]
    for file in written:
        file.unlink(missing_ok=True)
    folders = {up for file in written for up in file.parents if folder in up.parents}
    for emptied in sorted(folders, reverse=True):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
    packing.remove(folder)
    for path in (*manifest.parts(), *(folder / name for name in _OURS)):
        path.unlink(missing_ok=True)
