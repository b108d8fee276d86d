"""Upload a stream of unknown length, its digest in the trailer section; the server checks it (RFC 9530)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator

from anywire.asyncio import http


def content_digest(digest: bytes) -> str:
    return f"sha-256=:{base64.b64encode(digest).decode()}:"


async def store(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    digest, size = hashlib.sha256(), 0
    async for piece in req:
        digest.update(piece)
        size += len(piece)
    # The body was read to its end, so the trailer section is here.
    if req.trailers.get("content-digest") == content_digest(digest.digest()):
        res.write_head(201)
        await res.end(f"{size} bytes stored")
    else:
        res.write_head(422)
        await res.end("not what was sent")


def pieces() -> Iterator[bytes]:
    for number in range(256):
        yield bytes([number]) * 16384


async def upload(url: str, *, spoil: bool = False) -> None:
    req = http.request(url, method="PUT", headers={"Trailer": "Content-Digest"})
    digest = hashlib.sha256(b"something else" if spoil else b"")
    for piece in pieces():
        digest.update(piece)
        if not await req.write(piece):  # waits while the server is slower than we are
            break  # it has answered already: the rest would be thrown away
    await req.end(trailers={"Content-Digest": content_digest(digest.digest())})
    async with req as res:
        print(res.status_code, (await res.read()).decode())


async def main() -> None:
    async with http.create_server(store) as server:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}/file"
        await upload(url)
        await upload(url, spoil=True)


if __name__ == "__main__":
    asyncio.run(main())
