"""Peers made of bare trio sockets, and what most tests of this folder need.

A client is tested against a server that is a script of bytes, a server against a client
that is one: neither is ever our own unless the test says that it is about both.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from anywire.core.facade.awaiting import Server
from anywire.trio import http, https

Script = Callable[["Wire"], Awaitable[object]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@dataclass
class Certificates:
    """PEM text, and a folder for files of it."""

    ca: str
    cert: str
    key: str
    folder: Path

    def server_side(self) -> ssl.SSLContext:
        """For a peer that is a TLS server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        cert, key = self.folder / "cert.pem", self.folder / "key.pem"
        cert.write_text(self.cert)
        key.write_text(self.key)
        context.load_cert_chain(cert, key)
        return context

    def client_side(self) -> ssl.SSLContext:
        """For a peer that is a TLS client."""
        return ssl.create_default_context(cadata=self.ca)


@dataclass
class Wire:
    """One end of a connection, as bytes."""

    stream: trio.abc.Stream
    sock: trio.socket.SocketType
    number: int = 0
    """Which connection of its server this is, from 0."""
    _buffer: bytearray = field(default_factory=bytearray)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`."""
        while (at := self._buffer.find(mark)) < 0:
            data = await self.stream.receive_some(65536)
            if not data:
                raise EOFError(bytes(self._buffer))
            self._buffer += data
        return self.take(at + len(mark))

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            data = await self.stream.receive_some(65536)
            if not data:
                raise EOFError(bytes(self._buffer))
            self._buffer += data
        return self.take(size)

    def take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def message(self) -> tuple[bytes, bytes]:
        """``(head, body)`` of one message framed by Content-Length or chunks."""
        head = await self.head()
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            pieces = []
            while size := int(await self.until(b"\r\n"), 16):
                pieces.append(await self.exactly(size))
                await self.exactly(2)
            await self.exactly(2)
            return head, b"".join(pieces)
        if b"content-length:" in lower:
            return head, await self.exactly(int(lower.split(b"content-length:")[1].split(b"\r\n")[0]))
        return head, b""

    async def gone(self) -> bytes:
        """Everything up to the peer's FIN or reset."""
        with contextlib.suppress(trio.BrokenResourceError):
            while data := await self.stream.receive_some(65536):
                self._buffer += data
        return self.take(len(self._buffer))

    def eof(self) -> None:
        """FIN, and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST: what the peer had not read yet is lost to it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


@dataclass
class Peer:
    """A server that runs a script for each connection."""

    port: int
    wires: list[Wire] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    """Where scripts note what they received."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


@asynccontextmanager
async def peer(script: Script, *, tls: ssl.SSLContext | None = None, path: str | None = None) -> AsyncIterator[Peer]:
    """Serve each connection with `script`, which may find its connection lost; then close it."""
    listening = trio.socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    await listening.bind(path or ("127.0.0.1", 0))
    listening.listen(100)
    made = Peer(0 if path else listening.getsockname()[1])

    async def connected(sock: trio.socket.SocketType) -> None:
        stream: trio.abc.Stream = trio.SocketStream(sock)
        if tls is not None:
            stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        wire = Wire(stream, sock, len(made.wires))
        made.wires.append(wire)
        try:
            await script(wire)
        except (trio.BrokenResourceError, trio.ClosedResourceError, EOFError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def accept(nursery: trio.Nursery) -> None:
        while True:
            nursery.start_soon(connected, (await listening.accept())[0])

    with listening:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept, nursery)
            yield made
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def dial(
    port: int | None = None, *, path: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    """A client connection."""
    plain = await trio.open_unix_socket(path) if path else await trio.open_tcp_stream("127.0.0.1", port or 0)
    stream: trio.abc.Stream = plain
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
    try:
        yield Wire(stream, plain.socket)
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def serving(
    app: Any = None, *, setup: Callable[[Server], object] | None = None, secure: bool = False, **options: Any
) -> AsyncIterator[Server]:
    """Our server, listening on a free port of 127.0.0.1; closed at once at the end."""
    server = (https if secure else http).create_server(app, **options)
    if setup is not None:
        setup(server)
    server.grace = 0.0
    async with server:
        await server.listen(0, "127.0.0.1")
        yield server
    assert not server.connections


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[http.Agent]:
    """A keep-alive Agent, destroyed and empty at the end."""
    agent = http.Agent(**{"keep_alive": True, **options})
    try:
        yield agent
    finally:
        agent.destroy()
        assert counts(agent) == (0, 0, 0, 0), agent.stats()


def counts(agent: http.Agent) -> tuple[int, int, int, int]:
    """``(active, connecting, idle, queued)`` over all names."""
    stats = list(agent.stats().values())
    return (
        sum(each.active for each in stats),
        sum(each.connecting for each in stats),
        sum(each.idle for each in stats),
        sum(each.queued for each in stats),
    )


def port_of(server: Server) -> int:
    address = server.address()
    assert isinstance(address, tuple)
    return address[1]


def url_of(server: Server, path: str = "/") -> str:
    return f"{'https' if server.secure else 'http'}://127.0.0.1:{port_of(server)}{path}"


async def quiet() -> None:
    """Let everything that is ready run: scheduler passes, no time."""
    for _ in range(20):
        await trio.lowlevel.checkpoint()


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells: scheduler passes until it holds (the test's patience ends it)."""
    while not condition():
        await trio.lowlevel.checkpoint()
