"""An event loop, and how it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["run", "stop_signals"]


def run(main: Coroutine[Any, Any, None], *, uvloop: bool) -> None:
    """Run `main` on a new event loop, of uvloop if asked for."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if uvloop:
        from uvloop import new_event_loop

        factory = new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


@contextmanager
def stop_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGINT and on SIGTERM, each time."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = []
    for number in numbers:
        try:
            loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows; there only the plain kind exists, and it has to wake the loop
            handlers.append((number, signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop))))
    try:
        yield
    finally:
        if handlers:
            for number, handler in handlers:
                signal.signal(number, handler)
        else:
            for number in numbers:
                loop.remove_signal_handler(number)
