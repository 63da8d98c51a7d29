"""Programs in processes of their own, one alone or several that find one another on loopback."""

import json
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEARTBEAT = 10

# As tiny as can be; with a running average, and epochs that end within batches.
TINY = (
    *("--model.width", "4", "--model.latent", "8", "--data.source", "bundled:digits[:40]"),
    *("--data.flip", "--steps-per-call", "1", "--picture-every", "1000"),
)

# No reader of images, no checkpoints, no command line: as on a machine lent for an hour, to which
# the package is carried as it stands.
ARITHMETIC_ALONE = """
import sys
sys.modules.update(dict.fromkeys(
    "cv2 etils grain matplotlib orbax PIL safetensors simplejpeg skimage sklearn tensorboardX"
    " tensorflow_datasets tqdm tyro".split()
))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def started(*words, count=1, devices=1, own=((), ())):
    """`python WORDS` in `count` processes of so many devices each, that know of one another.

    Each may have words of its own besides.
    """
    environment = os.environ | {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"
        " --xla_backend_optimization_level=0",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
    }
    address = f"localhost:{free_port()}"
    return [
        subprocess.Popen(
            [
                *(sys.executable, *map(str, words)),
                *(("--hosts.coordinator", address) if count > 1 else ()),
                *("--hosts.count", str(count)),
                *(("--hosts.index", str(index)) if count > 1 else ()),
                *("--hosts.heartbeat", str(HEARTBEAT)),
                *map(str, own[index] if count == len(own) else ()),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]


def ended(processes, *, within=300):
    """The exit codes of processes, and what each wrote to its outputs."""
    outputs = [process.communicate(timeout=within) for process in processes]
    return [process.returncode for process in processes], outputs


def training(workdir, *more, count=1, devices=1):
    """Starts a tiny training run."""
    words = ("train.py", "configs/smoke.py", "--workdir", workdir, *TINY, *more)
    return started(*words, count=count, devices=devices)


def trained(workdir, *more, count=1, devices=1):
    """Does a tiny training run, or what is left of it; its scalars, step by step."""
    codes, outputs = ended(training(workdir, *more, count=count, devices=devices))
    assert codes == [0] * count, outputs
    return scalars(workdir)


def scalars(workdir):
    """What a run has reported, without its pace."""
    lines = [json.loads(line) for line in (workdir / "scalars.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "images/s"} for line in lines]


def python(code, *arguments, **environment):
    """What some lines of Python write, run by themselves, where a warning is an error."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def script(name, *arguments):
    """What a program that lies in this folder writes."""
    run = subprocess.run(
        [sys.executable, ROOT / "tests" / name, *map(str, arguments)],
        cwd=ROOT / "tests",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def forked(work):
    """Begins some work in a process of its own, which is not heard; its process id."""
    # JAX has started nothing yet, whatever it says about processes that are made in this way.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = os.fork()
    if process:
        return process
    try:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        work()
        os._exit(0)
    finally:
        os._exit(1)


def end_of(process):
    """0, 1, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
