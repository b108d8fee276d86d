# Made from examples/node/awaiting/agent_hooks.py by tools/make_blocking.py; change that one.
"""An Agent that decides which sockets are kept (agent.keepSocketAlive(socket); agent.reuseSocket(socket, request)).

Prints:
    GET /: reused: False
    may it be kept? yes
    it is used again for GET
    GET /: reused: True
    may it be kept? no
    GET /: reused: False
    may it be kept? yes
"""

from __future__ import annotations

from typing import Any

from anywire.sync import http


class TwiceAgent(http.Agent):
    """Each socket carries two requests."""

    kept: Any = None

    def keep_socket_alive(self, connection: Any) -> bool:
        first_time = connection is not self.kept
        self.kept = connection
        print("may it be kept?", "yes" if first_time else "no")
        return first_time

    def reuse_socket(self, connection: Any, request: Any) -> None:
        print("it is used again for", request.method)


def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.end("hello")


def main() -> None:
    with http.create_server(hello) as server, TwiceAgent(keep_alive=True) as agent:
        server.listen(8000, "127.0.0.1")
        for _ in range(3):
            req = http.get("http://127.0.0.1:8000/", agent=agent)
            with req as res:
                print(f"GET {req.path}: reused: {req.reused_socket}")
                res.read()


if __name__ == "__main__":
    main()
