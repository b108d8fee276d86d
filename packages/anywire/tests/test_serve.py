"""``anywire serve`` over real sockets. The peers are Python's own: http.client and bare sockets."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Self

import pytest

from anywire.cli._backends import installed
from anywire.cli._serving import CLOSING
from anywire.cli.static import content_digest

pytestmark = pytest.mark.slow

LIMIT = 30.0
"""Seconds after which a peer that waits gives up: a failure, not a way to synchronise."""


class Serving:
    """A running ``anywire serve`` that has said where."""

    def __init__(self, root: Path, *options: str) -> None:
        command = [sys.executable, "-W", "always", "-m", "anywire.cli", "serve", str(root), "--port", "0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.line = self._out.readline()
        found = re.fullmatch(rf"serving {re.escape(str(root))} on http://127\.0\.0\.1:(\d+)/\n", self.line)
        if found is None:
            said = self.stop()
            self.__exit__()
            pytest.fail(f"it said {self.line!r} and ended with {said}")
        self.port = int(found[1])

    @property
    def _out(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def errors(self) -> IO[str]:
        assert self.process.stderr is not None
        return self.process.stderr

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), LIMIT)

    def raw(self, data: bytes) -> bytes:
        """Send bytes on a new connection; everything that comes until the server closes it."""
        with self.connect() as peer:
            peer.sendall(data)
            return _rest(peer)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; exit status and what is left of stderr."""
        self.process.send_signal(number)
        status = self.process.wait(LIMIT)
        # It may not have heard yet that the last client is gone; then it says that it waits.
        return status, self.errors.read().removeprefix(f"{CLOSING}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._out.close()
        self.errors.close()


def _rest(peer: socket.socket) -> bytes:
    pieces = []
    while piece := peer.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def _until(peer: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = peer.recv(65536)
        assert piece, data
        data += piece
    return data


@pytest.fixture(scope="module", params=installed())
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, backend: str) -> Path:
    root = tmp_path_factory.mktemp(f"serve-{backend}") / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"hello, world")
    (root / "large").write_bytes(bytes(range(256)) * 20_000)
    (root.parent / "secret").write_bytes(b"secret")
    (root / "out").symlink_to("../secret")
    return root


@pytest.fixture(scope="module")
def serving(root: Path, backend: str) -> Iterator[Serving]:
    with Serving(root, "--upload", "--backend", backend) as server:
        yield server
        status, errors = server.stop()
        assert (status, errors) == (0, ""), "no client made the server complain, and it closed in order"


def test_files_over_one_connection(serving: Serving, root: Path) -> None:
    client = serving.client()
    for method, target, status, body in (
        ("GET", "/a.txt", 200, b"hello, world"),
        ("HEAD", "/large", 200, b""),
        ("GET", "/large", 200, (root / "large").read_bytes()),
        ("GET", "/none", 404, b"Not found\n"),
        ("GET", "/out", 403, b"Forbidden\n"),
        ("DELETE", "/a.txt", 405, b"DELETE is not possible here\n"),
        ("GET", "/sub", 301, b"See /sub/\n"),
        ("OPTIONS", "/", 204, b""),
        ("GET", "/a.txt", 200, b"hello, world"),
    ):
        client.request(method, target)
        peer = client.sock
        with client.getresponse() as response:
            assert (response.status, response.read()) == (status, body)
        assert client.sock is peer, "the connection is kept"
    client.close()


