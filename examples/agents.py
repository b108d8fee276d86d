"""Agents: a connection for one request, a pool with limits, and what the pool says about itself."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"hello {req.url}")


async def fetch(url: str, agent: http.Agent) -> bytes:
    async with http.get(url, agent=agent) as res:
        return bytes(await res.read())


async def main() -> None:
    async with http.create_server(hello) as server:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}"

        # A new Agent with default values for one request: its connection is closed after it.
        async with http.get(f"{url}/alone", agent=False) as res:
            print(await res.read(), "connection:", res.headers["connection"])

        # Ten requests at once on at most two connections, the others wait in line.
        async with http.Agent(keep_alive=True, max_sockets=2) as agent:
            tasks = [asyncio.create_task(fetch(f"{url}/{number}", agent)) for number in range(10)]
            await asyncio.sleep(0)  # lets them begin
            name = agent.get_name({"host": "127.0.0.1", "port": address[1]})
            print(f"under way: {len(agent.sockets[name])}, waiting: {len(agent.requests[name])}")
            bodies = await asyncio.gather(*tasks)
            print(bodies[0], "to", bodies[-1])
            stats = agent.total_stats()
            print(f"opened: {stats.created}, reused: {stats.reused}, idle now: {len(agent.free_sockets[name])}")

        stats = agent.total_stats()
        print(f"after leaving: idle: {stats.idle}, closed: {stats.closed}")


if __name__ == "__main__":
    asyncio.run(main())
