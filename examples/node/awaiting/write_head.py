"""The head of a response (response.writeHead(); response.statusCode; response.statusMessage).

Prints:
    200 OK
    {'content-length': '11', 'content-type': 'text/plain', ...}
    b'hello world'
    404 Not found
    304 Not Modified b''
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def app(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    if request.url == "/":
        body = "hello world"
        # Content-Length counts bytes, not characters.
        response.write_head(200, {"Content-Length": len(body.encode()), "Content-Type": "text/plain"})
        await response.end(body)
    elif request.url == "/cached":
        response.write_head(304)
        await response.end()
    else:
        response.status_code = 404
        response.status_message = "Not found"
        await response.end()


async def main() -> None:
    async with http.create_server(app) as server:
        await server.listen(8000, "127.0.0.1")
        url = "http://127.0.0.1:8000"
        async with http.get(f"{url}/") as res:
            print(res.status_code, res.status_message)
            print(res.headers)
            print(await res.read())
        async with http.get(f"{url}/nothing") as res:
            print(res.status_code, res.status_message)
        async with http.get(f"{url}/cached") as res:
            print(res.status_code, res.status_message, await res.read())


if __name__ == "__main__":
    asyncio.run(main())