def test_ranges_and_conditions(serving: Serving) -> None:
    client = serving.client()

    def get(**headers: str) -> tuple[int, bytes, http.client.HTTPMessage]:
        client.request("GET", "/a.txt", headers={name.replace("_", "-"): value for name, value in headers.items()})
        with client.getresponse() as response:
            return response.status, response.read(), response.headers

    status, _, headers = get()
    assert status == 200
    etag, date = headers["ETag"], headers["Last-Modified"]
    assert get(If_None_Match=etag)[:2] == (304, b"")
    assert get(If_Modified_Since=date)[:2] == (304, b"")
    assert get(If_Match='"x"')[0] == 412
    assert get(Range="bytes=-5", If_Range=etag)[:2] == (206, b"world")
    assert get(Range="bytes=-5", If_Range='"x"')[:2] == (200, b"hello, world")
    assert get(Range="bytes=12-")[0] == 416
    status, body, headers = get(Range="bytes=0-0,-1")
    # -1 is next to 0 by less than a part's head costs: one range, as RFC 9110 section 15.3.7.2 allows
    assert (status, body, headers["Content-Range"]) == (206, b"hello, world", "bytes 0-11/12")
    client.close()


def test_a_listing(serving: Serving) -> None:
    client = serving.client()
    client.request("GET", "/")
    with client.getresponse() as response:
        page = response.read().decode()
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert {"./sub/", "./a.txt"} <= set(re.findall(r'href="([^"]*)"', page))
    assert "secret" not in page and "./out" not in page
    client.close()


@pytest.mark.parametrize(
    "target", ["/../secret", "/sub/../../secret", "/%2e%2e/secret", "/..%2Fsecret", "/..%5Csecret", "/a.txt%00"]
)
def test_targets_that_no_browser_would_send(serving: Serving, target: str) -> None:
    answer = serving.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"\r\n\r\nBad target: a path segment that is not allowed\n")


