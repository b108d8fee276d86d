# Made from examples/node/awaiting/complete.py by tools/make_blocking.py; change that one.
"""A connection that ends before the message does (message.complete; Event: 'aborted').

Prints:
    b'whole' complete: True
    aborted
    The connection was terminated while the message was still being sent
    complete: False, of it came b'ha'
"""

from __future__ import annotations

from anywire.sync import http


def send(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    if req.url == "/half":
        res.write_head(200, {"Content-Length": 4})
        res.write("ha")
        res.destroy()
        return
    res.end("whole")


def main() -> None:
    with http.create_server(send) as server:
        server.listen(8000, "127.0.0.1")
        for path in ("/whole", "/half"):
            req = http.request(host="127.0.0.1", port=8000, method="POST", path=path)
            req.end()
            with req as res:
                res.on("aborted", lambda: print("aborted"))
                try:
                    print(res.read(), "complete:", res.complete)
                except http.TruncatedError as error:
                    print("The connection was terminated while the message was still being sent")
                    print(f"complete: {res.complete}, of it came {error.partial!r}")


if __name__ == "__main__":
    main()
