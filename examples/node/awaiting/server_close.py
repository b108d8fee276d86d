"""The life of a server (server.listen(); server.listening; server.close([callback])).

Prints:
    listening: False
    listening on ('127.0.0.1', 8000): True
    connections: 1
    connection: close
    closed, listening: False
    not running: ERR_SERVER_NOT_RUNNING
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    print("connections:", req.socket.server.get_connections())
    await res.end("hello")


async def main() -> None:
    server = http.create_server(hello)
    print("listening:", server.listening)

    def listening() -> None:
        print(f"listening on {server.address()}: {server.listening}")

    await server.listen(8000, "127.0.0.1", callback=listening)
    async with http.get("http://127.0.0.1:8000/") as res:
        print("connection:", res.headers["connection"])
    # Nobody can connect from here on; it returns when every exchange is over, in 5 seconds at the latest.
    await server.close(5.0, lambda: print("closed, listening:", server.listening))
    await server.close(callback=lambda error: print("not running:", error.code))


if __name__ == "__main__":
    asyncio.run(main())
