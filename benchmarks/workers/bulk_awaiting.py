"""Large bodies through clients that await: ``bulk_awaiting.py asyncio|uvloop|trio|aiohttp|httpx2 PORT``.

Asked for ``down MIB`` or ``up MIB``. A body goes up in pieces of 64 KiB.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from time import perf_counter
from typing import Any

from asking import answer

kind, port = sys.argv[1], int(sys.argv[2])
URL = f"http://127.0.0.1:{port}"
PIECE = bytes(65536)
ours = kind in ("asyncio", "uvloop", "trio")
library: Any = importlib.import_module(f"anywire.{'trio' if kind == 'trio' else 'asyncio'}.http" if ours else kind)


async def pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // len(PIECE)):
        yield PIECE


async def anywire(work: str, size: int) -> int:
    if work == "down":
        total = 0
        async with library.get(f"{URL}/down?size={size}") as res:
            async for piece in res:
                total += len(piece)
        return total
    req = library.request(f"{URL}/up", method="POST", headers={"Content-Length": size})
    for _ in range(size // len(PIECE)):
        await req.write(PIECE)
    await req.end()
    async with await req.response() as res:
        return int(await res.read())


async def aiohttp(work: str, size: int) -> int:
    async with library.ClientSession() as session:
        if work == "down":
            total = 0
            async with session.get(f"{URL}/down?size={size}") as response:
                async for piece in response.content.iter_any():
                    total += len(piece)
            return total
        headers = {"Content-Length": str(size)}
        async with session.post(f"{URL}/up", data=pieces(size), headers=headers) as response:
            return int(await response.read())


async def httpx(work: str, size: int) -> int:
    async with library.AsyncClient(trust_env=False, timeout=60) as client:
        if work == "down":
            total = 0
            async with client.stream("GET", f"{URL}/down?size={size}") as response:
                async for piece in response.aiter_raw():
                    total += len(piece)
            return total
        headers = {"Content-Length": str(size)}
        return int((await client.post(f"{URL}/up", content=pieces(size), headers=headers)).content)


async def measured(work: str, mib: float) -> tuple[float, float]:
    size, began = int(mib) << 20, perf_counter()
    how: Callable[[str, int], Coroutine[Any, Any, int]] = anywire if ours else aiohttp if kind == "aiohttp" else httpx
    done = await how(work, size)
    if done != size:
        raise RuntimeError(f"{done} bytes instead of {size}")
    return mib, perf_counter() - began


if kind == "trio":
    import trio

    answer(lambda work, mib: trio.run(measured, work, mib))
else:
    factory = None if kind == "asyncio" else importlib.import_module("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        answer(lambda work, mib: runner.run(measured(work, mib)))
