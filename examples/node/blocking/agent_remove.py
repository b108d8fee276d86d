# Made from examples/node/awaiting/agent_remove.py by tools/make_blocking.py; change that one.
"""A request that is to stay open for long leaves its Agent (Class: http.Agent).

Prints:
    b'first piece'
    1 socket in the agent
    agent_remove: no socket in the agent
    b'last piece'
"""

from __future__ import annotations

from anywire.sync import http


def slow(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write("first piece")
    res.end("last piece")


def main() -> None:
    with http.create_server(slow) as server, http.Agent(keep_alive=True, max_sockets=1) as agent:
        server.listen(8000, "127.0.0.1")
        with http.get("http://127.0.0.1:8000/", agent=agent) as res:
            print(res.read(11))
            print(sum(map(len, agent.sockets.values())), "socket in the agent")
            res.socket.emit("agent_remove")
            print("agent_remove:", sum(map(len, agent.sockets.values())) or "no", "socket in the agent")
            print(res.read())
            res.socket.destroy()  # it is ours now


if __name__ == "__main__":
    main()
