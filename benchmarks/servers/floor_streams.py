"""The floor of a runtime: a server that does no HTTP. ``floor_streams.py RUNTIME PORT``.

RUNTIME is one of asyncio, uvloop, trio, gevent, threads, threads-slow.

It answers each empty line with the same bytes, by the means that its runtime offers for streams:
a protocol on asyncio, stream methods on trio, recv and sendall on gevent and in a thread per connection.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n\r\nHello, World!\n"
)
kind, port = sys.argv[1], int(sys.argv[2])


def asyncio_main() -> None:
    import asyncio

    class Floor(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if count := data.count(b"\r\n\r\n"):
                self.transport.write(RESPONSE * count)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Floor, "127.0.0.1", port, backlog=4096)
        await server.serve_forever()

    if kind == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())


def trio_main() -> None:
    import trio

    async def serve(stream: Any) -> None:
        stream.setsockopt(6, 1, 1)
        with contextlib.suppress(trio.BrokenResourceError):  # wrk resets what is open when time is over
            while data := await stream.receive_some(65536):
                if count := data.count(b"\r\n\r\n"):
                    await stream.send_all(RESPONSE * count)

    async def main() -> None:
        await trio.serve_tcp(serve, port, host="127.0.0.1", backlog=4096)

    trio.run(main)


def blocking_main(socket: Any, spawn: Any) -> None:
    def serve(sock: Any) -> None:
        sock.setsockopt(6, 1, 1)
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                if count := data.count(b"\r\n\r\n"):
                    sock.sendall(RESPONSE * count)
        sock.close()

    listener = socket.socket()  # gevent's create_server() makes one that is not gevent's
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(4096)
    while True:
        sock, _ = listener.accept()
        spawn(serve, sock)


def pool_main() -> None:
    """A thread per connection in a pool of 64, and a handler that blocks for 20 ms."""
    import socket
    import time
    from concurrent.futures import ThreadPoolExecutor

    def serve(sock: socket.socket) -> None:
        sock.setsockopt(6, 1, 1)
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(65536):
                if b"\r\n\r\n" in data:
                    time.sleep(0.02)
                    sock.sendall(RESPONSE)
        sock.close()

    pool = ThreadPoolExecutor(64)
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    while True:
        sock, _ = listener.accept()
        pool.submit(serve, sock)


if kind == "trio":
    trio_main()
elif kind == "gevent":
    import gevent
    import gevent.socket

    blocking_main(gevent.socket, gevent.spawn)
elif kind == "threads":
    import socket
    import threading

    blocking_main(socket, lambda serve, sock: threading.Thread(target=serve, args=(sock,), daemon=True).start())
elif kind == "threads-slow":
    pool_main()
else:
    asyncio_main()
