"""What the examples need of Node's ``net``: TCP connections that know nothing of HTTP."""

from __future__ import annotations

import asyncio
from typing import Any, Self


class Socket:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def receive(self) -> bytes:
        return await self._reader.read(65536)

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def send_eof(self) -> None:
        self._writer.write_eof()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()


async def connect(port: int, host: str) -> Socket:
    return Socket(*await asyncio.open_connection(host, port))


async def join(one: Any, other: Any) -> None:
    """Carry bytes both ways, until both have ended."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_carry(one, other))
        tasks.create_task(_carry(other, one))


async def _carry(source: Any, target: Any) -> None:
    while data := await source.receive():
        await target.send(data)
    await target.send_eof()
