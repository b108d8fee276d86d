"""Every wait has a limit of its own, and the error says which one ran out."""

from __future__ import annotations

import asyncio
from typing import Unpack

from anywire.asyncio import http
from anywire.core import RequestKeywords


async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    gone = asyncio.Event()
    res.on("close", gone.set)  # the client left, or the response is out
    if req.url == "/half":
        await res.write("half of it")
    if req.url != "/":
        await gone.wait()  # and never answer
    else:
        await res.end("fine")


async def fetch(url: str, **limits: Unpack[RequestKeywords]) -> None:
    try:
        async with http.get(url, **limits) as res:
            print(limits, "->", res.status_code, await res.read())
    except http.TimedOut as error:  # also a TimeoutError
        print(limits, "->", error.code, "in phase", error.phase)
    except http.ConnectError as error:  # also an OSError, here a ConnectionRefusedError
        print(limits, "->", error.code, "in phase", error.phase)
    except http.AnywireError as error:  # whatever else the server or the network did
        print(limits, "->", type(error).__name__, error.code)


async def main() -> None:
    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}"

        await fetch(f"{url}/", deadline=10.0)
        await fetch(f"{url}/silent", head_timeout=0.1)  # no answer
        await fetch(f"{url}/half", idle_timeout=0.1)  # the body stopped
        await fetch(f"{url}/half", deadline=0.2)  # all of it together
        await fetch(f"{url}/silent", timeout=0.1)  # Node's: silence on the socket

        # With a `timeout` listener that is no error, only news: the listener decides.
        req = http.request(f"{url}/silent")
        req.set_timeout(0.1, lambda: req.destroy(TimeoutError("given up")))
        try:
            await req
        except TimeoutError as error:
            print("listener ->", error)
    await fetch(url, connect_timeout=5.0)  # nobody listens there any more


if __name__ == "__main__":
    asyncio.run(main())
