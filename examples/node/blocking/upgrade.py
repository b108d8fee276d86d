# Made from examples/node/awaiting/upgrade.py by tools/make_blocking.py; change that one.
"""A client and server pair that goes over to another protocol (Event: 'upgrade').

Prints:
    got upgraded!
    101 Web Socket Protocol Handshake
    b'echo back'
"""

from __future__ import annotations

from anywire.sync import http


def okay(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200, {"Content-Type": "text/plain"})
    res.end("okay")


def upgrade(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    with socket:
        socket.send("HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n")
        socket.send(head)
        for chunk in socket:
            socket.send(chunk)  # echo back


def main() -> None:
    with http.create_server(okay) as server:
        server.on("upgrade", upgrade)
        server.listen(8000, "127.0.0.1")

        # make a request
        req = http.request(host="127.0.0.1", port=8000, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        res, socket, upgrade_head = req.upgraded()
        print("got upgraded!")
        print(res.status_code, res.status_message)
        with socket:
            socket.send("echo back")
            socket.send_eof()
            echo = upgrade_head
            for chunk in socket:
                echo += chunk
            print(echo)


if __name__ == "__main__":
    main()
