"""Peers made of bare sockets and threads, and what most tests of this folder need.

A client is tested against a server that is a script of bytes, a server against a client
that is one: neither is our own unless the test says that it is about both.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anywire.sync import http, https

PATIENCE = 30.0
"""Seconds after which whatever hangs is given up; no test relies on it."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

Event = threading.Event


class Job:
    """A function that runs beside the test; :meth:`join` gives its result or raises what it raised."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function, args), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            self._result = function(*args)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._result


@dataclass
class Certificates:
    """PEM text, and a folder for files of it."""

    ca: str
    cert: str
    key: str
    folder: Path

    def server_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        cert.write_text(self.cert)
        key.write_text(self.key)
        context.load_cert_chain(str(cert), str(key))
        return context

    def client_side(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.ca)
        return context


class Wire:
    """One end of a connection, as bytes."""

    def __init__(self, sock: socket.socket, number: int = 0) -> None:
        self.sock = sock
        self.number = number
        self._file = sock.makefile("rb")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def head(self) -> bytes:
        """A head up to and with its empty line; what there is of it at the end."""
        found = b""
        while not found.endswith(b"\r\n\r\n") and (line := self._file.readline()):
            found += line
        return found

    def exactly(self, count: int) -> bytes:
        return bytes(self._file.read(count))

    def message(self) -> tuple[bytes, bytes]:
        """``(head, body)`` by Content-Length or chunks."""
        head = self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            pieces = []
            while size := int(self._file.readline().split(b";")[0] or b"0", 16):
                pieces.append(self.exactly(size))
                self._file.readline()
            while self._file.readline() not in (b"\r\n", b""):
                pass
            return head, b"".join(pieces)
        if b"content-length:" in lower:
            return head, self.exactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
        return head, b""

    def rest(self) -> bytes:
        """Everything up to the peer's FIN or reset."""
        found = b""
        with contextlib.suppress(OSError):
            while data := self._file.read1(65536):
                found += data
        return found

    def eof(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST: what the peer had not read yet is lost to it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self._file.close()
        self.sock.close()


@dataclass
class Peer:
    """A server that runs a script for each connection."""

    port: int = 0
    wires: list[Wire] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    """Where scripts note what they received."""
    failures: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@contextmanager
def peer(
    script: Callable[[Wire], object], *, tls: ssl.SSLContext | None = None, path: str | None = None
) -> Iterator[Peer]:
    """Serve each connection with `script`, which may raise on a lost connection; then close it."""
    made = Peer()
    if path is not None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(511)
    else:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(511)
        made.port = listener.getsockname()[1]
    jobs: list[Job] = []

    def serve(sock: socket.socket) -> None:
        try:
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                sock.do_handshake()
        except BaseException:
            sock.close()
            return
        wire = Wire(sock, len(made.wires))
        made.wires.append(wire)
        try:
            script(wire)
        except OSError:
            pass
        except BaseException as error:
            made.failures.append(error)
        finally:
            wire.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            jobs.append(Job(serve, sock))

    accepting = Job(accept)
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()
        for wire in list(made.wires):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(wire.sock, socket.SHUT_RDWR)
        for job in jobs:
            job.join()
    assert not made.failures, f"the peer's script failed: {made.failures!r}"


@contextmanager
def dial(port: int | None = None, *, path: str | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """A client connection."""
    if path is not None:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
    else:
        assert port is not None
        sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(PATIENCE)
    if tls is not None:
        sock = tls.wrap_socket(sock, server_hostname="localhost")
    wire = Wire(sock)
    try:
        yield wire
    finally:
        wire.close()


def ask(port: int, request: bytes) -> bytes:
    """Send `request`; everything the server says until it closes."""
    with dial(port) as wire:
        wire.send(request)
        return wire.rest()


@contextmanager
def serving(app: Any = None, *, setup: Callable[[Any], object] | None = None, **options: Any) -> Iterator[Any]:
    """Our server, listening on a free port of 127.0.0.1; closed at once at the end."""
    server = (https if "cert" in options else http).create_server(app, **options)
    if setup is not None:
        setup(server)
    server.grace = 0.0
    with server:
        server.listen(0, "127.0.0.1")
        yield server
    assert not server.connections


@contextmanager
def pool(**options: Any) -> Iterator[http.Agent]:
    """A keep-alive Agent, destroyed and empty at the end."""
    agent = http.Agent(**{"keep_alive": True, **options})
    try:
        yield agent
    finally:
        agent.destroy()
        agent.check_invariants()
        assert counts(agent) == (0, 0, 0, 0), agent.stats()


def counts(agent: Any) -> tuple[int, int, int, int]:
    """``(active, connecting, idle, queued)`` over all names."""
    total = agent.total_stats()
    return total.active, total.connecting, total.idle, total.queued


def port_of(server: Any) -> int:
    port: int = server.address()[1]
    return port


def url_of(server: Any, path: str = "/") -> str:
    return f"{'https' if server.secure else 'http'}://127.0.0.1:{port_of(server)}{path}"


def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells."""
    for _ in range(int(PATIENCE * 500)):
        if condition():
            return
        select.select([], [], [], 0.002)
    raise AssertionError("it never came true")


def descriptors() -> set[int]:
    """Open file descriptors of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one listdir() itself used
        found.add(int(name))
    return found
