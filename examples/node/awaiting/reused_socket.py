"""A server that closes an idle connection while a request is on its way, and what to do (request.reusedSocket).

Prints:
    b'one' reused: False
    ECONNRESET reused: True
    b'two' reused: False
    and by default: b'three'
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http

used: set[http.Socket] = set()


async def once(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    """Answers the first request of a connection, and closes at the next: a client that reuses it comes too late."""
    if req.socket in used:
        req.socket.destroy()
        return
    used.add(req.socket)
    await res.end(req.url.strip("/"))


async def retriable_request(url: str, agent: http.Agent) -> None:
    req = http.get(url, agent=agent, replay=False)
    try:
        async with req as res:
            print(await res.read(), "reused:", req.reused_socket)
    except http.ConnectionLost as error:
        print(error.code, "reused:", req.reused_socket)
        # Check if retry is needed
        if req.reused_socket and error.code == "ECONNRESET":
            await retriable_request(url, agent)


async def main() -> None:
    async with http.create_server(once) as server, http.Agent(keep_alive=True) as agent:
        await server.listen(8000, "127.0.0.1")
        url = "http://127.0.0.1:8000"
        await retriable_request(f"{url}/one", agent)
        await retriable_request(f"{url}/two", agent)
        # Without replay=False anywire does that by itself, for requests that may safely be sent twice.
        async with http.get(f"{url}/three", agent=agent) as res:
            print("and by default:", await res.read())


if __name__ == "__main__":
    asyncio.run(main())
