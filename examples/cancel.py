"""Cancel a request: its connection is given up at once, its place in the Agent is free, and the server notices."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def main() -> None:
    noticed = asyncio.Event()

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        if req.url == "/quick":
            await res.end("here you are")
            return
        res.on("close", noticed.set)  # a handler is not cancelled; it is told
        await res.write("a moment, please")
        await noticed.wait()
        print("server: the client left, aborted:", req.aborted)

    async with http.create_server(handler) as server, http.Agent(keep_alive=True, max_sockets=1) as agent:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}"

        try:
            async with asyncio.timeout(10.0) as limit, http.get(f"{url}/slow", agent=agent) as res:
                print("client:", await res.read(100))
                limit.reschedule(asyncio.get_running_loop().time() + 0.1)  # the rest had better be quick
                await res.read()
        except TimeoutError:  # asyncio's own: anywire cleans up, and lets a cancellation pass
            stats = agent.total_stats()
            print(f"client: cancelled; active: {stats.active}, idle: {stats.idle}")

        await noticed.wait()
        async with http.get(f"{url}/quick", agent=agent) as res:  # max_sockets is 1: the place is free again
            print("client:", res.status_code, await res.read())


if __name__ == "__main__":
    asyncio.run(main())
