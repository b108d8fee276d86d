"""SocketConnector: how blocking runtimes resolve, connect and accept; written once.

Everything that waits does so in ``waiter.wait(due, sockets, event)`` of the backend,
which is also what a request that is given up wakes. The modules are handed in, so the
calls are the backend's (see :mod:`anywire.core.facade._sockets`).
"""

from __future__ import annotations

from abc import abstractmethod
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..._plans import Address, addresses_from_lookup
from ..._pump import FOREVER
from .._sockets import SocketRuntime, connect_outcome, numeric_addresses, to_addresses, wanted_family

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._pump import Feed
    from .._connect import Connecting
    from .._socket_pump import SocketPump

__all__ = ["SocketConnector"]


class SocketConnector(SocketRuntime):
    """The parts of a blocking runtime that are the same wherever handles are sockets."""

    writable: ClassVar[int]  # what Waiter.wait takes for "can be written"
    pump_class: ClassVar[type[SocketPump]]
    now: Callable[[], float]

    @abstractmethod
    def spawn(self, work: Callable[[], None]) -> Callable[[], object]:
        """See ``Runtime``."""

    @property
    def getaddrinfo(self) -> Callable[..., Any]:
        """As the socket module's."""
        ask: Callable[..., Any] = self._socket.getaddrinfo
        return ask

    def aside(self, work: Callable[[], Any], connecting: Connecting) -> Any:
        """What `work` returns or raises. It cannot be told to hurry, so it runs beside us and may be left alone."""
        outcome: list[tuple[Any, Exception | None]] = []
        context = copy_context()

        def run() -> None:
            try:
                outcome.append((context.run(work), None))
            except Exception as error:
                outcome.append((None, error))
            connecting.waiter.wake()

        cancel = self.spawn(run)
        try:
            while not outcome:
                connecting.waiter.wait(connecting.due)
                connecting.check()
        finally:
            cancel()
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None, connecting: Connecting
    ) -> list[Address]:
        """Name to addresses; what is an address already costs nothing."""
        socket = self._socket
        hosts = [host]
        if lookup is not None:
            hosts = addresses_from_lookup(self.aside(partial(lookup, host, {"family": family}), connecting))
        found: list[Address] = []
        for name in hosts:
            known = numeric_addresses(socket, name, port, family)
            if known is None:
                ask = partial(self.getaddrinfo, name, port, wanted_family(socket, family), socket.SOCK_STREAM)
                known = to_addresses(self.aside(ask, connecting))
            found += known
        return found

    def race(
        self, handles: Sequence[Any], seconds: float | None, connecting: Connecting
    ) -> list[tuple[Any, OSError | None]]:
        """Wait until a socket is connected or failed."""
        until = FOREVER if seconds is None else self.now() + seconds
        while True:
            ready = connecting.waiter.wait(min(until, connecting.due), handles, self.writable)
            connecting.check()
            if ready or self.now() >= until:
                return [(sock, connect_outcome(self._socket, sock)) for sock in ready]

    def open(self, handle: Any, feed: Feed) -> Any:
        """Make a connected socket a pump for `feed`."""
        return self.pump_class(handle, feed)
