"""Data is pushed to an S3 server and pulled again, whatever goes wrong on the way."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import fsspec
import numpy as np
import pytest
import requests
from moto.backends import get_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from fashion_mnist.data import sources
from fashion_mnist.errors import InputError
from fashion_mnist.files import sha256
from retraining import inbox
from tests.conftest import FASHION, run

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

BUCKET = "fashion"


class Server:
    """Moto's S3 server on loopback, which can stall after some uploads."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.left = 1 << 30  # uploads, until it stalls
        self.stalled, self.ended = threading.Event(), threading.Event()
        self.http = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self.http.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        for backend in ("s3", "iam"):
            get_backend(backend).reset()
        self._check_after("inf")

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == "PUT" and "/files/" in environ["PATH_INFO"]:
            self.left -= 1
            if self.left < 0:
                self.stalled.set()
                self.ended.wait()
        answer: Iterable[bytes] = self.application(environ, start_response)
        return answer

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="root",
            aws_secret_access_key="root",  # noqa: S106
        )

    def check_credentials(self) -> dict[str, str]:
        """Reject everybody except a new user, and return that user's environment."""
        iam = self.client("iam")
        iam.create_user(UserName="pipeline")
        rights = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
        iam.put_user_policy(UserName="pipeline", PolicyName="data", PolicyDocument=policy)
        key = iam.create_access_key(UserName="pipeline")["AccessKey"]
        self._check_after("0")
        return credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def _check_after(self, count: str) -> None:
        requests.post(f"{self.url}/moto-api/reset-auth", count, timeout=10).raise_for_status()

    def close(self) -> None:
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()


def credentials(key: str, secret: str) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.client("s3").create_bucket(Bucket=BUCKET)
    yield server
    server.close()


