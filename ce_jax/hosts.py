"""The processes of one run: how they find one another, and what they do together.

A training on many hosts is one program in many processes: each does the same steps on its own
devices, `sharding` makes one mesh of them all, and whatever a step needs of other processes is a
collective inside of it. So all of them must come to the same steps and to the same end. Only the
first one writes for people. An inpainting needs no more than to know which process it is.
"""

import hashlib
import os
import re
import textwrap
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from ce_jax import sharding
from ce_jax.config import Hosts

# Longer than our own patience: what JAX does when its own ends is to kill the process.
_LONGER = 60
_LONGEST_WORD = 1000
# Seconds in which what one host has written comes to the others of a shared disk.
_UNTIL_SEEN = 10


class HostsError(ValueError):
    """Processes of which one cannot go on, so that none of them can."""


class UnmetError(HostsError, ConnectionError):
    """Processes that do not find one another."""


def join(hosts: Hosts) -> None:
    """Makes this process one of many, if it is; before anything else is asked of JAX.

    Without flags, JAX finds the others by what Slurm, Open MPI 4, Kubernetes (an indexed Job) or
    Cloud TPU say in the environment. Where none of them speaks of several, nothing is done.

    Raises:
        UnmetError: the others are not there in time, or cannot be found.
    """
    if hosts.count == 1 or (hosts.count is None and not _in_cluster()):
        return
    # SIGTERM is ours: what JAX would do with it instead, it does a second later and not to Ctrl-C.
    jax.config.update("jax_enable_preemption_service", False)
    given = hosts.count is not None
    failed: list[Exception] = []

    def initialize() -> None:
        try:
            jax.distributed.initialize(
                hosts.coordinator,
                hosts.count,
                hosts.index,
                initialization_timeout=hosts.timeout + _LONGER,
                heartbeat_timeout_seconds=hosts.heartbeat,
                cluster_detection_method="deactivate" if given else None,
            )
        except Exception as error:
            failed.append(error)

    # JAX knows no failure but the end of the process: whoever waits must be able to say why.
    waiting = threading.Thread(target=initialize, daemon=True)
    waiting.start()
    waiting.join(hosts.timeout)
    if waiting.is_alive() or failed:
        reason = textwrap.shorten(str(failed[0]), 300) if failed else None
        raise UnmetError(_not_found(hosts, reason))
    if not given and _has_its_host_to_itself():
        jax.config.update("jax_cuda_visible_devices", "all")
        jax.config.update("jax_rocm_visible_devices", "all")


def leave() -> None:
    """Ends what `join` began, once all are there: nobody waits for another one, or ends with it.

    Which of how many processes this one is, is still known.
    """
    if jax.distributed.is_initialized():  # there are others, who wait
        jax.devices()  # found together
        jax.distributed.shutdown()


def is_first() -> bool:
    """Whether this is the process that writes for people; the only one is."""
    return jax.process_index() == 0


@contextmanager
def together() -> Iterator[None]:
    """Ends for all processes when each has come to its end; an error in one is an error in all.

    Raises:
        HostsError: in the others, which did not fail themselves.
    """
    try:
        yield
    except Exception as error:
        _words(str(error) or type(error).__name__)
        raise
    for index, word in enumerate(_words("")):
        if word:
            raise HostsError(f"process {index} of {jax.process_count()}: {word}")


def require_alike(what: str, said: bytes) -> None:
    """Makes sure that all processes say the same of something.

    Raises:
        HostsError: in all of them, if one says something else.
    """
    words = _words(hashlib.sha256(said).hexdigest())
    others = [index for index, word in enumerate(words) if word != words[0]]
    if others:
        raise HostsError(
            f"process {others[0]} of {len(words)} has another {what} than process 0; start all of "
            "them with the same command and the same files."
        )


def require_shared(folder: epath.Path) -> None:
    """Makes sure that what the first process writes into a folder, the others find there.

    Raises:
        HostsError: in all of them, if one finds nothing.
    """
    if jax.process_count() == 1:
        return
    token = _words(uuid.uuid4().hex)[0]
    file = folder / f".{token}.tmp"
    with together():
        if is_first():
            file.write_text(token)
    with together():
        deadline = time.monotonic() + _UNTIL_SEEN
        while not file.exists():
            if time.monotonic() > deadline:
                raise HostsError(
                    f"{folder} is not the folder of process 0; name one that all hosts see."
                )
            time.sleep(0.1)
    if is_first():
        file.unlink()


