"""Runs what is written once on any runtime: in the blocking colour nothing that it awaits ever suspends."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from anywire.conformance.backends import drive

__all__ = ["AWAITING", "run", "serve"]

AWAITING = frozenset({"asyncio", "trio"})


def run(runtime: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` to its end."""
    if runtime == "trio":
        import trio

        trio.run(work)
    elif runtime == "asyncio":
        import asyncio

        asyncio.run(work())
    else:
        drive(work())


def serve(runtime: str, make: Callable[[], Any], **place: Any) -> None:
    """Listen at `place` with the server that `make` makes, until this process is ended."""

    async def work() -> None:
        server = make()
        server.grace = 0.1
        if runtime in AWAITING:
            async with server:
                await server.listen(**place)
                await server.serve_forever()
        else:
            with server:
                server.listen(**place)
                server.serve_forever()

    run(runtime, work)
