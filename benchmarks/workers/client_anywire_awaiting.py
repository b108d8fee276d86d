"""anywire's client on asyncio, uvloop or trio: ``client_anywire_awaiting.py RUNTIME PORT``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from time import perf_counter
from typing import Any

from asking import WARM, answer, crowd_of

runtime, port = sys.argv[1], int(sys.argv[2])
http: Any = importlib.import_module(f"anywire.{'trio' if runtime == 'trio' else 'asyncio'}.http")
URL = f"http://127.0.0.1:{port}/"


async def one(agent: Any, due: float, counts: list[int]) -> None:
    count = 0
    while perf_counter() < due:
        async with http.get(URL, agent=agent) as res:
            await res.read()
        count += 1
    counts.append(count)


async def crowd(many: int, agent: Any, seconds: float) -> int:
    due, counts = perf_counter() + seconds, list[int]()
    if runtime == "trio":
        import trio

        async with trio.open_nursery() as nursery:
            for _ in range(many):
                nursery.start_soon(one, agent, due, counts)
    else:
        await asyncio.gather(*(one(agent, due, counts) for _ in range(many)))
    return sum(counts)


async def measured(work: str, seconds: float) -> tuple[float, float]:
    many = crowd_of(work)
    async with http.Agent(keep_alive=True, max_sockets=many) as agent:
        await crowd(many, agent, WARM)
        began = perf_counter()
        count = await crowd(many, agent, seconds)
        return count, perf_counter() - began


if runtime == "trio":
    import trio

    answer(lambda work, seconds: trio.run(measured, work, seconds))
else:
    factory = None
    if runtime == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        answer(lambda work, seconds: runner.run(measured(work, seconds)))
