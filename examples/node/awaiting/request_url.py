"""A URL in place of options, and options beside it (http.request(url[, options][, callback])).

Prints:
    GET /p?q=1 authorization: Basic YWJjOnh5eg==
    POST /p?q=1 authorization: None
    GET /other authorization: Basic ZGVmOnV2dw==
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from anywire.asyncio import http


async def show(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(f"{req.method} {req.url} authorization: {req.headers.get('authorization')}")


async def main() -> None:
    async with http.create_server(show) as server:
        await server.listen(8000, "127.0.0.1")
        for req in (
            http.request(urlsplit("http://abc:xyz@127.0.0.1:8000/p?q=1")),
            http.request("http://127.0.0.1:8000/p?q=1", method="POST"),
            http.request("http://127.0.0.1:8000/p?q=1", path="/other", auth="def:uvw"),
        ):
            async with req as res:
                print((await res.read()).decode())


if __name__ == "__main__":
    asyncio.run(main())
