"""anywire on threads or gevent: ``anywire_blocking.py sync|gevent PORT``."""

from __future__ import annotations

import importlib
import os
import sys
import time
from typing import Any

runtime, port = sys.argv[1], int(sys.argv[2])
CERT = os.environ.get("BENCH_CERT")
TLS = {"cert": CERT, "key": os.environ["BENCH_KEY"]} if CERT else {}
http: Any = importlib.import_module(f"anywire.{runtime}.http{'s' if TLS else ''}")

SMALL = {"Content-Type": "text/plain", "Content-Length": "14"}
PIECE = bytes(65536)


def app(req: Any, res: Any) -> None:
    path = req.url
    if path == "/":
        res.write_head(200, SMALL)
        res.end(b"Hello, World!\n")
    elif path == "/echo":
        res.write_head(200, {"Content-Length": req.headers["content-length"]})
        for piece in req:
            res.write(piece)
        res.end()
    elif path == "/chunks":
        for _ in range(10):
            res.write(PIECE[:1024])
        res.end()
    elif path == "/wait":  # a handler that blocks
        time.sleep(0.02)
        res.end(b"Hello, World!\n")
    elif path == "/up":
        res.end(str(sum(len(piece) for piece in req)))
    elif path.startswith("/down?size="):
        left = int(path[11:])
        res.write_head(200, {"Content-Length": left})
        while left:
            piece = PIECE if left >= len(PIECE) else PIECE[:left]
            res.write(piece)
            left -= len(piece)
        res.end()
    else:
        res.write_head(404)
        res.end()


with http.create_server(app, **TLS) as server:
    server.grace = 0.1
    server.listen(port, "127.0.0.1", backlog=4096)
    server.serve_forever()
