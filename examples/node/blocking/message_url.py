# Made from examples/node/awaiting/message_url.py by tools/make_blocking.py; change that one.
"""The target of a request (message.url; message.method; message.httpVersion).

Prints:
    GET /status?name=ryan HTTP/1.1
    path='/status' query='name=ryan' hostname='127.0.0.1'
    {'name': ['ryan']}
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from anywire.sync import http


def status(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    print(request.method, request.url, f"HTTP/{request.http_version}")
    url = urlsplit(f"http://{request.headers['host']}{request.url}")
    print(f"path={url.path!r} query={url.query!r} hostname={url.hostname!r}")
    print(parse_qs(url.query))
    response.end()


def main() -> None:
    with http.create_server(status) as server:
        server.listen(8000, "127.0.0.1")
        with http.get("http://127.0.0.1:8000/status?name=ryan"):
            pass


if __name__ == "__main__":
    main()
