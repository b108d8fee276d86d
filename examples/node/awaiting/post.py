"""Send a form and read the answer (http.request(options[, callback])).

Prints:
    STATUS: 200
    HEADERS: {"content-type": "text/plain", ...}
    BODY: msg is Hello World!
    No more data in response.
    problem with request: connect ECONNREFUSED 127.0.0.1:8000
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import parse_qs, urlencode

from anywire.asyncio import http


async def upload(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    form = parse_qs((await req.read()).decode())
    res.write_head(200, {"Content-Type": "text/plain"})
    await res.end(f"msg is {form['msg'][0]}")


async def send() -> None:
    post_data = urlencode({"msg": "Hello World!"}).encode()
    req = http.request(
        hostname="127.0.0.1",
        port=8000,
        path="/upload",
        method="POST",
        headers={"Content-Type": "application/x-www-form-urlencoded", "Content-Length": len(post_data)},
    )
    try:
        # Write data to request body
        await req.write(post_data)
        await req.end()
        async with req as res:
            print(f"STATUS: {res.status_code}")
            print(f"HEADERS: {json.dumps(res.headers)}")
            async for chunk in res:
                print(f"BODY: {chunk.decode()}")
            print("No more data in response.")
    except http.AnywireError as error:
        print(f"problem with request: {error.message}")


async def main() -> None:
    async with http.create_server(upload) as server:
        await server.listen(8000, "127.0.0.1")
        await send()
    await send()  # nobody listens there any more


if __name__ == "__main__":
    asyncio.run(main())
