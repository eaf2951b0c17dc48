"""A file is accepted by its content alone, whatever the network does."""

import gzip
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from fashion_mnist.data import sources
from fashion_mnist.errors import InputError
from tests.conftest import FILES, FIXTURE

CONTENT = gzip.decompress((FIXTURE / "t10k-images-idx3-ubyte.gz").read_bytes())
PACKED = gzip.compress(CONTENT)
PIN = sources.Pin(bytes=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next attempt begin at once."""
    monkeypatch.setattr("tenacity.nap.time", SimpleNamespace(sleep=lambda seconds: None))


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, list[str]]]]:
    """Return a function that serves one answer per request, the last one for ever.

    It returns the URL and a list to which the path of each request is added.
    """
    servers = []

    def start(*answers: Answer) -> tuple[str, list[str]]:
        requests: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                answers[min(len(requests), len(answers)) - 1](self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        # The interval is how long the end of a test takes.
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/file.gz", requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(content: bytes, status: int = 200, length: int | None = None) -> Answer:
    """Answer with content, announcing its length or a wrong one."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(len(content) if length is None else length))
        request.end_headers()
        request.wfile.write(content)

    return answer


def hang(request: BaseHTTPRequestHandler) -> None:
    """Answer with half of the content, then say nothing more."""
    send(PACKED[:1000], length=len(PACKED))(request)
    request.wfile.flush()
    time.sleep(1.5)


def redirect(request: BaseHTTPRequestHandler) -> None:
    """Redirect to the same address."""
    request.send_response(302)
    request.send_header("Location", "/file.gz")
    request.end_headers()


def fetch(url: str, target: Path, attempts: int = 1) -> bytes:
    """Fetch with a short timeout and return what arrived."""
    sources.fetch(url, PIN, target, timeout=0.5, attempts=attempts)
    return target.read_bytes()


@pytest.mark.parametrize("content", [PACKED, CONTENT])
def test_takes_packed_and_plain_content_under_any_name(serve, tmp_path, content) -> None:
    url, requests = serve(send(content))
    assert fetch(url, tmp_path / "file") == CONTENT
    assert requests == ["/file.gz"]


@pytest.mark.parametrize("fault", [send(b"", 503), send(PACKED[:999], length=len(PACKED)), hang])
def test_tries_again_when_the_network_is_at_fault(serve, tmp_path, fault: Answer) -> None:
    url, requests = serve(fault, send(PACKED))
    assert fetch(url, tmp_path / "file", attempts=2) == CONTENT
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (send(b"", 503), aiohttp.ClientResponseError),
        (send(PACKED[:999], length=len(PACKED)), aiohttp.ClientPayloadError),
        (hang, TimeoutError),
    ],
)
def test_gives_up_after_the_attempts(serve, tmp_path, answer: Answer, error) -> None:
    url, requests = serve(answer)
    with pytest.raises(error):
        fetch(url, tmp_path / "file", attempts=2)
    assert len(requests) == 2


FLIPPED = bytearray(CONTENT)
FLIPPED[5000] ^= 1


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (send(b"gone", 404), FileNotFoundError, "file.gz"),
        (send(b"no", 403), aiohttp.ClientResponseError, "403"),
        (send(b"<html>Welcome</html>"), InputError, "ends after 20 bytes, expected 78416"),
        (send(CONTENT[:-1]), InputError, "ends after 78415 bytes"),
        (send(PACKED[:-100]), EOFError, "ended before"),
        (send(bytes(FLIPPED)), InputError, "SHA-256 is"),
        (send(gzip.compress(bytes(50_000_000))), InputError, "longer than 78416"),
    ],
)
def test_refuses_what_no_second_attempt_would_mend(serve, tmp_path, answer, error, words) -> None:
    url, requests = serve(answer)
    with pytest.raises(error, match=words):
        fetch(url, tmp_path / "file", attempts=3)
    assert len(requests) == 1


def test_redirects_in_circles(serve, tmp_path: Path) -> None:
    url, requests = serve(redirect)
    with pytest.raises(aiohttp.TooManyRedirects):
        fetch(url, tmp_path / "file", attempts=3)
    assert len(requests) < 20


def test_a_gzip_bomb_is_not_unpacked(serve, tmp_path: Path) -> None:
    url, _ = serve(send(gzip.compress(bytes(50_000_000))))
    with pytest.raises(InputError):
        fetch(url, tmp_path / "file")
    assert (tmp_path / "file").stat().st_size <= PIN.bytes + sources.BLOCK


def test_a_host_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(aiohttp.ClientConnectorError):
        fetch("http://127.0.0.1:9/file.gz", tmp_path / "file", attempts=2)


def test_proxies_of_the_environment_are_used(serve, tmp_path, monkeypatch) -> None:
    proxy, requests = serve(send(PACKED))
    monkeypatch.setenv("http_proxy", proxy.removesuffix("/file.gz"))
    assert fetch("http://mirror.invalid/file.gz", tmp_path / "file") == CONTENT
    assert requests == ["http://mirror.invalid/file.gz"]


def test_any_protocol_of_fsspec(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://mirror/file.gz", "wb") as file:
        file.write(PACKED)
    assert fetch("memory://mirror/file.gz", tmp_path / "file") == CONTENT


def test_folder(tmp_path: Path) -> None:
    with sources.opened(f"{FIXTURE}/") as place:
        assert fetch(f"{place}/t10k-images-idx3-ubyte.gz", tmp_path / "file") == CONTENT


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt on this machine")
@pytest.mark.parametrize("folder", [".", ".dvc/tmp/exps/standalone/tmpa/", ".dvc/tmp/verify"])
def test_a_relative_path_starts_at_the_top_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Also in a clone of DVC's or of ours, which does not have what git does not have."""
    (tmp_path / "mydata").mkdir()
    (tmp_path / "mydata/a.gz").write_bytes(PACKED)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)
    with sources.opened("mydata/") as place:
        sources.fetch(f"{place}/a.gz", PIN, tmp_path / "target", timeout=1, attempts=1)
    assert (tmp_path / "target").read_bytes() == CONTENT
    assert sources.located("nowhere/a") == "nowhere/a"
    assert sources.located("http://host/a") == "http://host/a"


def test_a_clone_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / ".dvc/tmp/clone"
    for folder in (tmp_path, clone):
        (folder / "mydata").mkdir(parents=True)
    monkeypatch.chdir(clone)
    assert sources.located("mydata") == "mydata"


def test_debian_has_the_release(tmp_path: Path) -> None:
    with sources.opened("debian:dataset-fashion-mnist") as place:
        assert {path.name for path in Path(place).iterdir()} == {f"{name}.gz" for name in FILES}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt on this machine")
def test_debian_does_not_have_every_package() -> None:
    with (
        pytest.raises(InputError, match=r"apt-get: E: .*dataset-of-nothing"),
        sources.opened("debian:dataset-of-nothing"),
    ):
        pass


def test_debian_without_apt(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with (
        pytest.raises(InputError, match="apt is not installed"),
        sources.opened("debian:dataset-fashion-mnist"),
    ):
        pass
