# Made from examples/node/awaiting/headers.py by tools/make_blocking.py; change that one.
"""A message's fields, joined and as they were received (HTTP; message.headers; message.rawHeaders).

Prints:
    {'user-agent': 'this is invalid because there can be only one', 'host': '127.0.0.1:8000', 'accept': '*/*', ...}
    ['user-agent', 'this is invalid because there can be only one', 'User-Agent', ...]
    {'set-cookie': ['type=ninja', 'language=javascript'], 'x-list': 'a, b', ...}
"""

from __future__ import annotations

from anywire.sync import http


def show(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    print(req.headers)
    print(req.raw_headers)
    res.set_header("Set-Cookie", ["type=ninja", "language=javascript"])
    res.set_header("X-List", ["a", "b"])
    res.end()


def main() -> None:
    with http.create_server(show) as server:
        server.listen(8000, "127.0.0.1")
        headers = [
            ("user-agent", "this is invalid because there can be only one"),
            ("User-Agent", "curl/7.22.0"),
            ("Host", "127.0.0.1:8000"),
            ("ACCEPT", "*/*"),
        ]
        with http.get("http://127.0.0.1:8000/", headers=headers) as res:
            print(res.headers)


if __name__ == "__main__":
    main()
