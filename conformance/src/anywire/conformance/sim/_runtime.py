"""One run, as the awaiting facade wants it."""

from __future__ import annotations

import errno
import ssl
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER, Address, ArgumentTypeError, addresses_from_lookup
from anywire.core.facade import PROBE, Listening, LoopDoor

from ._kernel import Kernel, Parking, current
from ._pump import Pump

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

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
    runtime: Runtime | None = kernel.runtime
    if runtime is None:
        runtime = kernel.runtime = Runtime(kernel)
    return runtime


def wall_clock() -> float:
    """For ``Date``."""
    return EPOCH + current().now


class Waiter:
    """How a queued request sleeps; may be woken before it does."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._woken = False
        self._parking: Parking | None = None

    def wake(self) -> None:
        self._woken = True
        if self._parking is not None:
            self._parking.wake()

    async def wait(self, due: float) -> None:
        self._parking = Parking(self._kernel, "its turn")
        if self._woken:
            self._parking.wake()
        await self._kernel.sleep(due - self._kernel.now, self._parking)


class CutOff(BaseException):
    """Thrown into work whose time is over."""


class Runtime:
    """See ``anywire.core.facade.awaiting.Runtime`` for what each method promises."""

    ssl = ssl
    tempfile = tempfile

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
        task, cut = self._kernel.task, CutOff()
        hold.cancel = partial(task.throw, cut)
        timer = self._kernel.at(self._kernel.now + seconds, hold.cancel)
        try:
            await work
        except CutOff:
            return False
        finally:
            hold.cancel = None
            self._kernel.forget(timer)
            if cut in task.pending:  # struck, but the work was over first
                task.pending.remove(cut)
        return True

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        hosts = [host]
        if lookup is not None:
            answer = lookup(host, {"family": family})
            hosts = addresses_from_lookup(await answer if hasattr(answer, "__await__") else answer)
        found = [address for name in hosts for address in self._network.resolve(name)]
        made = [Address(6 if ":" in address else 4, 1, 6, (address, port)) for address in found]
        return [address for address in made if not family or family == address.family]

    def attempt(self, address: Address, local_address: str | None) -> Pump:
        made: Pump = self._network.connect(address.sockaddr, local_address)
        return made

    async def race(self, handles: Sequence[Pump], seconds: float | None) -> list[tuple[Pump, OSError | None]]:
        parking = Parking(self._kernel, f"the connect of {handles}")
        for handle in handles:
            handle.waiters.append(parking)
            if not handle.connecting:
                parking.wake()
        await self._kernel.sleep(FOREVER if seconds is None else seconds, parking)
        return [(handle, handle.error) for handle in handles if not handle.connecting]

    def discard(self, handle: Pump) -> None:
        handle.abort()

    def adopt(self, candidate: Any) -> Pump:
        if not isinstance(candidate, Pump):
            raise ArgumentTypeError(f"create_connection must return a Pump. Received {type(candidate).__name__}")
        return candidate

    async def open(self, handle: Pump, feed: Feed) -> Pump:
        handle.feed = feed
        return handle

    def inject(self, server: Server, handle: Pump) -> None:
        connection = server.admit(handle)
        if connection is not None:
            connection.cancel = self.spawn(server.serve(connection))

    async def listen(self, server: Server, options: Any) -> Listening:
        if options.fd is not None or options.sock is not None:
            raise OSError(errno.ENOTSUP, "the sim has no descriptors")
        await self._kernel.sleep(0)
        port = options.port or self._network.port()
        listener = self._network.listen(options.path or (options.host, port), options.backlog)
        return Listening(None, options, [listener], [LoopDoor(self, self._kernel, server, listener)])

    def accept(self, listener: Any) -> Any:
        """Who waits, or None."""
        if (pump := listener.accept()) is not None:
            pump.set_tcp_keep_alive(PROBE)
        return pump