def test_old_and_pipelining_clients(serving: Serving) -> None:
    answer = serving.raw(b"GET /a.txt HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close" in head and body == b"hello, world"
    one = b"GET /a.txt HTTP/1.1\r\nHost: x\r\n"
    answer = serving.raw(one + b"\r\n" + one + b"Range: bytes=0-4\r\n\r\n" + one + b"Connection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"206", b"200"]
    assert answer.count(b"hello") == 3 and answer.count(b"world") == 2


def test_what_is_no_request(serving: Serving) -> None:
    assert serving.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").startswith(b"HTTP/1.1 400 ")


def test_a_client_that_goes_away(serving: Serving) -> None:
    with serving.connect() as peer:
        peer.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(peer, b"\r\n\r\n")
    client = serving.client()
    client.request("GET", "/a.txt")
    assert client.getresponse().read() == b"hello, world"
    client.close()


def test_a_file_that_shrinks_while_it_is_sent(serving: Serving, root: Path) -> None:
    (root / "shrinks").write_bytes(b"x")
    os.truncate(root / "shrinks", 64 << 20)
    client = serving.client()
    client.request("GET", "/shrinks")
    response = client.getresponse()
    response.read(1)
    os.truncate(root / "shrinks", 1)
    # What was announced cannot be kept; the client has to see that (RFC 9112 section 8).
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        response.read()
    client.close()


def test_uploads(serving: Serving, root: Path) -> None:
    client = serving.client()
    for status in (201, 204):
        client.request("PUT", "/new/b.txt", body=b"x" * 100_000)
        with client.getresponse() as response:
            assert response.status == status
            response.read()
    assert (root / "new" / "b.txt").read_bytes() == b"x" * 100_000
    client.close()


@pytest.mark.parametrize(("told", "status"), [(b"abc", 201), (b"abd", 422)])
def test_an_upload_with_its_digest_behind_it(serving: Serving, root: Path, told: bytes, status: int) -> None:
    digest = content_digest(hashlib.sha256(told).digest())
    name = f"digest-{status}"
    answer = serving.raw(
        f"PUT /{name} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Digest\r\n"
        f"Connection: close\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\nContent-Digest: {digest}\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (root / name).exists() is (status == 201)


def test_an_upload_that_waits_for_leave(serving: Serving, root: Path) -> None:
    head = b"PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n%s\r\n"
    with serving.connect() as peer:
        peer.sendall(head % (b"waits", b""))
        assert _until(peer, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"hello")
        assert _rest(peer).startswith(b"HTTP/1.1 201 ")
    assert (root / "waits").read_bytes() == b"hello"
    # RFC 9110 section 10.1.1: a final status instead of 100, before the body was sent
    assert serving.raw(head % (b"waits", b"If-None-Match: *\r\n")).startswith(b"HTTP/1.1 412 ")
    assert serving.raw(head % (b"sub", b"")).startswith(b"HTTP/1.1 409 ")


def test_an_upload_that_breaks_off(tmp_path: Path, backend: str) -> None:
    (tmp_path / "kept").write_bytes(b"kept")
    with Serving(tmp_path, "--upload", "--backend", backend) as server:
        with server.connect() as peer:
            peer.sendall(b"PUT /kept HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\r\n")
            _until(peer, b"100 Continue\r\n\r\n")
            assert len(list(tmp_path.iterdir())) == 2
            peer.sendall(b"half")
            peer.shutdown(socket.SHUT_WR)
            _rest(peer)
        assert server.stop() == (0, "")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"kept"]


def test_the_log(root: Path, backend: str) -> None:
    with Serving(root, "--log", "--backend", backend) as server:
        server.raw(b'GET /a.txt?"%0a HTTP/1.1\r\nHost: x\r\nUser-Agent: t\x9b31m\\"\r\nConnection: close\r\n\r\n')
        line = server.errors.readline()
        shape = r'127\.0\.0\.1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ "(.*)" 200 12 \d+\.\d{3} "(.*)"\n'
        found = re.fullmatch(shape, line)
        assert found and found.groups() == (r"GET /a.txt?\"%0a HTTP/1.1", r"t\x9b31m\\\"")
        # and without --upload nothing is taken, without a byte of it
        put = b"PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        assert server.raw(put).startswith(b"HTTP/1.1 405 ")
        assert '"PUT /b HTTP/1.1" 405 ' in server.errors.readline()
        assert server.stop() == (0, "")


def _connect_until_refused(server: Serving) -> None:
    """It says that it closes, then it does so: somebody may come in between."""
    try:
        while True:
            server.connect().close()
    except (ConnectionRefusedError, ConnectionResetError):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_transfer_under_way_is_finished(root: Path, backend: str, number: int) -> None:
    (root / "big").write_bytes(b"")
    os.truncate(root / "big", 64 << 20)
    with Serving(root, "--backend", backend) as server, server.connect() as peer:
        peer.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        _, _, body = _until(peer, b"\r\n\r\n").partition(b"\r\n\r\n")
        server.process.send_signal(number)
        assert server.errors.readline() == f"{CLOSING}\n"
        _connect_until_refused(server)
        assert len(body) + len(_rest(peer)) == 64 << 20
        assert server.process.wait(LIMIT) == 0
        assert server.errors.read() == ""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not tell of threads")
def test_a_signal_that_another_thread_gets(root: Path, backend: str) -> None:
    """The system may hand it to any thread of the process; it prefers the one it is told."""
    with Serving(root, "--backend", backend) as server, server.connect():
        threads = [int(task.name) for task in Path(f"/proc/{server.process.pid}/task").iterdir()]
        os.kill(max(threads), signal.SIGTERM)
        assert server.process.wait(LIMIT) == 0


def test_a_second_signal_ends_it_now(root: Path, backend: str) -> None:
    (root / "big").write_bytes(b"")
    os.truncate(root / "big", 64 << 20)
    with Serving(root, "--grace", "3600", "--backend", backend) as server, server.connect() as peer:
        peer.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
        _until(peer, b"\r\n\r\n")
        server.process.send_signal(signal.SIGINT)
        server.errors.readline()
        assert server.stop(signal.SIGINT) == (0, "")


def test_uvloop(tmp_path: Path) -> None:
    pytest.importorskip("uvloop")
    (tmp_path / "large").write_bytes(bytes(range(256)) * 20_000)
    with Serving(tmp_path, "--uvloop") as server:
        client = server.client()
        client.request("GET", "/large")
        assert client.getresponse().read() == (tmp_path / "large").read_bytes()
        client.close()
        assert server.stop() == (0, "")
