"""The application for WSGI servers; and ``wsgi.py waitress|cheroot|pywsgi PORT``, for those without a command."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

SMALL = [("Content-Type", "text/plain"), ("Content-Length", "14")]
PIECE = bytes(65536)


def app(environ: Any, start_response: Any) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/":
        start_response("200 OK", SMALL)
        return [b"Hello, World!\n"]
    if path == "/wait":
        time.sleep(0.02)
        start_response("200 OK", SMALL)
        return [b"Hello, World!\n"]
    if path == "/echo":
        size = int(environ["CONTENT_LENGTH"])
        start_response("200 OK", [("Content-Length", str(size))])
        return [environ["wsgi.input"].read(size)]
    if path == "/up":
        body = str(sum(len(piece) for piece in _pieces(environ))).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/down":
        size = int(environ["QUERY_STRING"][5:])
        start_response("200 OK", [("Content-Length", str(size))])
        return (PIECE[: min(len(PIECE), size - at)] for at in range(0, size, len(PIECE)))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (PIECE[:1024] for _ in range(10))


def _pieces(environ: Any) -> Iterator[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left and (piece := environ["wsgi.input"].read(min(left, 65536))):
        left -= len(piece)
        yield piece


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    cert, secret = os.environ.get("BENCH_CERT"), os.environ.get("BENCH_KEY", "")
    if kind == "waitress":
        import waitress

        many = {"backlog": 4096, "connection_limit": 4096, "asyncore_use_poll": True}  # select() ends at 1024
        waitress.serve(app, host="127.0.0.1", port=port, threads=64, **many)
    elif kind == "cheroot":
        from cheroot.ssl.builtin import BuiltinSSLAdapter
        from cheroot.wsgi import Server

        server = Server(("127.0.0.1", port), app, numthreads=64, request_queue_size=4096)
        if cert:
            server.ssl_adapter = BuiltinSSLAdapter(cert, secret)
        server.safe_start()
    else:
        from gevent.pywsgi import WSGIServer

        secure = {"certfile": cert, "keyfile": secret} if cert else {}
        WSGIServer(("127.0.0.1", port), app, log=None, backlog=4096, **secure).serve_forever()
