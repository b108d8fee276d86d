"""Adapters for runtimes of the awaiting colour: asyncio (also on uvloop) and trio.

Backends and runtimes are imported when an adapter is made, by name: this distribution depends on none.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from .backends import PATIENCE, Backend, https_beside
from .peers import Threads

__all__ = ["Asyncio", "Awaiting", "Trio", "on_asyncio", "on_trio", "on_uvloop"]

T = TypeVar("T")


def on_asyncio() -> Backend:
    """``anywire.asyncio`` on asyncio's own loop."""
    return Asyncio("anywire.asyncio", importlib.import_module("anywire.asyncio.http"))


def on_uvloop() -> Backend:
    """``anywire.asyncio`` on uvloop."""
    uvloop = importlib.import_module("uvloop")
    return Asyncio("anywire.asyncio+uvloop", importlib.import_module("anywire.asyncio.http"), uvloop.new_event_loop)


def on_trio() -> Backend:
    """``anywire.trio``."""
    return Trio("anywire.trio", importlib.import_module("anywire.trio.http"))


class Awaiting:
    """See :class:`~.backends.Backend`. What every adapter of the awaiting colour has; the rest is the runtime's.

    Args:
        name: what to call it.
        http: the ``http`` module.
    """

    virtual = False

    def __init__(self, name: str, http: Any) -> None:
        self.name = name
        self.http = http
        self.https = https_beside(http)
        self.world: Any = Threads()
        self.reports: list[str] = []

    def hook(self, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        """As it is: listeners may be coroutine functions."""

        async def hook(*args: Any) -> Any:
            return await function(*args)

        return hook


class _AsyncioFlag:
    def __init__(self, asyncio: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            pass  # the run is over, nobody waits

    async def wait(self) -> None:
        await self._event.wait()


class _AsyncioTask:
    def __init__(self, asyncio: Any, work: Coroutine[Any, Any, None]) -> None:
        self._wait = asyncio.wait
        self._task = asyncio.ensure_future(work)
        self.cancel = self._task.cancel

    async def join(self) -> None:
        await self._wait([self._task])


class _AsyncioStream:
    """A pair of asyncio's streams as one."""

    set_keep_alive: Callable[..., object]

    def __init__(self, reader: Any, writer: Any) -> None:
        self.receive = reader.read
        self.send_eof = writer.write_eof
        self.close = writer.close
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


class Asyncio(Awaiting):
    """See :class:`~.backends.Backend`. For any facade of the awaiting colour that runs on asyncio's loop.

    Args:
        name: what to call it.
        http: the ``http`` module.
        loop_factory: makes the loop of each run; None is asyncio's own.
    """

    def __init__(self, name: str, http: Any, loop_factory: Callable[[], Any] | None = None) -> None:
        super().__init__(name, http)
        self._asyncio: Any = importlib.import_module("asyncio")
        self._loop_factory = loop_factory

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `scenario` on a new loop."""
        self.reports = []
        asyncio = self._asyncio

        async def bounded() -> T:
            try:
                async with asyncio.timeout(PATIENCE):
                    return await scenario()
            except TimeoutError:
                raise RuntimeError("it hangs") from None

        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.get_loop().set_exception_handler(self._report)
            result: T = runner.run(bounded())
            return result

    def _report(self, loop: Any, context: dict[str, Any]) -> None:
        self.reports.append(f"{context.get('message')}: {context.get('exception')!r}")

    def now(self) -> float:
        """The loop's clock."""
        now: float = self._asyncio.get_running_loop().time()
        return now

    def flag(self) -> _AsyncioFlag:
        """An ``asyncio.Event`` that any thread may set."""
        return _AsyncioFlag(self._asyncio)

    async def duplex(self, port: int) -> _AsyncioStream:
        """A connection to a peer that is no socket: asyncio's streams."""
        return _AsyncioStream(*await self._asyncio.open_connection("127.0.0.1", port))

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> _AsyncioTask:
        """A task."""
        return _AsyncioTask(self._asyncio, work())


class _Catcher(logging.Handler):
    """Puts what is logged where failures are looked for."""

    def __init__(self, reports: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._reports = reports

    def emit(self, record: logging.LogRecord) -> None:
        self._reports.append(record.getMessage())


class _TrioFlag:
    def __init__(self, trio: Any) -> None:
        self._trio = trio
        self._event = trio.Event()
        self._token = trio.lowlevel.current_trio_token()

    def set(self) -> None:
        try:
            self._token.run_sync_soon(self._event.set)
        except self._trio.RunFinishedError:
            pass  # nobody waits

    async def wait(self) -> None:
        await self._event.wait()


class _TrioTask:
    def __init__(self, trio: Any, nursery: Any, work: Coroutine[Any, Any, None]) -> None:
        self._done = trio.Event()
        scope = trio.CancelScope()
        self.cancel = scope.cancel

        async def body() -> None:
            try:
                with scope:
                    await work
            finally:
                self._done.set()

        nursery.start_soon(body)

    async def join(self) -> None:
        await self._done.wait()


class Trio(Awaiting):
    """See :class:`~.backends.Backend`. For any facade of the awaiting colour that runs on trio."""

    def __init__(self, name: str, http: Any) -> None:
        super().__init__(name, http)
        self._trio = importlib.import_module("trio")
        self._nursery: Any = None

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `scenario` in a nursery of its own."""
        self.reports = []
        trio = self._trio
        results: list[T] = []

        async def main() -> None:
            with trio.move_on_after(PATIENCE) as scope:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    results.append(await scenario())
                    nursery.cancel_scope.cancel()
            if scope.cancelled_caught:
                raise RuntimeError("it hangs")

        catcher = _Catcher(self.reports)
        logger = logging.getLogger("anywire")
        logger.addHandler(catcher)
        propagate, logger.propagate = logger.propagate, False
        try:
            trio.run(main)
        finally:
            logger.removeHandler(catcher)
            logger.propagate = propagate
        return results[0]

    def now(self) -> float:
        """The clock of trio."""
        now: float = self._trio.current_time()
        return now

    def flag(self) -> _TrioFlag:
        """A ``trio.Event`` that any thread may set."""
        return _TrioFlag(self._trio)

    async def duplex(self, port: int) -> Any:
        """A connection to a peer that is no socket: a ``trio.abc.Stream``."""
        return await self._trio.open_tcp_stream("127.0.0.1", port)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> _TrioTask:
        """A task with a cancel scope."""
        return _TrioTask(self._trio, self._nursery, work())
