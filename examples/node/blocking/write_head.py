# Made from examples/node/awaiting/write_head.py by tools/make_blocking.py; change that one.
"""The head of a response (response.writeHead(); response.statusCode; response.statusMessage).

Prints:
    200 OK
    {'content-length': '11', 'content-type': 'text/plain', ...}
    b'hello world'
    404 Not found
    304 Not Modified b''
"""

from __future__ import annotations

from anywire.sync import http


def app(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    if request.url == "/":
        body = "hello world"
        # Content-Length counts bytes, not characters.
        response.write_head(200, {"Content-Length": len(body.encode()), "Content-Type": "text/plain"})
        response.end(body)
    elif request.url == "/cached":
        response.write_head(304)
        response.end()
    else:
        response.status_code = 404
        response.status_message = "Not found"
        response.end()


def main() -> None:
    with http.create_server(app) as server:
        server.listen(8000, "127.0.0.1")
        url = "http://127.0.0.1:8000"
        with http.get(f"{url}/") as res:
            print(res.status_code, res.status_message)
            print(res.headers)
            print(res.read())
        with http.get(f"{url}/nothing") as res:
            print(res.status_code, res.status_message)
        with http.get(f"{url}/cached") as res:
            print(res.status_code, res.status_message, res.read())


if __name__ == "__main__":
    main()
