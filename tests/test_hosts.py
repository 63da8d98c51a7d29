"""Other processes are looked for where a cluster or a flag speaks of them, and only there."""

import os

import pytest
import tiny

from ce_jax import files, hosts, training
from ce_jax.config import ConfigError, Hosts
from ce_jax.files import PlaceError
from ce_jax.runs import history


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"count": 2}, "--hosts.coordinator and --hosts.index are missing"),
        ({"coordinator": "a:1", "count": 2}, "--hosts.index is missing"),
        (
            {"coordinator": "a:1", "count": 2, "index": 2},
            r"hosts.index must be in \[0, hosts.count",
        ),
        ({"coordinator": "a", "count": 2, "index": 1}, "hosts.coordinator must be HOST:PORT"),
        ({"timeout": 0}, "hosts.timeout must be at least 1"),
    ],
)
def test_flags_that_say_half_are_refused(given, complaint):
    with pytest.raises(ConfigError, match=complaint):
        Hosts(**given)


def test_all_processes_are_asked_for_the_same_images(tmp_path, monkeypatch):
    said = {}
    monkeypatch.setattr(hosts, "require_alike", said.__setitem__)
    training.train(tiny.dcgan(), tmp_path / "run")
    names = [f"{n:06}" for n in range(64)]
    assert said["set of images"] == history.of_images(64, names)["names"].encode()


SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "n[1-2]", "SLURM_PROCID": "0"} | {
    "SLURM_LOCALID": "0"
}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, False),
        (SLURM | {"SLURM_NTASKS": "2"}, True),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8"}, False),  # a batch script without srun
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_MCA_orte_hnp_uri": "1.0;tcp://10.0.0.1:9"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"}, True),
    ],
)
def test_jax_is_asked_for_others_only_where_a_cluster_speaks_of_them(
    environment, found, monkeypatch
):
    asked = []
    monkeypatch.setattr(hosts.jax.distributed, "initialize", lambda *_, **how: asked.append(how))
    monkeypatch.setattr(hosts.jax.config, "update", lambda *_: None)
    monkeypatch.setattr(hosts, "find_spec", lambda library: library == "kubernetes" or None)
    for name in [name for name in os.environ if name.startswith(("SLURM", "OMPI", "KUBE", "TPU"))]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hosts.join(Hosts())
    assert bool(asked) == found
    hosts.join(Hosts(count=1))
    assert len(asked) == found


def test_a_pod_that_cannot_ask_for_the_others_says_what_to_do(monkeypatch):
    monkeypatch.setattr(hosts, "find_spec", lambda library: None)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    with pytest.raises(hosts.UnmetError, match=r"pip install kubernetes .*--hosts\.count 1"):
        hosts.join(Hosts())


def test_an_open_mpi_that_jax_does_not_understand_is_refused(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(hosts.UnmetError, match=r"--hosts.index \$OMPI_COMM_WORLD_RANK"):
        hosts.join(Hosts())


@pytest.mark.parametrize(
    ("environment", "alone"),
    [
        ({}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, True),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)"}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)", "CUDA_VISIBLE_DEVICES": "0,1,2"}, False),
        ({"SLURM_STEP_TASKS_PER_NODE": "8(x4)", "CUDA_VISIBLE_DEVICES": "3"}, True),
        ({"SLURM_STEP_TASKS_PER_NODE": "1", "JAX_LOCAL_DEVICE_IDS": "0,1"}, False),
    ],
)
def test_a_process_that_has_its_host_to_itself_takes_all_gpus(environment, alone, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    assert hosts._has_its_host_to_itself() == alone


@pytest.mark.parametrize("store", ["gs", "s3"])
def test_a_store_without_its_library_is_refused_in_one_line(store, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(PlaceError, match=f"^{store}://bucket/run needs .*: pip install"):
        files.place(f"{store}://bucket/run")
    with pytest.raises(PlaceError, match="there is no ftp://; known are gs:// and s3://"):
        files.place("ftp://host/run")
