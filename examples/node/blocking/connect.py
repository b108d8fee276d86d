# Made from examples/node/awaiting/connect.py by tools/make_blocking.py; change that one.
"""An HTTP tunneling proxy, and a request over a tunnel (Event: 'connect').

Prints:
    got connected!
    HTTP/1.1 200 OK
    Content-Type: text/plain
    Date: ...
    Connection: close
    Content-Length: 7

    okay, /
"""

from __future__ import annotations

from urllib.parse import urlsplit

from net_sync import connect, join

from anywire.sync import http


def okay(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.set_header("Content-Type", "text/plain")
    res.end(f"okay, {req.url}")


def tunnel(req: http.IncomingMessage, client_socket: http.Socket, head: bytes) -> None:
    # Connect to an origin server. For real use, check first whom a client may reach.
    url = urlsplit(f"http://{req.url}")
    with client_socket, connect(url.port or 80, str(url.hostname)) as server_socket:
        client_socket.send("HTTP/1.1 200 Connection Established\r\nProxy-agent: anywire\r\n\r\n")
        server_socket.send(head)
        join(client_socket, server_socket)


def main() -> None:
    with http.create_server(okay) as origin, http.create_server(okay) as proxy:
        proxy.on("connect", tunnel)
        origin.listen(8080, "127.0.0.1")
        proxy.listen(8000, "127.0.0.1")

        # Make a request to a tunneling proxy
        req = http.request(host="127.0.0.1", port=8000, method="CONNECT", path="127.0.0.1:8080")
        _, socket, head = req.upgraded()
        print("got connected!")

        # Make a request over an HTTP tunnel
        with socket:
            socket.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = head
            for chunk in socket:
                answer += chunk
            print(answer.decode())


if __name__ == "__main__":
    main()
