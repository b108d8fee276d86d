"""103 Early Hints: what a client may begin to load while the answer is still being made (RFC 8297)."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def page(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.write_early_hints({"Link": "</style.css>; rel=preload; as=style"})
    # ... here the page is made, which takes a while ...
    res.write_head(200, {"Content-Type": "text/html"})
    await res.end("<link rel=stylesheet href=/style.css>")


async def main() -> None:
    async with http.create_server(page) as server:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        req = http.get(f"http://127.0.0.1:{address[1]}/")

        @req.on("information")
        def hint(info: http.IncomingMessage) -> None:
            print(info.status_code, info.status_message, info.headers["link"])

        async with req as res:
            print(res.status_code, res.status_message, await res.read())


if __name__ == "__main__":
    asyncio.run(main())
