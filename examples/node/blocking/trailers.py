# Made from examples/node/awaiting/trailers.py by tools/make_blocking.py; change that one.
"""Fields that come after the body (response.addTrailers(headers); message.trailers).

Prints:
    200 Trailer: Content-MD5
    b'file data'
    {'content-md5': '7895bf4b8828b55ceaf47747b4bca667'}
"""

from __future__ import annotations

from anywire.sync import http


def send_file(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    response.write_head(200, {"Content-Type": "text/plain", "Trailer": "Content-MD5"})
    response.write("file data")
    response.add_trailers({"Content-MD5": "7895bf4b8828b55ceaf47747b4bca667"})
    response.end()


def main() -> None:
    with http.create_server(send_file) as server:
        server.listen(8000, "127.0.0.1")
        with http.get("http://127.0.0.1:8000/") as res:
            print(res.status_code, "Trailer:", res.headers["trailer"])
            print(res.read())
            print(res.trailers)


if __name__ == "__main__":
    main()
