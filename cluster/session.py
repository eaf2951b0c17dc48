"""Connects to the cluster that RAY_ADDRESS names, and checks that its machines are alike."""

import hashlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from cluster import ADDRESS, INSTALL, LOCAL, LOOPBACK, stage_job
from cluster.stage_job import Files, Job, Stop
from fashion_mnist import determinism
from fashion_mnist.errors import InputError, reason
from repository.dvc_lock import flat

AUTO = "auto"
TIMEOUT = 10  # seconds
# Other exceptions than the end of a worker or a machine are not retried.
RETRIES = 3
ROOT = Path(__file__).parents[1]
# Not sent to the other machines; neither is what git ignores.
LEFT_OUT = (".git", "docs", "metrics", "published", "tests")


class StageError(InputError):
    """The command of a stage failed on the cluster; its output was printed."""


class Node(NamedTuple):
    """A machine of a cluster: what Ray calls it, how people know it, and its number of cores."""

    id: str
    name: str
    cores: int


class Cluster:
    """The machines of a cluster, and what they were sent.

    Args:
        nodes: The machines.
    """

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = nodes
        self._sent: dict[str, Any] = {}
        self._running: set[Any] = set()

    def share(self, trainings: int) -> int:
        """Return the number of cores for each of several trainings at the same time."""
        cores = [node.cores for node in self.nodes]
        return max(1, min(min(cores), sum(cores) // trainings))

    def at_once(self, cores: int) -> int:
        """Return how many trainings on so many cores each run at the same time."""
        return max(1, sum(node.cores // cores for node in self.nodes))

    def send(self, content: bytes) -> str:
        """Send the content of a file to the machines, once; return its SHA-256."""
        import ray

        name = hashlib.sha256(content).hexdigest()
        if name not in self._sent:
            self._sent[name] = ray.put(content)
        return name

    def run(self, job: Job, cores: int, stop: Stop | None = None) -> Files:
        """Run a job on one of the machines, and return the files that it wrote.

        A job whose worker or machine dies is run again, and resumes if it can.

        Args:
            job: The job; the content of its files was sent.
            cores: Number of cores to work with.
            stop: Whether to end its command, asked there twice a second.

        Raises:
            StageError: Its command failed.
            InputError: The cluster did.
        """
        import ray

        contents = [self._sent[name] for name in job.hashes.values()]
        task = ray.remote(num_cpus=cores, max_retries=RETRIES)(stage_job.run)
        reference = task.options(name=job.name).remote(job, contents, cores, stop)
        self._running.add(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            raise InputError(f"stage '{job.name}': {reason(error)}") from error
        finally:
            self._running.discard(reference)
        if result.error:
            raise StageError(result.error)
        files: Files = result.files
        return files

    @contextmanager
    def threads(self, count: int) -> Iterator[ThreadPoolExecutor]:
        """Yield threads for calls of `run`; Ctrl-C ends the running jobs."""
        import ray

        with ThreadPoolExecutor(count) as pool:
            try:
                yield pool
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                for reference in tuple(self._running):
                    ray.cancel(reference, force=True)
                raise


@contextmanager
def connected() -> Iterator[Cluster]:
    """Connect to the cluster that RAY_ADDRESS names; `local` starts one, which ends with the block.

    Raises:
        InputError: Ray is not installed, there is no such cluster, or a machine of it is of
            another kind than this one.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError(f"{ADDRESS} is set, but Ray is not installed: run `{INSTALL}`") from error
    address = os.environ[ADDRESS]
    _check_form(address)
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        scratch = os.environ.get(stage_job.SCRATCH) or (f"{folder}/s" if address == LOCAL else "")
        code: dict[str, Any] = {"working_dir": str(ROOT), "excludes": list(LEFT_OUT)}
        if scratch:
            code["env_vars"] = {stage_job.SCRATCH: scratch}
        try:
            if address == LOCAL:
                _start(Path(folder), code)
            else:
                _check_reachable(address)
                ray.init(address=address, runtime_env=code, logging_level="error")
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{ADDRESS}: no cluster at '{address}': {reason(error)}") from error
        try:
            yield Cluster(_nodes())
        finally:
            ray.shutdown()


def _check_form(address: str) -> None:
    """Check that an address is one of a cluster.

    Raises:
        InputError: It is neither host:port, nor `local`, nor `auto` for the cluster that runs on
            this machine.
    """
    host, _, port = address.rpartition(":")
    # An IPv6 address has colons.
    plain = host and not set(host) & set("/:[]") and port.isdecimal() and 0 < int(port) < 1 << 16
    if address not in (AUTO, LOCAL) and not plain:
        raise InputError(
            f"{ADDRESS}: got '{address}', expected host:port with an IPv4 address or a name, "
            f"'{LOCAL}' for this machine alone, or '{AUTO}' for the cluster that runs on it"
        )


def _check_reachable(address: str) -> None:
    """Check that something listens at an address, for which Ray would wait for minutes.

    Raises:
        OSError: Nothing does.
    """
    if address != AUTO:
        host, _, port = address.rpartition(":")
        socket.create_connection((host, int(port)), timeout=TIMEOUT).close()


def _start(folder: Path, code: Mapping[str, Any]) -> None:
    """Start a cluster of this machine alone, which listens on the loopback interface only.

    Args:
        folder: For what Ray writes, its token and settings included.
        code: Runtime environment of the workers.
    """
    import ray

    (folder / "ray_bootstrap_config.yaml").write_text("provider: {type: local}\n")
    own = {"HOME": str(folder), "RAY_AUTH_TOKEN": _token()}
    os.environ.pop(ADDRESS)
    try:
        # Its processes inherit this; ours must find its own settings in HOME again.
        with mock.patch.dict(os.environ, own):
            ray.init(
                address=LOCAL,
                num_cpus=determinism.cores(),
                include_dashboard=False,
                runtime_env=dict(code),
                logging_level="error",
                _node_ip_address=LOOPBACK,
                _temp_dir=str(folder),
            )
    finally:
        os.environ[ADDRESS] = LOCAL


@cache
def _token() -> str:
    """Return the token of this process's sessions, which Ray reads but once in a process."""
    return secrets.token_hex()


def _nodes() -> tuple[Node, ...]:
    """Return the machines that have cores to work with.

    Raises:
        InputError: There is none, or one differs from this one in what decides about bytes.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = tuple(
        Node(
            id=node["NodeID"],
            name=f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})",
            cores=int(node["Resources"]["CPU"]),
        )
        for node in ray.nodes()
        if node["Alive"] and node["Resources"].get("CPU", 0) >= 1
    )
    if not nodes:
        raise InputError(f"{ADDRESS}: no machine of the cluster has a core to work with")
    described = ray.remote(num_cpus=0)(stage_job.describe)
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node.id, soft=False)
        try:
            found = ray.get(described.options(scheduling_strategy=there).remote())
        except ray.exceptions.RayError as error:
            raise InputError(f"{node.name} cannot run this code: {reason(error)}") from error
        check_alike(node.name, found, stage_job.describe())
    return nodes


def check_alike(name: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that a machine is of the same kind as this one: see `stage_job.describe`.

    Raises:
        InputError: It is not; the message names the machine and the first difference.
    """
    there, here = flat(found), flat(expected)
    for key in sorted(here | there):
        if there.get(key) != here.get(key):
            raise InputError(
                f"{name}: {key} is {there.get(key)}, here it is {here.get(key)}; only machines of "
                "one kind with the same libraries give the same bytes"
            )
