"""What came is no request (Event: 'clientError').

Prints:
    HPE_INVALID_METHOD at byte ... of b'HTP / GET\\r\\n\\r\\n'
    b'HTTP/1.1 400 Bad Request\\r\\n\\r\\n'
"""

from __future__ import annotations

import asyncio

from net_asyncio import connect

from anywire.asyncio import http


async def client_error(error: http.AnywireError, socket: http.Socket) -> None:
    # There is no request and no response; and nothing to say to a client that has gone.
    if error.code == "ECONNRESET" or socket.destroyed:
        await socket.close()
        return
    if isinstance(error, http.ParseError):
        print(error.code, "at byte", error.bytes_parsed, "of", error.raw_packet)
    await socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")
    await socket.close()


async def main() -> None:
    async with http.create_server() as server:
        server.on("client_error", client_error)
        await server.listen(8000, "127.0.0.1")
        async with await connect(8000, "127.0.0.1") as socket:
            await socket.send(b"HTP / GET\r\n\r\n")
            print(await socket.receive())


if __name__ == "__main__":
    asyncio.run(main())
