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
    from anywire.asyncio import http

    from ._runtime import Peer, Runtime

__all__ = ["serve_demo"]


async def serve_demo(runtime: Runtime, options: OriginOptions, ready: Callable[[int], None]) -> None:
    """Serve until told to stop."""
    origin = Origin(options)

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        hints = origin.hints(req.url)
        if hints is not None:
            await res.write_information(103, hints)
        await respond(runtime, origin, req, res, expects=False)

    async def expecting(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await respond(runtime, origin, req, res, expects=True)

    server = runtime.http.create_server(app)
    server.on("connection", origin.accepted)
    server.on("check_continue", expecting)
    server.on("connect", partial(_tunnel, runtime))
    server.on("upgrade", _echo)
    await server.listen(0, "127.0.0.1")
    await runtime.until_stopped(
        lambda: ready(server.address()[1]), partial(server.close, 5.0), server.close_all_connections
    )


async def _tunnel(runtime: Runtime, req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer CONNECT: join the client with a loopback address. Both directions end on their own."""
    async with socket:
        target = tunnel_target(req.url)
        if target is None:
            await socket.send(TUNNEL_REFUSED)
            return
        try:
            peer = await runtime.connect(*target)
        except OSError:
            await socket.send(TUNNEL_FAILED)
            return
        try:
            await socket.send(TUNNEL_OPENED)
            await peer.send(head)
            await runtime.together([partial(_forth, socket, peer), partial(_back, socket, peer)], 2)
        finally:
            peer.close()


async def _forth(socket: http.Socket, peer: Peer) -> None:
    with either_ends(socket, peer):
        async for data in socket:
            await peer.send(data)
        peer.send_eof()


async def _back(socket: http.Socket, peer: Peer) -> None:
    with either_ends(socket, peer):
        while data := await peer.receive():
            await socket.send(data)
        await socket.send_eof()


async def _echo(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """Answer ``Upgrade: echo``: send back whatever comes, until the client's FIN."""
    async with socket:
        if req.headers.get("upgrade") != "echo":
            await socket.send(ECHO_REFUSED)
            return
        await socket.send(ECHO_ACCEPTED)
        await socket.send(head)
        async for data in socket:
            await socket.send(data)
        await socket.send_eof()
