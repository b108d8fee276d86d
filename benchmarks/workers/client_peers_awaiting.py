"""Clients of others on uvloop: ``client_peers_awaiting.py aiohttp|httpx|httpx2|httpcore PORT``."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import uvloop
from asking import WARM, answer, crowd_of

kind, port = sys.argv[1], int(sys.argv[2])
library: Any = importlib.import_module(kind)
URL = f"http://127.0.0.1:{port}/"


@contextlib.asynccontextmanager
async def client(many: int) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """What gets the URL once, with at most so many connections."""
    if kind == "aiohttp":
        connector = library.TCPConnector(limit=many)
        async with library.ClientSession(connector=connector) as session:

            async def get() -> None:
                async with session.get(URL) as response:
                    await response.read()

            yield get
    elif kind == "httpcore":
        async with library.AsyncConnectionPool(max_connections=many) as pool:
            yield lambda: pool.request("GET", URL)
    else:
        limits = library.Limits(max_connections=many, max_keepalive_connections=many)
        async with library.AsyncClient(limits=limits, trust_env=False) as found:
            yield lambda: found.get(URL)


async def one(get: Callable[[], Awaitable[object]], due: float) -> int:
    count = 0
    while perf_counter() < due:
        await get()
        count += 1
    return count


async def measured(work: str, seconds: float) -> tuple[float, float]:
    many = crowd_of(work)
    async with client(many) as get:
        due = perf_counter() + WARM
        await asyncio.gather(*(one(get, due) for _ in range(many)))
        began = perf_counter()
        counts = await asyncio.gather(*(one(get, began + seconds) for _ in range(many)))
        return sum(counts), perf_counter() - began


with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    answer(lambda work, seconds: runner.run(measured(work, seconds)))
