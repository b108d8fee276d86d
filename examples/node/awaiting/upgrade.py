"""A client and server pair that goes over to another protocol (Event: 'upgrade').

Prints:
    got upgraded!
    101 Web Socket Protocol Handshake
    b'echo back'
"""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def okay(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200, {"Content-Type": "text/plain"})
    await res.end("okay")


async def upgrade(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    async with socket:
        await socket.send(
            "HTTP/1.1 101 Web Socket Protocol Handshake\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
        )
        await socket.send(head)
        async for chunk in socket:
            await socket.send(chunk)  # echo back


async def main() -> None:
    async with http.create_server(okay) as server:
        server.on("upgrade", upgrade)
        await server.listen(8000, "127.0.0.1")

        # make a request
        req = http.request(host="127.0.0.1", port=8000, headers={"Connection": "Upgrade", "Upgrade": "websocket"})
        res, socket, upgrade_head = await req.upgraded()
        print("got upgraded!")
        print(res.status_code, res.status_message)
        async with socket:
            await socket.send("echo back")
            await socket.send_eof()
            echo = upgrade_head
            async for chunk in socket:
                echo += chunk
            print(echo)


if __name__ == "__main__":
    asyncio.run(main())
