# Made from examples/node/awaiting/keep_alive_agent.py by tools/make_blocking.py; change that one.
"""A custom Agent that keeps sockets (new Agent([options]); agent.destroy(); agent.freeSockets, requests, sockets).

Prints:
    under way: 1, waiting: 2
    hello /one on the same socket: False
    hello /two on the same socket: True
    hello /three on the same socket: True
    127.0.0.1:8000: has 1 free socket
    destroyed: {}
"""

from __future__ import annotations

from anywire.sync import http


def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.end(f"hello {req.url}")


def main() -> None:
    with http.create_server(hello) as server:
        server.listen(8000, "127.0.0.1")
        options = {"host": "127.0.0.1", "port": 8000}

        keep_alive_agent = http.Agent(keep_alive=True, max_sockets=1)
        name = keep_alive_agent.get_name(options)
        options["agent"] = keep_alive_agent

        requests = [http.get(options, path=path) for path in ("/one", "/two", "/three")]
        print(f"under way: {len(keep_alive_agent.sockets[name])}, waiting: {len(keep_alive_agent.requests[name])}")
        for req in requests:
            with req as res:
                print((res.read()).decode(), "on the same socket:", req.reused_socket)

        print(name, "has", len(keep_alive_agent.free_sockets[name]), "free socket")
        keep_alive_agent.destroy()  # or use it as a context manager
        print("destroyed:", keep_alive_agent.free_sockets)


if __name__ == "__main__":
    main()
