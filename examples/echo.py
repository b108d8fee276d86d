"""A server that sends every body back as it arrives, and a client that talks to it."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def echo(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200, {"Content-Type": "text/plain"})
    async for piece in req:  # one piece in memory at a time, however long the body is
        await res.write(piece)
    await res.end()


async def main() -> None:
    async with http.create_server(echo) as server, http.Agent(keep_alive=True) as agent:
        await server.listen(0, "127.0.0.1")  # port 0: any free one
        address = server.address()
        assert isinstance(address, tuple)  # a str for Unix sockets, None when not listening
        url = f"http://127.0.0.1:{address[1]}/"

        async with http.get(url, agent=agent) as res:
            print("GET ", res.status_code, res.headers["content-type"], await res.read())

        req = http.request(url, method="POST", agent=agent)
        await req.write("hello, ")
        await req.end("world")
        async with req as res:
            print("POST", res.status_code, await res.read(), "on the same connection:", req.reused_socket)


if __name__ == "__main__":
    asyncio.run(main())
