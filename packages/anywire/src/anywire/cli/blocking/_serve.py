# Made from packages/anywire/src/anywire/cli/awaiting/_serve.py by tools/make_blocking.py; change that one.
"""Serving: what a site answers, over a connection."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from .._options import ServeOptions
from .._serving import CLOSING, announce, cannot_listen, configure, logged
from ..static import Answer, Answering, FileChanged, Receiver, storage_answer

if TYPE_CHECKING:
    from anywire.sync import http

    from ._runtime import Runtime

__all__ = ["respond", "serve"]


def serve(runtime: Runtime, options: ServeOptions) -> None:
    """Serve ``options.site`` until told to stop.

    Raises:
        Complaint: it cannot listen.
    """

    def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        with logged(req, res, log=options.log) as sent:
            sent.bytes = respond(runtime, options.site, req, res, expects=False)

    def expecting(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        with logged(req, res, log=options.log) as sent:
            sent.bytes = respond(runtime, options.site, req, res, expects=True)

    def close() -> None:
        if server.get_connections():
            print(CLOSING, file=sys.stderr, flush=True)
        server.close(options.grace)

    server = runtime.http.create_server(app)
    server.on("check_continue", expecting)
    configure(server)
    try:
        server.listen(options.port, options.host)
    except OSError as error:
        raise cannot_listen(error, options) from None
    runtime.until_stopped(lambda: announce(server, options), close, server.close_all_connections)


def respond(
    runtime: Runtime, site: Answering, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool
) -> int:
    """Answer one request out of `site`.

    Args:
        runtime: where we are.
        site: what is served.
        req: the request.
        res: its response.
        expects: the client waits for ``100 Continue`` before it sends the body.

    Returns:
        Bytes of body that were sent.
    """
    if req.method == "PUT":
        begun = site.receive(req.url, req.headers, time.time())
        answer = begun if isinstance(begun, Answer) else _receive(begun, req, res, expects=expects)
    else:
        answer = site.answer(str(req.method), req.url, req.headers, time.time())
    return _send(runtime, answer, res)


def _send(runtime: Runtime, answer: Answer, res: http.ServerResponse) -> int:
    """Send an answer, reading its file piece by piece. Returns the bytes of body that were sent."""
    with answer:
        total = answer.left
        res.write_head(answer.status, headers=answer.headers)
        try:
            while True:
                piece = answer.read_nowait()
                if piece is None:
                    # Not in the page cache. Others are served while the disk turns.
                    piece = runtime.in_thread(answer.read)
                if not answer.left:
                    res.end(piece)
                    return total
                res.write(piece)
        except FileChanged:
            # The length is announced and cannot be kept; only a broken connection tells the client.
            res.destroy()
            return total - answer.left


def _receive(receiver: Receiver, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> Answer:
    """Take the body of a PUT. Returns what to answer."""
    with receiver:
        if expects:
            res.write_continue()
        for piece in req:
            try:
                receiver.write(piece)
            except OSError as error:
                return storage_answer(error)
        try:
            return receiver.finish(req.trailers)
        except OSError as error:
            return storage_answer(error)
