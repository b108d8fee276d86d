# Made from examples/node/awaiting/sockets.py by tools/make_blocking.py; change that one.
"""Both ends of a connection (request.socket; response.socket).

Prints:
    Your IP address is 127.0.0.1 and your source port is ...
    and the server says the same: True
"""

from __future__ import annotations

from anywire.sync import http


def who(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    ip = res.socket.remote_address
    port = res.socket.remote_port
    res.end(f"Your IP address is {ip} and your source port is {port}.")


def main() -> None:
    with http.create_server(who) as server:
        server.listen(8000, "127.0.0.1")
        req = http.get(host="127.0.0.1", port=8000)
        with req as res:
            ip = req.socket.local_address
            port = req.socket.local_port
            text = f"Your IP address is {ip} and your source port is {port}."
            print(text)
            print("and the server says the same:", (res.read()).decode() == text)


if __name__ == "__main__":
    main()
