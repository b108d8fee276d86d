"""Peers made of bare asyncio streams, and what most tests of this folder need.

A client is tested against a server that is a script of bytes, a server against a client
that is one: neither is ever our own unless the test says that it is about both.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anywire.asyncio import http, https
from anywire.core.facade.awaiting import Server

Script = Callable[["Wire"], Awaitable[object]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CLOSE = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


@dataclass
class Certificates:
    """PEM text, and a folder for files of it."""

    ca: str
    cert: str
    key: str
    client_cert: str
    client_key: str
    folder: Path

    def server_side(self) -> ssl.SSLContext:
        """For a peer that is a TLS server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._file("cert", self.cert), self._file("key", self.key))
        return context

    def client_side(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        """For a peer that is a TLS client."""
        context = ssl.create_default_context(cadata=self.ca)
        if with_certificate:
            cert, key = self._file("client-cert", self.client_cert), self._file("client-key", self.client_key)
            context.load_cert_chain(cert, key)
        return context

    def _file(self, name: str, text: str) -> str:
        path = self.folder / f"{name}.pem"
        path.write_text(text)
        return str(path)


@dataclass
class Wire:
    """One end of a connection, as bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int = 0
    """Which connection of its server this is, from 0."""

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """A head up to and with its empty line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def line(self) -> bytes:
        return await self.reader.readuntil(b"\r\n")

    async def message(self, *, no_body: bool = False) -> tuple[bytes, bytes]:
        """``(head, body)`` of one message; framing by Content-Length, chunks, or (a response) the end."""
        head = await self.head()
        lower = head.lower()
        if no_body or lower.startswith(b"http/1.1 1"):
            return head, b""
        if b"transfer-encoding: chunked" in lower:
            return head, (await self.chunks())[0]
        if b"content-length:" in lower:
            length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            return head, await self.reader.readexactly(length)
        return head, b"" if not lower.startswith(b"http/") else await self.reader.read()

    async def chunks(self) -> tuple[bytes, bytes]:
        """``(body, trailer section)`` of a chunked message."""
        pieces = []
        while size := int((await self.line()).split(b";")[0], 16):
            pieces.append(await self.reader.readexactly(size))
            assert await self.line() == b"\r\n"
        trailers = b""
        while (line := await self.line()) != b"\r\n":
            trailers += line
        return b"".join(pieces), trailers

    async def rest(self) -> bytes:
        """Everything up to the peer's FIN."""
        return await self.reader.read()

    async def gone(self) -> bytes:
        """Everything up to the peer's FIN or reset."""
        got = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await self.reader.read(65536):
                got += data
        return got

    def eof(self) -> None:
        """FIN, and go on reading."""
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """RST: what the peer had not read yet is lost to it."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        abort(self.writer)


@dataclass
class Peer:
    """A server that runs a script for each connection."""

    port: int
    wires: list[Wire] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    """Where scripts note what they received."""
    failures: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def abort(writer: asyncio.StreamWriter) -> None:
    """Gone, now, whatever state it is in."""
    with contextlib.suppress(AttributeError):  # of asyncio, for a transport that closed when its last bytes had gone
        writer.transport.abort()


@asynccontextmanager
async def peer(
    script: Script, *, tls: ssl.SSLContext | None = None, path: str | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Peer]:
    """Serve each connection with `script`, which may raise on a lost connection; then close it."""
    made = Peer(0)
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        wire = Wire(reader, writer, len(made.wires))
        made.wires.append(wire)
        try:
            await script(wire)
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            pass  # the end of the test
        except Exception as error:
            made.failures.append(error)
        finally:
            writer.close()
            tasks.discard(task)

    if path is not None:
        server = await asyncio.start_unix_server(connected, path)
    else:
        server = await asyncio.start_server(connected, host, 0, ssl=tls)
        made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        for wire in made.wires:
            abort(wire.writer)
        if tasks:
            await asyncio.wait(list(tasks))
        await turns()
    assert not made.failures, f"the peer's script failed: {made.failures!r}"


@asynccontextmanager
async def dial(
    port: int | None = None, *, path: str | None = None, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Wire]:
    """A client connection."""
    if path is not None:
        reader, writer = await asyncio.open_unix_connection(path)
    else:
        name = "localhost" if tls else None
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=name)
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        abort(writer)
        await turns()


@asynccontextmanager
async def unanswered_port() -> AsyncIterator[int]:
    """A port whose accept queue is full: the kernel does not answer, so a connect waits."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = []
        try:
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", port))
                fillers.append(filler)
            yield port
        finally:
            for filler in fillers:
                filler.close()


async def ask(port: int, request: bytes) -> bytes:
    """Send `request`; everything the server says until it closes."""
    async with dial(port) as wire:
        await wire.send(request)
        return await wire.rest()


@asynccontextmanager
async def serving(
    app: Any = None, *, setup: Callable[[Server], object] | None = None, secure: bool = False, **options: Any
) -> AsyncIterator[Server]:
    """Our server, listening on a free port of 127.0.0.1; closed at once at the end."""
    server = (https if secure else http).create_server(app, **options)
    if setup is not None:
        setup(server)
    server.grace = 0.0
    server.linger_timeout = 3600.0  # a test that depends on it says so; any other would hang, not pass slowly
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
        await turns()
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


async def turns(count: int = 10) -> None:
    """Let everything that is ready run: loop turns, no time."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells: another loop turn until it holds (the test's patience ends it)."""
    while not condition():  # noqa: ASYNC110 - there is no event: that is what this is for
        await asyncio.sleep(0.001)
