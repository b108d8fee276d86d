# Made from examples/node/awaiting/client_error.py by tools/make_blocking.py; change that one.
"""What came is no request (Event: 'clientError').

Prints:
    HPE_INVALID_METHOD at byte ... of b'HTP / GET\\r\\n\\r\\n'
    b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'
"""

from __future__ import annotations

from net_sync import connect

from anywire.sync import http


def client_error(error: http.AnywireError, socket: http.Socket) -> None:
    # There is no request and no response; and nothing to say to a client that has gone.
    if error.code == "ECONNRESET" or socket.destroyed:
        socket.close()
        return
    if isinstance(error, http.ParseError):
        print(error.code, "at byte", error.bytes_parsed, "of", error.raw_packet)
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
    socket.close()


def main() -> None:
    with http.create_server() as server:
        server.on("client_error", client_error)
        server.listen(8000, "127.0.0.1")
        with connect(8000, "127.0.0.1") as socket:
            socket.send(b"HTP / GET\r\n\r\n")
            print(socket.receive())


if __name__ == "__main__":
    main()
