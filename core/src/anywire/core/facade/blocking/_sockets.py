"""SocketConnector: how blocking runtimes resolve, connect and accept; written once.

Everything that waits does so in ``waiter.wait(due, sockets, event)`` of the backend,
which is also what a request that is given up wakes. The modules are handed in, so the
calls are the backend's (see :mod:`anywire.core.facade._sockets`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..._plans import Address, addresses_from_lookup
from ..._pump import FOREVER
from .._sockets import SocketRuntime, connect_outcome, numeric_addresses

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
    def ask(self, host: str, port: int, family: int | None, connecting: Connecting) -> list[Address]:
        """Ask the system's resolver, which may take its time."""

    def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None, connecting: Connecting
    ) -> list[Address]:
        """Name to addresses; what is an address already costs nothing."""
        hosts = [host] if lookup is None else addresses_from_lookup(lookup(host, {"family": family}))
        found: list[Address] = []
        for name in hosts:
            found += numeric_addresses(self._socket, name, port, family) or self.ask(name, port, family, connecting)
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
