"""What the tests of the pool on real sockets share: servers of bytes that count, and a backend to run in.

The scenarios are coroutines written once, as those of the suite are (see ``anywire.conformance.backends``).
"""

from __future__ import annotations

import importlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from anywire.conformance import awaiting, blocking
from anywire.conformance.backends import Backend, installed, resolve, settle

__all__ = ["OK", "REAL", "Bytes", "Conn", "fetch", "gather", "name_of", "run", "serve", "sleep"]

T = TypeVar("T")

REAL = [each for each in installed() if not each.endswith(".sim")]
"""Backends over sockets of the system's."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

LIMIT = 20.0
"""Seconds after which a server gives up. Nothing relies on it."""


class Conn:
    """A connection, as the server has it.

    Attributes:
        number: from 0, in the order they were accepted.
        got: every byte that was received.
    """

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self.got = b""
        sock.settimeout(LIMIT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self) -> bytes:
        """What came; b"" at the end."""
        data = self.sock.recv(65536)
        self.got += data
        return data

    def request(self) -> bytes:
        """One request with the body that its Content-Length announces; b"" if there is none."""
        start = len(self.got)
        while (end := self.got.find(b"\r\n\r\n", start)) < 0:
            if not self.receive():
                return b""
        found = re.search(rb"(?i)\r\nContent-Length: (\d+)", self.got[start:end])
        size = end + 4 + (int(found[1]) if found else 0)
        while len(self.got) < size:
            if not self.receive():
                return b""
        return self.got[start:]

    def send(self, data: bytes) -> None:
        """All of it."""
        self.sock.sendall(data)

    def close(self) -> None:
        """FIN; a reset if something was not read."""
        self.sock.close()

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Bytes:
    """A server that does what a script says on each connection, and counts."""

    def __init__(self, script: Callable[[Conn], None], host: str = "127.0.0.1", port: int = 0) -> None:
        self._script = script
        self._listener = socket.create_server((host, port), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self.conns: list[Conn] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                conn = Conn(sock, len(self.conns))
                self.conns.append(conn)
                threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: Conn) -> None:
        with suppress(OSError):
            self._script(conn)
        conn.close()

    @property
    def received(self) -> int:
        """Bytes, on all connections."""
        return sum(len(conn.got) for conn in self.conns)

    def stop(self) -> None:
        """Accept no more, and end what is left."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(LIMIT)
        for conn in self.conns:
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def serve(script: Callable[[Conn], None], host: str = "127.0.0.1", port: int = 0) -> Iterator[Bytes]:
    """A server, inside."""
    server = Bytes(script, host, port)
    try:
        yield server
    finally:
        server.stop()


def run(name: str, scenario: Callable[[Backend], Coroutine[Any, Any, T]], seconds: float = 30.0) -> T:
    """Run a scenario on a backend; afterwards its runtime was told of no error."""
    backend = resolve(name)
    for module in (awaiting, blocking):
        module.PATIENCE = seconds  # type: ignore[attr-defined]
    result = backend.run(lambda: scenario(backend))
    assert backend.reports == []
    return result


async def gather(backend: Backend, works: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run all beside one another, and wait for them; the first exception is raised."""
    problems: list[BaseException] = []

    async def one(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except Exception as problem:
            problems.append(problem)

    def bound(work: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        return lambda: one(work)

    tasks = [backend.start(bound(work)) for work in works]
    for task in tasks:
        await settle(task.join())
    if problems:
        raise problems[0]


async def fetch(backend: Backend, url: str, agent: Any, **options: Any) -> bytes:
    """The body of a response."""
    req = backend.http.get(url, agent=agent, **options)
    res = await settle(req.response())
    body: bytes = await settle(res.read())
    return body


def name_of(agent: Any) -> str:
    """The one name that an agent knows."""
    (name,) = agent.stats()
    return str(name)


async def sleep(backend: Backend, seconds: float) -> None:
    """Let time pass, for this task only."""
    module = backend.name.partition("+")[0].rpartition(".")[2]
    await settle(importlib.import_module({"sync": "time"}.get(module, module)).sleep(seconds))
