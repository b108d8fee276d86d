"""Which events come, and in which order (http.request, the lists at its end).

One differs from Node: where nobody can be reached no ``socket`` comes, because there never was one.

Prints:
    success: socket, response, data, end, close, close of the response
    connection error: error ECONNREFUSED, close
    closed before the answer: socket, error ECONNRESET, close
    closed inside the answer: socket, response, data, aborted, close, close of the response
    abort() before there is a socket: abort, close
    abort() inside the answer: socket, response, data, abort, aborted, close, close of the response
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    if req.url == "/nothing":
        req.socket.destroy()
        return
    res.write_head(200, {"Content-Length": 5})
    await res.write("start" if req.url == "/all" else "sta")
    if req.url == "/half":
        res.destroy()
    elif req.url == "/all":
        await res.end()


async def show(course: str, url: str) -> None:
    """One request, told by its events."""
    events = []
    req = http.request(url)
    req.on("socket", lambda _: events.append("socket"))
    req.on("abort", lambda: events.append("abort"))
    req.on("error", lambda error: events.append(f"error {error.code}"))
    req.on("close", lambda: events.append("close"))

    @req.on("response")
    def response(res: http.IncomingMessage) -> None:
        events.append("response")
        res.on("data", lambda _: events.append("data"))
        res.on("aborted", lambda: events.append("aborted"))
        res.on("end", lambda: events.append("end"))
        res.on("close", lambda: events.append("close of the response"))

    try:
        if course == "abort() before there is a socket":
            req.abort()
        async with req as res:
            async for _ in res:
                if course == "abort() inside the answer":
                    req.abort()
    except http.AnywireError:
        pass  # the same as the event says
    print(f"{course}: {', '.join(events)}")


async def main() -> None:
    async with http.create_server(app) as server:
        await server.listen(8000, "127.0.0.1")
        url = "http://127.0.0.1:8000"
        await show("success", f"{url}/all")
        await show("connection error", "http://127.0.0.1:1/")
        await show("closed before the answer", f"{url}/nothing")
        await show("closed inside the answer", f"{url}/half")
        await show("abort() before there is a socket", f"{url}/all")
        await show("abort() inside the answer", f"{url}/open")


if __name__ == "__main__":
    asyncio.run(main())
