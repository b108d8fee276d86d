"""The application for ASGI servers: uvicorn, hypercorn, granian."""

from __future__ import annotations

from typing import Any

SMALL = [(b"content-type", b"text/plain"), (b"content-length", b"14")]
PIECE = bytes(65536)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":  # hypercorn on trio fails if it is not answered
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    path = scope["path"]
    if path == "/":
        await send({"type": "http.response.start", "status": 200, "headers": SMALL})
        await send({"type": "http.response.body", "body": b"Hello, World!\n"})
        return
    headers: list[tuple[bytes, bytes]] = []
    left = 0
    if path == "/echo":
        headers = [pair for pair in scope["headers"] if pair[0] == b"content-length"]
    elif path == "/down":
        left = int(scope["query_string"][5:])
        headers = [(b"content-length", b"%d" % left)]
    elif path == "/up":
        total = 0
        while True:
            event = await receive()
            total += len(event.get("body", b""))
            if not event.get("more_body"):
                break
        body = b"%d" % total
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.start", "status": 200 if path != "/nowhere" else 404, "headers": headers})
    if path == "/echo":
        more = True
        while more:
            event = await receive()
            more = event.get("more_body", False)
            await send({"type": "http.response.body", "body": event.get("body", b""), "more_body": more})
        return
    if path == "/chunks":
        for _ in range(10):
            await send({"type": "http.response.body", "body": PIECE[:1024], "more_body": True})
    elif path == "/down":
        while left:
            piece = PIECE if left >= len(PIECE) else PIECE[:left]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            left -= len(piece)
    await send({"type": "http.response.body", "body": b""})
