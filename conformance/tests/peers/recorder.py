"""A server that says what it saw: ``recorder.py RUNTIME PORT``, or the path of a Unix socket; then options in JSON,
which make it speak TLS, or ``upgrades``: then it echoes one packet to each who upgrades.

Each request becomes one line of JSON on standard output, and the same line is its answer. ``/refuse`` is answered with
413 before the body is read, ``/trailers`` has a trailer section, ``/hints`` a 103 before the answer, ``/broken`` ends
in the middle, ``/big`` is answered with 64 MiB. CONNECT opens a tunnel in which a greeting comes, and no more.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

from on_runtime import AWAITING, serve

runtime, where = sys.argv[1:3]
more = sys.argv[3] if sys.argv[3:] else "{}"
upgrades = more == "upgrades"
options = {} if upgrades else json.loads(more)
http: Any = importlib.import_module(f"anywire.{runtime}.{'https' if options else 'http'}")
place: dict[str, Any] = {"port": int(where), "host": "127.0.0.1"} if where.isdigit() else {"path": where}
connections: dict[int, int] = {}
KEPT = 65536
PIECE = bytes(65536)


class Body:
    """How much of it came, and how it begins."""

    length = 0
    start = b""

    def take(self, piece: bytes) -> None:
        self.length += len(piece)
        self.start += piece[: KEPT - len(self.start)]


def line_of(req: Any, length: int, start: bytes = b"") -> str:
    connection = connections.setdefault(id(req.socket), len(connections))
    seen = {"method": req.method, "url": req.url, "host": req.headers.get("host"), "body": length, "on": connection}
    if "x-front-id" in req.headers:
        seen |= {"id": req.headers["x-front-id"], "from": req.socket.remote_port, "text": start.decode("latin-1")}
    line = json.dumps(seen)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return line + "\n"


async def awaiting(req: Any, res: Any) -> None:
    if req.url == "/refuse":
        res.write_head(413)
        await res.end("too much\n")
        line_of(req, -1)
        return
    body = Body()
    async for piece in req:
        body.take(piece)
    if req.url == "/hints":
        await res.write_information(103, {"Link": "</a.css>"})
    if req.url == "/trailers":
        await res.write(b"with trailers\n")
        await res.end(trailers={"X-Sum": "42"})
        line_of(req, body.length)
        return
    if req.url == "/broken":
        res.write_head(200, {"Content-Length": 100_000})
        await res.write(b"half")
        res.destroy()
        return
    if req.url == "/big":
        for _ in range(1024):
            await res.write(PIECE)
        await res.end()
        return
    await res.end(line_of(req, body.length, body.start))


async def tunnel(req: Any, stream: Any, head: bytes) -> None:
    line_of(req, 0)
    async with stream:
        await stream.send(b"HTTP/1.1 200 Go\r\n\r\nhello tunnel")
        await stream.send_eof()
        async for _ in stream:
            pass


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


async def echo(req: Any, stream: Any, head: bytes) -> None:
    async with stream:
        await stream.send(SWITCHED)
        await stream.send(b"echo: " + (head or await stream.receive()))


def blocking_echo(req: Any, stream: Any, head: bytes) -> None:
    with stream:
        stream.send(SWITCHED)
        stream.send(b"echo: " + (head or stream.receive()))


def blocking(req: Any, res: Any) -> None:
    if req.url == "/refuse":
        res.write_head(413)
        res.end("too much\n")
        line_of(req, -1)
        return
    body = Body()
    for piece in req:
        body.take(piece)
    if req.url == "/hints":
        res.write_information(103, {"Link": "</a.css>"})
    if req.url == "/trailers":
        res.write(b"with trailers\n")
        res.end(trailers={"X-Sum": "42"})
        line_of(req, body.length)
        return
    if req.url == "/broken":
        res.write_head(200, {"Content-Length": 100_000})
        res.write(b"half")
        res.destroy()
        return
    if req.url == "/big":
        for _ in range(1024):
            res.write(PIECE)
        res.end()
        return
    res.end(line_of(req, body.length, body.start))


def blocking_tunnel(req: Any, stream: Any, head: bytes) -> None:
    line_of(req, 0)
    with stream:
        stream.send(b"HTTP/1.1 200 Go\r\n\r\nhello tunnel")
        stream.send_eof()
        for _ in stream:
            pass


def make() -> Any:
    awaits = runtime in AWAITING
    server = http.create_server(awaiting if awaits else blocking, **options)
    server.on("connect", tunnel if awaits else blocking_tunnel)
    if upgrades:
        server.on("upgrade", echo if awaits else blocking_echo)
    return server


serve(runtime, make, **place)
