"""What the examples need of Node's ``net``: TCP connections that know nothing of HTTP."""

from __future__ import annotations

from typing import Any, Self

import trio


class Socket:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.send = stream.send_all
        self.send_eof = stream.send_eof

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some(65536))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stream.aclose()


async def connect(port: int, host: str) -> Socket:
    return Socket(await trio.open_tcp_stream(host, port))


async def join(one: Any, other: Any) -> None:
    """Carry bytes both ways, until both have ended."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_carry, one, other)
        nursery.start_soon(_carry, other, one)


async def _carry(source: Any, target: Any) -> None:
    while data := await source.receive():
        await target.send(data)
    await target.send_eof()
