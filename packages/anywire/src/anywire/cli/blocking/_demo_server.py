# Made from packages/anywire/src/anywire/cli/awaiting/_demo_server.py by tools/make_blocking.py; change that one.
"""The demo's server: see ``cli/demo/_origin.py`` for what it answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..demo import (
    ECHO_ACCEPTED,
    ECHO_REFUSED,
    TUNNEL_FAILED,
    TUNNEL_OPENED,
    TUNNEL_REFUSED,
    Origin,
    OriginOptions,
    either_ends,
    tunnel_target,
)
from ._serve import respond

if TYPE_CHECKING:
    from anywire.sync import http

    from ._runtime import Peer, Runtime

__all__ = ["serve_demo"]


def serve_demo(runtime: Runtime, options: OriginOptions, ready: Callable[[int], None]) -> None:
    """Serve until told to stop."""
    origin = Origin(options)

    def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        hints = origin.hints(req.url)
        if hints is not None:
            res.write_information(103, hints)
        respond(runtime, origin, req, res, expects=False)

    def expecting(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        respond(runtime, origin, req, res, expects=True)

    server = runtime.http.create_server(app)
    server.on("connection", origin.accepted)
    server.on("check_continue", expecting)
    server.on("connect", partial(_tunnel, runtime))
    server.on("upgrade", _echo)
    server.listen(0, "127.0.0.1")
    runtime.until_stopped(lambda: ready(server.address()[1]), partial(server.close, 5.0), server.close_all_connections)


def _tunnel(runtime: Runtime, req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer CONNECT: join the client with a loopback address. Both directions end on their own."""
    with socket:
        target = tunnel_target(req.url)
        if target is None:
            socket.send(TUNNEL_REFUSED)
            return
        try:
            peer = runtime.connect(*target)
        except OSError:
            socket.send(TUNNEL_FAILED)
            return
        try:
            socket.send(TUNNEL_OPENED)
            peer.send(head)
            runtime.together([partial(_forth, socket, peer), partial(_back, socket, peer)], 2)
        finally:
            peer.close()


def _forth(socket: http.Socket, peer: Peer) -> None:
    with either_ends(socket, peer):
        for data in socket:
            peer.send(data)
        peer.send_eof()


def _back(socket: http.Socket, peer: Peer) -> None:
    with either_ends(socket, peer):
        while data := peer.receive():
            socket.send(data)
        socket.send_eof()


def _echo(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer ``Upgrade: echo``: send back whatever comes, until the client's FIN."""
    with socket:
        if req.headers.get("upgrade") != "echo":
            socket.send(ECHO_REFUSED)
            return
        socket.send(ECHO_ACCEPTED)
        socket.send(head)
        for data in socket:
            socket.send(data)
        socket.send_eof()
