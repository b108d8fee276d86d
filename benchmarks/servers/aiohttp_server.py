"""aiohttp on uvloop: ``aiohttp_server.py PORT``."""

from __future__ import annotations

import os
import ssl
import sys
from typing import Any

import uvloop
from aiohttp import web

PIECE = bytes(65536)


async def small(request: Any) -> Any:
    return web.Response(body=b"Hello, World!\n", content_type="text/plain")


async def echo(request: Any) -> Any:
    response = web.StreamResponse(headers={"Content-Length": request.headers["Content-Length"]})
    await response.prepare(request)
    async for piece in request.content.iter_any():
        await response.write(piece)
    return response


async def chunks(request: Any) -> Any:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(10):
        await response.write(PIECE[:1024])
    return response


async def up(request: Any) -> Any:
    total = 0
    async for piece in request.content.iter_any():
        total += len(piece)
    return web.Response(text=str(total))


async def down(request: Any) -> Any:
    left = int(request.query["size"])
    response = web.StreamResponse(headers={"Content-Length": str(left)})
    await response.prepare(request)
    while left:
        piece = PIECE if left >= len(PIECE) else PIECE[:left]
        await response.write(piece)
        left -= len(piece)
    return response


app = web.Application()
app.add_routes([
    web.get("/", small), web.post("/", small), web.get("/chunks", chunks), web.get("/down", down),
    web.post("/echo", echo), web.post("/up", up),
])  # fmt: skip
context = None
if cert := os.environ.get("BENCH_CERT"):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, os.environ["BENCH_KEY"])
uvloop.install()
web.run_app(
    app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, backlog=4096, ssl_context=context
)
