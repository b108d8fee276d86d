"""The floor of a client: bare sockets that do no HTTP. ``client_floor.py asyncio|uvloop|trio|gevent|threads PORT``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

from asking import answer, crowd_of
from crowds import measured

kind, port = sys.argv[1], int(sys.argv[2])
REQUEST = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
END = b"Hello, World!\n"


class Floor(asyncio.Protocol):
    """Sends the next request whenever an answer is complete."""

    def __init__(self) -> None:
        self.count = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        if data.endswith(END):
            self.count += 1
            self.transport.write(REQUEST)


async def protocols(work: str, seconds: float) -> tuple[float, float]:
    loop, found = asyncio.get_running_loop(), list[Floor]()
    for _ in range(crowd_of(work)):
        _, protocol = await loop.create_connection(Floor, "127.0.0.1", port)
        found.append(protocol)
    before, began = sum(each.count for each in found), perf_counter()
    await asyncio.sleep(seconds)
    count, took = sum(each.count for each in found) - before, perf_counter() - began
    for each in found:
        each.transport.abort()
    return count, took


async def streams(work: str, seconds: float) -> tuple[float, float]:
    import trio

    counts: list[int] = []

    async def one(due: float) -> None:
        count = 0
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            while perf_counter() < due:
                await stream.send_all(REQUEST)
                while not (await stream.receive_some(65536)).endswith(END):
                    pass
                count += 1
        counts.append(count)

    began = perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(crowd_of(work)):
            nursery.start_soon(one, began + seconds)
    return sum(counts), perf_counter() - began


def blocking() -> Callable[[], None]:
    socket: Any = importlib.import_module("gevent.socket" if kind == "gevent" else "socket")
    sock = socket.create_connection(("127.0.0.1", port))

    def get() -> None:
        sock.sendall(REQUEST)
        while not sock.recv(65536).endswith(END):
            pass

    return get


if kind == "trio":
    import trio

    answer(lambda work, seconds: trio.run(streams, work, seconds))
elif kind in ("gevent", "threads"):
    answer(lambda work, seconds: measured(work, seconds, blocking, greenlets=kind == "gevent"))
else:
    factory = importlib.import_module("uvloop").new_event_loop if kind == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        answer(lambda work, seconds: runner.run(protocols(work, seconds)))
