"""Switch a connection to a protocol of your own: here one that echoes lines."""

from __future__ import annotations

import asyncio

from anywire.asyncio import http


async def upgrade(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
    """The server's side. From here on nothing on this connection is HTTP, and the socket is ours to close."""
    async with socket:
        if req.headers["upgrade"] != "echo":
            await socket.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            return
        await socket.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        await socket.send(head)  # what the client sent without waiting for the 101
        async for data in socket:  # until its FIN
            await socket.send(data)
        await socket.send_eof()


async def plain(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end("not upgraded")


async def main() -> None:
    async with http.create_server(plain) as server:
        server.on("upgrade", upgrade)
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        url = f"http://127.0.0.1:{address[1]}/"

        req = http.request(url, headers={"Connection": "Upgrade", "Upgrade": "echo"})
        message, socket, head = await req.upgraded()
        print(message.status_code, message.headers["upgrade"])
        async with socket:
            for line in ("one\n", "two\n"):
                await socket.send(line)
                received = head
                head = b""
                while not received.endswith(b"\n"):
                    received += await socket.receive()
                print("echo:", received)
            await socket.send_eof()
            print("the server's end:", await socket.receive())

        async with http.get(url) as res:  # the server still speaks HTTP on other connections
            print(res.status_code, await res.read())


if __name__ == "__main__":
    asyncio.run(main())
