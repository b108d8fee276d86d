"""One run, as the awaiting facade wants it."""

from __future__ import annotations

import errno
from functools import partial
from types import coroutine
from typing import TYPE_CHECKING, Any

from anywire.core import NOBODY, UNIX, Address, ArgumentTypeError, StateError, addresses_from_lookup

from ._kernel import Kernel, Parking, current
from ._network import Endpoint, Listener
from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence

    from anywire.core import Feed
    from anywire.core.facade.awaiting import Hold, Server

__all__ = ["Runtime", "current_runtime", "wall_clock"]

EPOCH = 784111777.0
"""Seconds since 1970 when a run begins: the date of RFC 9110's example (section 5.6.7)."""


def current_runtime() -> Runtime:
    """The runtime of this run.

    Raises:
        RuntimeError: outside of one.
    """
    kernel = current()
    if kernel.runtime is None:
        kernel.runtime = Runtime(kernel)
    return kernel.runtime  # type: ignore[no-any-return]


def wall_clock() -> float:
    """For ``Date``."""
    return EPOCH + current().now


class Waiter:
    """How a queued request sleeps; may be woken before it does."""

    def __init__(self, kernel: Kernel) -> None:
        self._parking = Parking(kernel, "its turn")
        self.wake = self._parking.wake
        self.wait = partial(kernel.sleep_until, self._parking)


class _CutOff(BaseException):
    """Thrown into work whose time is over."""


class Limit:
    """What ends work before its time: the timer, or whoever holds it."""

    def __init__(self) -> None:
        self.parking: Parking | None = None
        self.struck = False

    def strike(self) -> None:
        self.struck = True
        if self.parking is not None:
            self.parking.wake()


class Listening:
    """What the facade holds of a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.stop = listener.stop

    def address(self) -> Any:
        name = self._listener.name
        return name if isinstance(name, str) else (name[0] or "::", name[1])


class Runtime:
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._network = kernel.network
        self.report = kernel.report
        self.waiter = partial(Waiter, kernel)

    def now(self) -> float:
        return self._kernel.now

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        return self._kernel.spawn(work).cancel

    def server_scope(self, server: Server) -> None:
        return None

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        limit = Limit()
        hold.cancel = limit.strike
        timer = self._kernel.at(self._kernel.now + seconds, limit.strike)
        try:
            await _limited(work, limit)
        except _CutOff:
            return False
        finally:
            self._kernel.forget(timer)
            hold.cancel = None
        return True

    # ---------------------------------------------------------------- connecting

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        hosts = [host]
        if lookup is not None:
            answer = lookup(host, {"family": family})
            hosts = addresses_from_lookup(await answer if hasattr(answer, "__await__") else answer)
        found = [address for name in hosts for address in self._network.resolve(name)]
        made = [Address(6 if ":" in address else 4, 1, 6, (address, port)) for address in found]
        return [address for address in made if family in (None, 0, address.family)]

    def attempt(self, address: Address, local_address: str | None) -> Endpoint:
        return self._network.connect(address.sockaddr, local_address)  # type: ignore[no-any-return]

    async def race(self, handles: Sequence[Endpoint], seconds: float | None) -> list[tuple[Endpoint, OSError | None]]:
        parking = Parking(self._kernel, f"connecting {handles}")
        for handle in handles:
            handle.on_writable = parking.wake
            if not handle.connecting:
                parking.wake()
        await self._kernel.sleep_until(parking, float("inf") if seconds is None else self._kernel.now + seconds)
        return [(handle, handle.error) for handle in handles if not handle.connecting]

    def discard(self, handle: Endpoint) -> None:
        handle.close()

    def adopt(self, candidate: Any) -> Endpoint:
        if not isinstance(candidate, Endpoint):
            raise ArgumentTypeError(f"create_connection must return an Endpoint. Received {type(candidate).__name__}")
        return candidate

    async def open(self, handle: Any, feed: Feed, tls: Mapping[str, Any] | None, server_name: str) -> Pump:
        if tls is not None:
            handle.close()
            raise _no_tls()
        if isinstance(handle, Pump):
            handle.feed = feed
            return handle
        return Pump(self._kernel, handle, feed)

    # ---------------------------------------------------------------- listening

    async def listen(self, server: Server, options: Any) -> Listening:
        if server.secure:
            raise _no_tls()
        if options.fd is not None or options.sock is not None:
            raise OSError(errno.ENOTSUP, "the sim has no descriptors")
        name = options.path or (options.host, options.port or self._network.port())
        listener = self._network.listen(name, options.backlog)

        def accept() -> None:
            while (endpoint := listener.accept()) is not None:
                pump = Pump(self._kernel, endpoint, NOBODY)
                connection = server.admit(pump)
                if connection is not None:
                    pump.feed = connection
                    connection.cancel = self.spawn(server.serve(connection))

        listener.on_readable = accept
        return Listening(listener)


@coroutine
def _limited(work: Coroutine[Any, Any, None], limit: Limit) -> Generator[Parking, None, None]:
    """Step `work` in our caller's task; once the limit struck, throw that into it instead."""
    problem: BaseException | None = None
    cut = False
    while True:
        try:
            limit.parking = work.send(None) if problem is None else work.throw(problem)
        except StopIteration:
            return
        try:
            if not limit.struck or cut:
                yield limit.parking
            problem = None
        except BaseException as thrown:
            problem = thrown
        else:
            if limit.struck and not cut:
                cut, problem = True, _CutOff()


def _no_tls() -> StateError:
    return StateError("The sim has no TLS: use http, or a real backend", code="ENOTSUP", phase="tls")
