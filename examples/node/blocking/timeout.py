# Made from examples/node/awaiting/timeout.py by tools/make_blocking.py; change that one.
"""Silence (request.setTimeout(); Event: 'timeout'; server.setTimeout()).

Prints:
    the request has been idle: abort it
    ECONNRESET aborted: True
    without a listener: ETIMEDOUT
    the server gives up on an idle client
    b''
"""

from __future__ import annotations

from net_sync import connect

from anywire.sync import http


def never(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    """Leaves the client waiting."""
    res.flush_headers()


def main() -> None:
    with http.create_server(never) as server, http.create_server(never) as impatient:
        server.listen(8000, "127.0.0.1")

        # With a listener a timeout only notifies: the request must be aborted by hand.
        req = http.get(host="127.0.0.1", port=8000)

        @req.on("timeout")
        def timeout() -> None:
            print("the request has been idle: abort it")
            req.abort()

        req.set_timeout(0.1)
        try:
            with req as res:
                res.read()
        except http.AnywireError as error:
            print(error.code, "aborted:", req.aborted)

        try:
            with http.get(host="127.0.0.1", port=8000, timeout=0.1) as res:
                res.read()
        except http.TimedOut as error:
            print("without a listener:", error.code)

        def idle(socket: http.Socket) -> None:
            print("the server gives up on an idle client")
            socket.destroy()

        impatient.set_timeout(0.1, idle)
        impatient.listen(8080, "127.0.0.1")
        with connect(8080, "127.0.0.1") as socket:
            print(socket.receive())


if __name__ == "__main__":
    main()
