# Made from examples/node/awaiting/request_headers.py by tools/make_blocking.py; change that one.
"""Fields of a request, until it is sent (request.setHeader(), getHeader(), removeHeader()).

Prints:
    text/html
    11 <class 'int'>
    ['type=ninja', 'language=javascript']
    None
    the server got text/plain, 11 bytes, cookie type=ninja; language=javascript
    headers were sent: True ERR_HTTP_HEADERS_SENT
"""

from __future__ import annotations

from anywire.sync import http


def show(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    fields = req.headers
    print(f"the server got {fields['content-type']}, {fields['content-length']} bytes, cookie {fields['cookie']}")
    res.end()


def main() -> None:
    with http.create_server(show) as server:
        server.listen(8000, "127.0.0.1")
        body = b"hello world"
        request = http.request(host="127.0.0.1", port=8000, method="POST")

        request.set_header("content-type", "text/html")
        request.set_header("Content-Length", len(body))
        request.set_header("Cookie", ["type=ninja", "language=javascript"])

        print(request.get_header("Content-Type"))
        # Values have the type that was given to set_header.
        content_length = request.get_header("Content-Length")
        print(content_length, type(content_length))
        print(request.get_header("Cookie"))

        request.remove_header("Content-Type")
        print(request.get_header("Content-Type"))
        request.set_header("Content-Type", "text/plain")

        request.end(body)
        with request:
            try:
                request.set_header("X-Late", "1")
            except http.StateError as error:
                print("headers were sent:", request.headers_sent, error.code)


if __name__ == "__main__":
    main()
