"""A request that is to stay open for long leaves its Agent (Class: http.Agent).

Prints:
    b'first piece'
    1 socket in the agent
    agent_remove: no socket in the agent
    b'last piece'
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def slow(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.write("first piece")
    await res.end("last piece")


async def main() -> None:
    async with http.create_server(slow) as server, http.Agent(keep_alive=True, max_sockets=1) as agent:
        await server.listen(8000, "127.0.0.1")
        async with http.get("http://127.0.0.1:8000/", agent=agent) as res:
            print(await res.read(11))
            print(sum(map(len, agent.sockets.values())), "socket in the agent")
            res.socket.emit("agent_remove")
            print("agent_remove:", sum(map(len, agent.sockets.values())) or "no", "socket in the agent")
            print(await res.read())
            res.socket.destroy()  # it is ours now


if __name__ == "__main__":
    asyncio.run(main())