class Repository:
    """A clone whose DVC remote is the server."""

    def __init__(self, origin: Path, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = credentials("any", "any")
        run("git", "clone", "--quiet", origin, folder, cwd=origin)
        for option in ((), ("endpointurl", url), ("region", "us-east-1")):
            words = (
                ("modify", "--local", "s3", *option)
                if option
                else ("add", "--local", "--default", "s3")
            )
            run("dvc", "remote", *words, *([] if option else [f"s3://{BUCKET}/dvc"]), cwd=folder)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder,
            env=os.environ | self.environment | {"AWS_MAX_ATTEMPTS": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def dvc(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and output."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        return process.returncode, output

    def cache(self) -> dict[str, bytes]:
        folder = self.folder / ".dvc/cache/files"
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def origin(tracked: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    shutil.copytree(tracked, folder)
    return folder


@pytest.fixture
def repository(origin: Path, server: Server, tmp_path: Path) -> Repository:
    """A clone that has the data."""
    found = Repository(origin, tmp_path / "repository", server.url)
    shutil.copytree(origin / ".dvc/cache", found.folder / ".dvc/cache")
    run("dvc", "checkout", "dvc.yaml", cwd=found.folder)
    return found


def gives_everything(
    origin: Path, server: Server, folder: Path, environment: dict[str, str]
) -> None:
    """Check that a fresh clone can pull, and that no stage has to run."""
    fresh = Repository(origin, folder, server.url)
    fresh.environment = environment
    code, output = fresh.dvc("pull", "dvc.yaml")
    assert code == 0, output
    code, output = fresh.dvc("repro", "dvc.yaml")
    assert code == 0, output
    assert "Running stage" not in output
    assert run("git", "status", "--porcelain", cwd=fresh.folder) == ""
    for name in ("model/model.keras", "raw/train-images-idx3-ubyte", "prepared/test/images.npy"):
        assert (fresh.folder / "data" / name).read_bytes() == (origin / "data" / name).read_bytes()


def test_push_and_pull_with_credentials_of_the_environment(
    repository: Repository, origin: Path, server: Server, tmp_path: Path
) -> None:
    repository.environment = server.check_credentials()
    code, output = repository.dvc("push", "dvc.yaml")
    assert code == 0, output
    assert "files pushed" in output
    gives_everything(origin, server, tmp_path / "fresh", repository.environment)
    # Neither key is written to a file.
    for path in (repository.folder / ".dvc").glob("config*"):
        for word in repository.environment.values():
            assert word not in path.read_text()


def test_wrong_credentials(
    repository: Repository, server: Server, origin: Path, tmp_path: Path
) -> None:
    right = server.check_credentials()
    before = repository.cache()
    for wrong in ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}):
        repository.environment = right | wrong
        code, output = repository.dvc("push", "dvc.yaml")
        assert code != 0
        assert "Forbidden" in output
        assert "Traceback" not in output
    assert repository.cache() == before
    repository.environment = right
    assert repository.dvc("push", "dvc.yaml")[0] == 0
    gives_everything(origin, server, tmp_path / "fresh", right)


def test_server_down(repository: Repository, origin: Path, server: Server) -> None:
    before = repository.cache()
    server.close()
    for command in ("push", "pull"):
        code, output = repository.dvc(command, "dvc.yaml")
        if command == "push":
            assert code != 0
            assert f'Could not connect to the endpoint URL: "{server.url}' in output
            assert "Traceback" not in output
    assert repository.cache() == before
    assert run("git", "status", "--porcelain", cwd=repository.folder) == ""


@pytest.mark.parametrize("uploads", [0, 3])
def test_push_killed_half_way(
    repository: Repository, origin: Path, server: Server, tmp_path: Path, uploads: int
) -> None:
    before = repository.cache()
    server.left = uploads
    process = repository.start("push", "dvc.yaml")
    assert server.stalled.wait(60)
    process.kill()
    process.communicate()
    server.left = 1 << 30
    server.ended.set()
    assert repository.cache() == before
    code, output = repository.dvc("push", "dvc.yaml")
    assert code == 0, output
    gives_everything(origin, server, tmp_path / "fresh", repository.environment)


def test_an_inbox_in_a_bucket(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (server.check_credentials() | {"AWS_ENDPOINT_URL": server.url}).items():
        monkeypatch.setenv(name, value)
    images, labels = np.ones((3, 28, 28), np.uint8), np.array([1, 2, 3])
    np.savez(tmp_path / "monday.npz", images=images, labels=labels)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.put(str(tmp_path / "monday.npz"), f"{BUCKET}/inbox/monday.npz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # A bucket has no folders, so an empty one does not exist. The bucket itself must.
    assert inbox.collect(f"s3://{BUCKET}/nothing", tmp_path, scratch) == ([], [])
    with pytest.raises(InputError, match=f"^inbox 's3://{BUCKET}x/inbox': no such folder"):
        inbox.collect(f"s3://{BUCKET}x/inbox", tmp_path, scratch)
    with pytest.raises(InputError, match=r"monday\.npz': it is a file, expected a folder$"):
        inbox.collect(f"s3://{BUCKET}/inbox/monday.npz", tmp_path, scratch)
    (delivery,) = inbox.collect(f"s3://{BUCKET}/inbox", tmp_path, scratch).deliveries
    found = delivery.read(FASHION)
    assert np.array_equal(found[0], images)
    assert found[1].tolist() == [1, 2, 3]
    (file,) = delivery.accepted(date(2026, 11, 2))["files"]
    assert file["url"] == f"s3://{BUCKET}/inbox/monday.npz"
    assert delivery.hashes == [sha256(tmp_path / "monday.npz")]
    # `download` takes it from there.
    pin = sources.Pin(bytes=file["bytes"], sha256=file["sha256"])
    sources.fetch(file["url"], pin, tmp_path / "fetched", timeout=5, attempts=1)
    assert (tmp_path / "fetched").read_bytes() == (tmp_path / "monday.npz").read_bytes()
    server.close()
    with pytest.raises(InputError, match=f"^inbox 's3://{BUCKET}/inbox'.*Could not connect"):
        inbox.collect(f"s3://{BUCKET}/inbox", tmp_path, scratch)
