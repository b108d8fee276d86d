"""How ``anywire-conformance`` runs things on that loop.

cd examples
anywire-conformance run --backend selectors_backend.conformance:maker
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from anywire.conformance.awaiting import Awaiting
from anywire.conformance.backends import PATIENCE

from . import http
from .loop import Cancelled, Loop, Task, current_loop


class Flag:
    """Something to wait on, once; set from any thread."""

    def __init__(self) -> None:
        self._loop = current_loop()
        self._parking = self._loop.parking()

    def set(self) -> None:
        self._loop.soon_from_thread(self._parking.wake)

    async def wait(self) -> None:
        await self._parking


class Selectors(Awaiting):
    """See ``anywire.conformance.backends.Backend`` for what each method promises."""

    flag = Flag

    def run(self, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        loop = Loop()
        self.reports = []
        loop.report = lambda message, error: self.reports.append(f"{message}: {error!r}")  # type: ignore[method-assign]
        return loop.run(self._patiently(scenario))

    async def _patiently(self, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        loop = current_loop()
        task = loop.spawn(scenario())
        loop.at(loop.now() + PATIENCE, task.cancel)
        await task.join()
        try:
            return task.result()
        except Cancelled:
            raise RuntimeError("it hangs") from None

    def now(self) -> float:
        return current_loop().now()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Task:
        return current_loop().spawn(work())


def maker() -> Selectors:
    return Selectors("selectors_backend", http)
