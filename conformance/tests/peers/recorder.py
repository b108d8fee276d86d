"""A server that says what it saw: ``recorder.py RUNTIME PORT``.

Each request becomes one line of JSON on standard output, and the same line is its answer. ``/refuse`` is answered with
413 before the body is read, ``/trailers`` has a trailer section, ``/hints`` a 103 before the answer.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

runtime, port = sys.argv[1], int(sys.argv[2])
http: Any = importlib.import_module(f"anywire.{runtime}.http")
connections: dict[int, int] = {}


def line_of(req: Any, body: int) -> str:
    connection = connections.setdefault(id(req.socket), len(connections))
    seen = {"method": req.method, "url": req.url, "host": req.headers.get("host"), "body": body, "on": connection}
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
    body = 0
    async for piece in req:
        body += len(piece)
    if req.url == "/hints":
        await res.write_information(103, {"Link": "</a.css>"})
    if req.url == "/trailers":
        await res.write(b"with trailers\n")
        await res.end(trailers={"X-Sum": "42"})
        line_of(req, body)
        return
    await res.end(line_of(req, body))


def blocking(req: Any, res: Any) -> None:
    if req.url == "/refuse":
        res.write_head(413)
        res.end("too much\n")
        line_of(req, -1)
        return
    body = sum(len(piece) for piece in req)
    if req.url == "/hints":
        res.write_information(103, {"Link": "</a.css>"})
    if req.url == "/trailers":
        res.write(b"with trailers\n")
        res.end(trailers={"X-Sum": "42"})
        line_of(req, body)
        return
    res.end(line_of(req, body))


async def serve() -> None:
    async with http.create_server(awaiting) as server:
        server.grace = 0.1
        await server.listen(port, "127.0.0.1")
        await server.serve_forever()


if runtime == "trio":
    import trio

    trio.run(serve)
elif runtime == "asyncio":
    import asyncio

    asyncio.run(serve())
else:
    with http.create_server(blocking) as server:
        server.grace = 0.1
        server.listen(port, "127.0.0.1")
        server.serve_forever()