def least(number: int) -> int:
    """The smallest of the numbers that the processes come with."""
    if jax.process_count() == 1:
        return number
    return int(np.min(multihost_utils.process_allgather(np.int32(number))))


def agreed(asked: Callable[[], bool], mesh: Mesh) -> Callable[[], bool]:
    """A question that all processes ask at once and that has one answer: whether any says yes.

    The answer is one question late: it is computed beside the steps, and nothing waits for it.
    """
    if jax.process_count() == 1:
        return asked
    anyone = jax.jit(jnp.any, out_shardings=sharding.replicated(mesh))
    answers: list[jax.Array] = []

    def ask() -> bool:
        said = np.full(len(mesh.local_devices), asked())
        with jax.transfer_guard("allow"):  # on purpose
            of_all = jax.make_array_from_process_local_data(sharding.split(mesh), said)
        answers.append(anyone(of_all))
        return len(answers) > 1 and bool(jax.device_get(answers.pop(0)))

    return ask


def _words(word: str) -> list[str]:
    """What each process has to say, in their order."""
    if jax.process_count() == 1:
        return [word]
    encoded = word.encode(errors="replace")[:_LONGEST_WORD]
    padded = np.frombuffer(encoded.ljust(_LONGEST_WORD, b"\0"), np.uint8)
    heard = np.asarray(multihost_utils.process_allgather(padded))
    return [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in heard]


def _in_cluster() -> bool:
    """Whether a cluster says that this is one of several processes, in words that JAX knows.

    Raises:
        UnmetError: it does, in others.
    """
    known = os.environ
    if int(known.get("OMPI_COMM_WORLD_SIZE", 1)) > 1:
        if "OMPI_MCA_orte_hnp_uri" not in known:
            raise UnmetError(
                "this Open MPI (5 or newer) does not say where its processes find one another; "
                "add --hosts.coordinator HOST:PORT --hosts.count $OMPI_COMM_WORLD_SIZE "
                "--hosts.index $OMPI_COMM_WORLD_RANK in a shell that each of them starts."
            )
        return True
    if {"SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID"} <= known.keys():
        return int(known.get("SLURM_NTASKS", 1)) > 1
    if find_spec("libtpu") is not None:
        workers = known.get("TPU_PROCESS_ADDRESSES", known.get("TPU_WORKER_HOSTNAMES"))
        if workers is not None:
            return "," in workers or int(known.get("MEGASCALE_NUM_SLICES") or 1) > 1
        if "TPU_SKIP_MDS_QUERY" not in known:  # JAX sets it where there is no TPU
            return True
    if not {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= known.keys():
        return False
    if find_spec("kubernetes") is None:
        raise UnmetError(
            "this is a Pod of an indexed Job; if its Pods are to work together, pip install "
            "kubernetes or name them with --hosts.coordinator HOST:PORT --hosts.count N "
            "--hosts.index $JOB_COMPLETION_INDEX; if not, add --hosts.count 1."
        )
    return True


def _has_its_host_to_itself() -> bool:
    """Whether all GPUs that this process can see are its own; JAX would take but one of them."""
    known = os.environ
    if "JAX_LOCAL_DEVICE_IDS" in known:
        return False
    tasks = known.get("SLURM_STEP_TASKS_PER_NODE", "")
    alone = re.fullmatch(r"1(\(x\d+\))?", tasks) or known.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    return bool(alone) or re.fullmatch(r"[^,]+", known.get("CUDA_VISIBLE_DEVICES", "")) is not None


def _not_found(hosts: Hosts, reason: str | None) -> str:
    me = "this process" if hosts.index is None else f"process {hosts.index} of {hosts.count}"
    where = "" if hosts.coordinator is None else f" at {hosts.coordinator}"
    if reason is not None:
        return (
            f"{me} cannot join the others{where}: {reason} Name them with --hosts.coordinator "
            "HOST:PORT --hosts.count N --hosts.index I, or work alone with --hosts.count 1."
        )
    return (
        f"{me} has not met all others{where} in {hosts.timeout} seconds; start all of them, with "
        "a coordinator that each can reach, or wait longer with --hosts.timeout."
    )
