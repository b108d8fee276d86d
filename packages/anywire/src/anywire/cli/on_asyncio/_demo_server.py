"""The demo's server on asyncio.

===========================  ==========================================================================================
``GET /manifest``            the files of the tree, as JSON
``GET /tree/PATH``           a file of the tree
``PUT /uploads/PATH``        store a file; its ``Content-Digest`` is checked, wherever it stands
``GET /stream?size=N``       the generated stream
``PUT /stream``              take a stream and say its size and digest; 422 if its ``Content-Digest`` says another one
``PUT /limited``             at most 1 MiB, refused before it is sent if the client waits for ``100 Continue``
``GET /hints``               a 103 before the answer
``POST /watch``              memory: from now on; ``GET /watch``: what it came to; connections
``CONNECT 127.0.0.1:PORT``   a tunnel, to loopback addresses only
``Upgrade: echo``            whatever comes is sent back
===========================  ==========================================================================================
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs

from anywire.asyncio import http

from ..demo import OriginOptions, Watch, peak_memory, scan, stream
from ..static import Answer, Site, content_digest, plain_answer
from ._run import run
from ._serve import receive, respond, send

__all__ = ["serve_demo"]

LIMIT = 1 << 20
HINTS = {"Link": "</style.css>; rel=preload; as=style"}


def serve_demo(options: OriginOptions, ready: Callable[[int], None]) -> None:
    """Serve until stdin ends."""
    run(_serve(options, ready), uvloop=options.uvloop)


async def _serve(options: OriginOptions, ready: Callable[[int], None]) -> None:
    origin = Origin(options)
    server = origin.server
    await server.listen(0, "127.0.0.1")
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: _UntilEnd(over), sys.stdin)
    address = server.address()
    assert isinstance(address, tuple)
    ready(address[1])
    await over.wait()
    transport.close()
    await server.close(grace=5.0)


class _UntilEnd(asyncio.Protocol):
    """Reads stdin for its end only."""

    def __init__(self, over: asyncio.Event) -> None:
        self._over = over

    def eof_received(self) -> None:
        self._over.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._over.set()


class Origin:
    """The handlers, and what they count.

    Attributes:
        server: the server, not listening yet.
    """

    def __init__(self, options: OriginOptions) -> None:
        self._tree = Site(options.root)
        self._uploads = Site(options.uploads, upload=True)
        self._accepted = 0
        self._watch = Watch()
        self.server = server = http.create_server(self._request)
        server.on("connection", self._connection)
        server.on("check_continue", self._check_continue)
        server.on("connect", tunnel)
        server.on("upgrade", echo)

    def _connection(self, _: http.Socket) -> None:
        self._accepted += 1

    async def _request(self, req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await self._route(req, res, expects=False)

    async def _check_continue(self, req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await self._route(req, res, expects=True)

    async def _route(self, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> None:
        path, _, query = req.url.partition("?")
        first, slash, rest = path[1:].partition("/")
        what = f"{req.method} {first}"
        now = time.time()
        if what == "GET tree" and slash:
            await send(self._tree.answer("GET", f"/{rest}", req.headers, now), res)
        elif what == "PUT uploads" and slash:
            await receive(self._uploads.receive(f"/{rest}", req.headers, now), req, res, expects=expects)
        elif what == "GET stream":
            await _send_stream(int(parse_qs(query)["size"][0]), res)
        elif what == "PUT stream":
            await _take_stream(req, res)
        elif what == "PUT limited":
            await _take_limited(req, res, expects=expects)
        elif what == "GET hints":
            await res.write_information(103, HINTS)
            await send(plain_answer(200, "this came after 103 Early Hints"), res)
        elif what == "GET manifest":
            await self._manifest(res)
        elif what == "POST watch":
            self._watch = Watch()
            await send(Answer(204, []), res)
        elif what == "GET watch":
            watch = self._watch
            await _send_json(
                res, {"before": watch.before, "after": watch.peak(), "peak": peak_memory(), "accepted": self._accepted}
            )
        else:
            await respond(self._tree, req, res, expects=expects)

    async def _manifest(self, res: http.ServerResponse) -> None:
        tree = await asyncio.to_thread(scan, self._tree.root)
        await _send_json(res, [entry.path for entry in tree.files])


async def _send_json(res: http.ServerResponse, value: Any) -> None:
    body = json.dumps(value).encode()
    res.write_head(200, headers={"Content-Type": "application/json", "Content-Length": len(body)})
    await res.end(body)


async def _send_stream(size: int, res: http.ServerResponse) -> None:
    res.write_head(200, headers={"Content-Type": "application/octet-stream", "Content-Length": size})
    for piece in stream(size):
        await res.write(piece)
    await res.end()


async def _take_stream(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    digest = hashlib.sha256()
    size = 0
    async for piece in req:
        digest.update(piece)
        size += len(piece)
    said = req.trailers.get("content-digest")
    found = content_digest(digest.digest())
    if said != found:
        await send(plain_answer(422, f"the content is {found}, its trailer said {said}"), res)
    else:
        await _send_json(res, {"size": size, "digest": found})


async def _take_limited(req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> None:
    if int(str(req.headers.get("content-length", LIMIT + 1))) > LIMIT:
        await send(plain_answer(413, f"at most {LIMIT} bytes with a Content-Length"), res)
        return
    if expects:
        await res.write_continue()
    size = len(await req.read())
    await send(plain_answer(200, f"{size} bytes came"), res)


async def tunnel(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer CONNECT: join the client with a loopback address. Both directions end on their own."""
    async with socket:
        host, _, port = req.url.rpartition(":")
        try:
            allowed = ip_address(host.strip("[]")).is_loopback
        except ValueError:
            allowed = False
        if not allowed:
            await socket.send(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, ValueError, OverflowError):
            await socket.send(b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        try:
            await socket.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            writer.write(head)
            async with asyncio.TaskGroup() as both:
                both.create_task(_forth(socket, writer))
                both.create_task(_back(reader, socket))
        except* ConnectionError:
            pass  # one end broke; the other learns of it by the close
        finally:
            writer.close()


async def _forth(socket: http.Socket, writer: asyncio.StreamWriter) -> None:
    async for data in socket:
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def _back(reader: asyncio.StreamReader, socket: http.Socket) -> None:
    while data := await reader.read(65536):
        await socket.send(data)
    await socket.send_eof()


async def echo(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer ``Upgrade: echo``: send back whatever comes, until the client's FIN."""
    async with socket:
        if req.headers.get("upgrade") != "echo":
            await socket.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return
        await socket.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n" + head)
        async for data in socket:
            await socket.send(data)
        await socket.send_eof()
