"""The target of a request (message.url; message.method; message.httpVersion).

Prints:
    GET /status?name=ryan HTTP/1.1
    path='/status' query='name=ryan' hostname='127.0.0.1'
    {'name': ['ryan']}
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

from anywire.asyncio import http


async def status(request: http.IncomingMessage, response: http.ServerResponse) -> None:
    print(request.method, request.url, f"HTTP/{request.http_version}")
    url = urlsplit(f"http://{request.headers['host']}{request.url}")
    print(f"path={url.path!r} query={url.query!r} hostname={url.hostname!r}")
    print(parse_qs(url.query))
    await response.end()


async def main() -> None:
    async with http.create_server(status) as server:
        await server.listen(8000, "127.0.0.1")
        async with http.get("http://127.0.0.1:8000/status?name=ryan"):
            pass


if __name__ == "__main__":
    asyncio.run(main())
