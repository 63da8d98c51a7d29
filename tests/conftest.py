"""Eight simulated devices, and every laxness of JAX that can be an error is one."""

import atexit
import os
import shutil
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

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


_LONGEST = (
    *("systems", "completion", "training", "sharding", "latent", "curriculum", "end_to_end"),
    *("batch", "fast_search", "latent_encoder", "benchmarks", "candidates"),
)


def pytest_collection_modifyitems(items):
    """Begins with the files that take longest, so that no worker is left alone with one."""
    order = {f"test_{name}": place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


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
