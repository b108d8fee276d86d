"""``anywire serve`` on asyncio: a :class:`Site` behind an anywire server."""

from __future__ import annotations

import asyncio
import sys
import time

from anywire.asyncio import http

from .._complaint import Complaint
from .._options import ServeOptions
from .._words import access_line, url_host
from ..static import Answer, FileChanged, Site, Upload, storage_answer
from ._run import run, stop_signals

__all__ = ["receive", "respond", "send", "serve"]

IDLE = 120.0
"""Seconds without a byte in either direction after which a connection is given up."""


def serve(options: ServeOptions) -> None:
    """Serve until told to stop.

    Raises:
        Complaint: it cannot listen.
    """
    run(_serve(options), uvloop=options.uvloop)


async def _serve(options: ServeOptions) -> None:
    site, log = options.site, options.log

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await (_logged if log else respond)(site, req, res, expects=False)

    async def expecting(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await (_logged if log else respond)(site, req, res, expects=True)

    server = http.create_server(app)
    server.on("check_continue", expecting)
    # Silence ends a connection, but not slowness: an upload may take as long as it takes.
    server.timeout = IDLE
    server.request_timeout = 0.0
    try:
        await server.listen(options.port, options.host)
    except OSError as error:
        raise Complaint(_why_not(error, options)) from None

    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            server.close_all_connections()
        stopped.set()

    with stop_signals(stop):
        address = server.address()
        port = address[1] if isinstance(address, tuple) else options.port
        print(f"serving {site.root} on http://{url_host(options.host)}:{port}/", flush=True)
        await stopped.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.close(grace=options.grace))
            await asyncio.sleep(0)  # from here on nobody can connect any more
            if server.get_connections():
                print("closing; once more ends transfers that are under way", file=sys.stderr, flush=True)


def _why_not(error: OSError, options: ServeOptions) -> str:
    where = f"{url_host(options.host)}:{options.port}"
    code = getattr(error, "code", "")
    if code == "EADDRINUSE":
        return f"{where} is in use; stop what listens there, or choose another port (--port 0 takes a free one)"
    if code == "EACCES":
        return f"not allowed to listen on {where}; choose a port above 1023"
    if code in ("EADDRNOTAVAIL", "ENOTFOUND"):
        return f"{options.host} is no address of this machine; say another --host"
    return f"cannot listen on {where}: {error}"


async def _logged(site: Site, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> None:
    start = time.monotonic()
    peer = req.socket.remote_address
    sent = 0
    try:
        sent = await respond(site, req, res, expects=expects)
    finally:
        request = f"{req.method} {req.url} HTTP/{req.http_version}"
        agent = req.headers.get("user-agent")
        seconds = time.monotonic() - start
        print(
            access_line(peer, request, res.status_code, sent, seconds, time.time(), agent), file=sys.stderr, flush=True
        )


async def respond(site: Site, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> int:
    """Answer one request out of `site`.

    Args:
        site: the files.
        req: the request.
        res: its response.
        expects: the client waits for ``100 Continue`` before it sends the body.

    Returns:
        Bytes of body that were sent.
    """
    if req.method == "PUT":
        return await receive(site.receive(req.url, req.headers, time.time()), req, res, expects=expects)
    return await send(site.answer(str(req.method), req.url, req.headers, time.time()), res)


async def send(answer: Answer, res: http.ServerResponse) -> int:
    """Send an answer, reading its file piece by piece. Returns the bytes of body that were sent."""
    with answer:
        total = answer.left
        res.write_head(answer.status, headers=answer.headers)
        try:
            while True:
                piece = answer.read_nowait()
                if piece is None:
                    # Not in the page cache. Others are served while the disk turns.
                    piece = await asyncio.to_thread(answer.read)
                if not answer.left:
                    await res.end(piece)
                    return total
                await res.write(piece)
        except FileChanged:
            # The length is announced and cannot be kept; only a broken connection tells the client.
            res.destroy()
            return total - answer.left


async def receive(begun: Upload | Answer, req: http.IncomingMessage, res: http.ServerResponse, *, expects: bool) -> int:
    """Take the body of a PUT, or refuse it. Parameters and return value as :func:`respond`."""
    if isinstance(begun, Answer):
        return await send(begun, res)
    with begun as upload:
        if expects:
            await res.write_continue()
        async for piece in req:
            try:
                upload.write(piece)
            except OSError as error:
                return await send(storage_answer(error), res)
        try:
            answer = upload.finish(req.trailers)
        except OSError as error:
            answer = storage_answer(error)
    return await send(answer, res)
