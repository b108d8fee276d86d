"""anywire on asyncio, uvloop or trio: ``anywire_awaiting.py RUNTIME PORT``."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

runtime, port = sys.argv[1], int(sys.argv[2])
CERT = os.environ.get("BENCH_CERT")
TLS = {"cert": CERT, "key": os.environ["BENCH_KEY"]} if CERT else {}
http: Any = importlib.import_module(f"anywire.{'trio' if runtime == 'trio' else 'asyncio'}.http{'s' if TLS else ''}")

SMALL = {"Content-Type": "text/plain", "Content-Length": "14"}
PIECE = bytes(65536)


async def app(req: Any, res: Any) -> None:
    path = req.url
    if path == "/":
        res.write_head(200, SMALL)
        await res.end(b"Hello, World!\n")
    elif path == "/echo":
        res.write_head(200, {"Content-Length": req.headers["content-length"]})
        async for piece in req:
            await res.write(piece)
        await res.end()
    elif path == "/chunks":
        for _ in range(10):
            await res.write(PIECE[:1024])
        await res.end()
    elif path == "/up":
        total = 0
        async for piece in req:
            total += len(piece)
        await res.end(str(total))
    elif path.startswith("/down?size="):
        left = int(path[11:])
        res.write_head(200, {"Content-Length": left})
        while left:
            piece = PIECE if left >= len(PIECE) else PIECE[:left]
            await res.write(piece)
            left -= len(piece)
        await res.end()
    else:
        res.write_head(404)
        await res.end()


async def main() -> None:
    async with http.create_server(app, **TLS) as server:
        server.grace = 0.1
        await server.listen(port, "127.0.0.1", backlog=4096)
        await server.serve_forever()


if runtime == "trio":
    import trio

    trio.run(main)
elif runtime == "uvloop":
    import uvloop

    uvloop.run(main())
else:
    import asyncio

    asyncio.run(main())
