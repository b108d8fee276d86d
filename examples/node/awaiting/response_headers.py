"""Fields of a response, until it is sent (response.setHeader() and its relatives).

Prints:
    text/html
    11 <class 'int'>
    ['type=ninja', 'language=javascript']
    ['content-type', 'content-length', 'set-cookie', 'x']
    {'content-type': 'text/html', 'content-length': 11, 'set-cookie': ['type=ninja', 'language=javascript'], 'x': 'bar'}
    True False
    headers sent: False
    headers sent: True
    the client got text/plain ['type=ninja', 'language=javascript'] None
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def show(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    body = "hello wörl".encode()  # a Content-Length counts bytes
    response.set_header("Content-Type", "text/html")
    response.set_header("Content-Length", len(body))
    response.set_header("Set-Cookie", ["type=ninja", "language=javascript"])

    print(response.get_header("content-type"))
    content_length = response.get_header("Content-Length")
    print(content_length, type(content_length))
    print(response.get_header("set-cookie"))

    response.set_header("X", "bar")
    print(response.get_header_names())
    print(response.get_headers())
    print(response.has_header("content-type"), response.has_header("content-encoding"))
    response.remove_header("X")

    print("headers sent:", response.headers_sent)
    # What write_head is given goes before what was set.
    response.write_head(200, {"Content-Type": "text/plain"})
    print("headers sent:", response.headers_sent)
    await response.end(body)


async def main() -> None:
    async with http.create_server(show) as server:
        await server.listen(8000, "127.0.0.1")
        async with http.get("http://127.0.0.1:8000/") as res:
            fields = res.headers
            print("the client got", fields["content-type"], fields["set-cookie"], fields.get("x"))


if __name__ == "__main__":
    asyncio.run(main())
