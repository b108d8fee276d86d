"""SIGTERM: nobody can connect any more, what is under way finishes, then the server is gone."""

from __future__ import annotations

import asyncio
import os
import signal

from anywire.asyncio import http


async def serve(ready: asyncio.Future[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def slow(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await res.write("first half, ")
        await stop.wait()  # some work that is not done when the signal comes
        await res.end("second half")

    async with http.create_server(slow) as server:
        server.grace = 10.0  # seconds that exchanges under way get when the block is left
        server.on("close", lambda: print("server: every connection is gone"))
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        ready.set_result(f"http://127.0.0.1:{address[1]}/")
        await stop.wait()
        print("server: SIGTERM")


async def main() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(ready))
    url = await ready
    async with http.get(url) as res:
        print("client:", await res.read(100))
        os.kill(os.getpid(), signal.SIGTERM)  # what systemd, Docker or `kill` would do
        print("client:", await res.read())
    try:
        async with http.get(url) as res:
            print("client:", res.status_code)
    except ConnectionRefusedError as error:
        print("client:", str(error).partition(" 127")[0])
    await serving


if __name__ == "__main__":
    asyncio.run(main())
