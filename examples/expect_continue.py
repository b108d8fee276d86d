"""Ask before sending a large body: ``Expect: 100-continue``, accepted and refused."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http

LIMIT = 1000


async def decide(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    """Listens for `check_continue`; without such a listener every request is told to continue."""
    if int(str(req.headers["content-length"])) > LIMIT:
        res.write_head(413)
        await res.end(f"at most {LIMIT} bytes")
        return
    await res.write_continue()
    body = await req.read()
    await res.end(f"{len(body)} bytes came")


async def upload(url: str, body: bytes) -> None:
    req = http.request(url, method="PUT", headers={"Expect": "100-continue", "Content-Length": len(body)})

    @req.on("continue")
    def go_on() -> None:
        print(f"  100: sending {len(body)} bytes")
        req.end_nowait(body)

    await req.flush_headers()  # the head alone
    async with req as res:  # waits for the answer; `continue` comes before it, or not at all
        print(" ", res.status_code, (await res.read()).decode())


async def main() -> None:
    async with http.create_server() as server:
        server.on("check_continue", decide)
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}/"
        for size in (500, 5000):
            print(f"may I send {size} bytes?")
            await upload(url, bytes(size))


if __name__ == "__main__":
    asyncio.run(main())
