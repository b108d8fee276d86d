"""A new agent just for one request (Class: http.Agent, ``agent: false``).

Prints:
    200 connection: close
    agent of its own: True
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end("hello")


async def main() -> None:
    async with http.create_server(hello) as server:
        await server.listen(8000, "127.0.0.1")
        req = http.get(
            hostname="127.0.0.1",
            port=8000,
            path="/",
            agent=False,  # create a new agent just for this one request
        )
        async with req as res:
            print(res.status_code, "connection:", res.headers["connection"])
        print("agent of its own:", req.agent is not http.global_agent)


if __name__ == "__main__":
    asyncio.run(main())
