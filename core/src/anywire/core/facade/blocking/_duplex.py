"""DuplexPump with its carriers: two threads, or greenlets."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ..._pump import FOREVER
from .. import _duplex
from .._duplex import READ
from .._socket_pump import CLOSE_TIMEOUT

__all__ = ["DuplexPump"]


class DuplexPump(_duplex.DuplexPump):
    """A pump over a stream whose methods block. See the base class."""

    __slots__ = ()

    def _spawn(self, work: Any) -> Any:
        return self._runtime.spawn(work)

    def _carry_in(self) -> None:
        try:
            while self._came(self._receive(READ)):
                while (room := self._full()) is not None:
                    room.wait(FOREVER)
        except Exception as problem:
            self._failed(problem)
        self._go_on_writing()  # who waits for our last words

    def _carry_out(self) -> None:
        try:
            while (call := self._output()) is not None:
                self._went(call())
        except Exception as problem:
            self._broke()()
            self._failed(problem)

    def _sleep(self, due: float) -> None:
        self._writing.wait(due)

    def _close_stream(self) -> None:
        with suppress(Exception):
            self._shut_down()

    def _lose_patience(self) -> None:
        self._runtime.waiter().wait(self._runtime.now() + CLOSE_TIMEOUT)
        self.abort()

    def wait(self, due: float) -> None:
        """Block until something happened, or until `due`; with `due` in the past take in what is there."""
        with self._parked() as waiter:
            waiter.wait(self._until(due))
