"""DuplexPump with its carriers: two tasks."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..._pump import FOREVER
from .. import _duplex
from .._duplex import READ
from .._socket_pump import CLOSE_TIMEOUT

__all__ = ["DuplexPump", "settle"]


async def settle(value: Any) -> Any:
    """What a method gave, awaited if that is what it wants."""
    return await value if hasattr(value, "__await__") else value


class DuplexPump(_duplex.DuplexPump):
    """A pump over a stream whose methods are awaited. See the base class."""

    __slots__ = ()

    def _spawn(self, work: Any) -> Any:
        made = work()
        try:
            return self._runtime.spawn(made)
        except RuntimeError:
            made.close()
            raise

    def _arrived(self) -> None:
        try:
            if not self.closed or self._loss is not None:
                self._take_in()
        except Exception as error:  # of a listener
            self._runtime.report("Error in a listener", error)
        super()._arrived()

    async def _carry_in(self) -> None:
        try:
            while self._came(await settle(self._receive(READ))):
                while (room := self._full()) is not None:
                    await room.wait(FOREVER)
        except Exception as problem:
            self._failed(problem)
        self._go_on_writing()  # who waits for our last words

    async def _carry_out(self) -> None:
        try:
            while (call := self._output()) is not None:
                self._went(await settle(call()))
        except Exception as problem:
            await settle(self._broke()())
            self._failed(problem)

    async def _sleep(self, due: float) -> None:
        await self._writing.wait(due)

    async def _close_stream(self) -> None:
        with suppress(Exception):
            await settle(self._shut_down())
        try:
            self.feed.notice()
        except Exception as error:  # of a listener
            self._runtime.report("Error in a listener", error)

    async def _lose_patience(self) -> None:
        await self._runtime.waiter().wait(self._runtime.now() + CLOSE_TIMEOUT)
        self.abort()

    async def wait(self, due: float) -> None:
        """Park until something happened, or until `due`; a checkpoint if that is past."""
        with self._parked() as waiter:
            await waiter.wait(self._until(due))
