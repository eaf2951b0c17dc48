"""A session of this machine alone is closed to others, and what cannot work is refused."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import cluster
from cluster import session, stage_job
from cluster.session import Cluster, Node
from fashion_mnist.errors import InputError
from tests.conftest import ROOT, Pipeline

LOOPBACK = r'inet_addr\("127\.|"::1"|"::ffff:127\.'
CONNECTED = """
import os
import psutil
from cluster import session

with session.connected() as machines:
    assert [node.cores for node in machines.nodes] == [2], machines.nodes
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections("inet")]
    listening = {one.laddr.ip for one in found if one.status == psutil.CONN_LISTEN}
    assert {one.removeprefix("::ffff:") for one in listening} == {"127.0.0.1"}, listening
with session.connected():  # again, in the same process
    pass
assert os.environ["RAY_ADDRESS"] == "local"
print("connected")
"""


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace on this machine")
def test_nothing_but_loopback(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    own = {"RAY_ADDRESS": "local", "HOME": str(home), "PIPELINE_CORES": "2"}
    done = subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect,bind,sendto",
         "-o", tmp_path / "log", sys.executable, "-c", CONNECTED],
        cwd=ROOT, env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "connected\n"
    calls = [
        line for line in (tmp_path / "log").read_text().splitlines() if "sa_family=AF_INET" in line
    ]
    assert len(calls) > 10
    assert [line for line in calls if not re.search(LOOPBACK, line)] == []
    assert not list(home.iterdir())


def refused(monkeypatch: pytest.MonkeyPatch, address: str, message: str) -> None:
    monkeypatch.setenv(cluster.ADDRESS, address)
    with pytest.raises(InputError, match=message), session.connected():
        pass


def test_addresses_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # but does not listen
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        refused(monkeypatch, address, f"^RAY_ADDRESS: no cluster at '{address}': Connection")
    for address in ("here", "ray://127.0.0.1:10001", ":1", "[::1]:6379", "127.0.0.1:65536", "a:0"):
        words = f"^RAY_ADDRESS: got '{address}', expected host:port with an IPv4 address or a name"
        refused(monkeypatch, address, re.escape(words).replace(r"\^", "^"))


def test_without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(monkeypatch, "local", r"Ray is not installed: run `make \.venv/installed-cluster`")


@pytest.mark.slow
def test_a_training_without_ray(copy: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/ray.py").write_text("raise ModuleNotFoundError")
    done = copy.run("train", RAY_ADDRESS="local", PYTHONPATH=f"{tmp_path / 'absent'}:{ROOT}")
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "error:" in line]
    assert "RAY_ADDRESS is set, but Ray is not installed: run `make .venv/inst" in line
    assert "Traceback" not in done.stderr


def test_a_machine_that_differs_is_named() -> None:
    here = stage_job.describe()
    session.check_alike("node a (10.0.0.1)", here, here)
    other = here | {"libraries": here["libraries"] | {"pandas": "1.0"}}
    with pytest.raises(InputError, match=r"^node a \(10.0.0.1\): libraries.pandas is 1.0, here it"):
        session.check_alike("node a (10.0.0.1)", other, here)
    del other["libraries"]["scipy"], other["libraries"]["pandas"]
    with pytest.raises(InputError, match=r"libraries.pandas is None, here it is \d"):
        session.check_alike("node a (10.0.0.1)", other, here)
    with pytest.raises(InputError, match="processor is sparc, here it is x86_64"):
        session.check_alike("node a (10.0.0.1)", here | {"processor": "sparc"}, here)


def test_cores_are_shared() -> None:
    machines = Cluster((Node("a", "a", 8), Node("b", "b", 4), Node("c", "c", 4)))
    assert [machines.share(trainings) for trainings in (1, 2, 4, 5, 16, 99)] == [4, 4, 4, 3, 1, 1]
    assert [machines.at_once(cores) for cores in (4, 3, 1)] == [4, 4, 16]
