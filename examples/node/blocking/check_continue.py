# Made from examples/node/awaiting/check_continue.py by tools/make_blocking.py; change that one.
"""A body that is sent when the server says so (Events: 'checkContinue', 'continue', 'checkExpectation').

Prints:
    500 bytes: continue
    200 500 bytes came
    5000 bytes: 413 too much
    417 nobody knows what 200-maybe means
"""

from __future__ import annotations

from anywire.sync import http


def check_continue(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    if int(str(req.headers["content-length"])) > 1000:
        res.write_head(413)
        res.end("too much")
        return
    res.write_continue()
    res.end(f"{len(req.read())} bytes came")


def check_expectation(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(417)
    res.end(f"nobody knows what {req.headers['expect']} means")


def upload(size: int) -> None:
    print(f"{size} bytes: ", end="")
    headers = {"Expect": "100-continue", "Content-Length": size}
    req = http.request("http://127.0.0.1:8000/", method="PUT", headers=headers)

    @req.on("continue")
    def send() -> None:
        print("continue")
        req.end_nowait(bytes(size))

    req.flush_headers()
    with req as res:
        print(res.status_code, (res.read()).decode())


def main() -> None:
    with http.create_server() as server:
        server.on("check_continue", check_continue)
        server.on("check_expectation", check_expectation)
        server.listen(8000, "127.0.0.1")
        upload(500)
        upload(5000)
        with http.get("http://127.0.0.1:8000/", headers={"Expect": "200-maybe"}) as res:
            print(res.status_code, (res.read()).decode())


if __name__ == "__main__":
    main()
