# Made from examples/node/awaiting/agent_false.py by tools/make_blocking.py; change that one.
"""A new agent just for one request (Class: http.Agent, ``agent: false``).

Prints:
    200 connection: close
    agent of its own: True
"""

from __future__ import annotations

from anywire.sync import http


def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.end("hello")


def main() -> None:
    with http.create_server(hello) as server:
        server.listen(8000, "127.0.0.1")
        req = http.get(
            hostname="127.0.0.1",
            port=8000,
            path="/",
            agent=False,  # create a new agent just for this one request
        )
        with req as res:
            print(res.status_code, "connection:", res.headers["connection"])
        print("agent of its own:", req.agent is not http.global_agent)


if __name__ == "__main__":
    main()
