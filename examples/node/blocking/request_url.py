# Made from examples/node/awaiting/request_url.py by tools/make_blocking.py; change that one.
"""A URL in place of options, and options beside it (http.request(url[, options][, callback])).

Prints:
    GET /p?q=1 authorization: Basic YWJjOnh5eg==
    POST /p?q=1 authorization: None
    GET /other authorization: Basic ZGVmOnV2dw==
"""

from __future__ import annotations

from urllib.parse import urlsplit

from anywire.sync import http


def show(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.end(f"{req.method} {req.url} authorization: {req.headers.get('authorization')}")


def main() -> None:
    with http.create_server(show) as server:
        server.listen(8000, "127.0.0.1")
        for req in (
            http.request(urlsplit("http://abc:xyz@127.0.0.1:8000/p?q=1")),
            http.request("http://127.0.0.1:8000/p?q=1", method="POST"),
            http.request("http://127.0.0.1:8000/p?q=1", path="/other", auth="def:uvw"),
        ):
            with req as res:
                print((res.read()).decode())


if __name__ == "__main__":
    main()
