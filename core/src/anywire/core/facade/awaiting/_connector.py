"""SocketConnector: how runtimes that wait for bare sockets resolve and accept; written once.

For runtimes such as asyncio, trio, or a loop of yours on ``selectors``, whose pumps are
:class:`~anywire.core.facade.SocketPump`.
The modules are handed in, so the calls are the backend's (see :mod:`anywire.core.facade._sockets`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from ..._plans import Address, addresses_from_lookup
from .._sockets import SocketRuntime, numeric_addresses, to_addresses, wanted_family

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._pump import Feed

__all__ = ["Resolver", "SocketConnector"]


class Resolver(SocketRuntime):
    """Name resolution of an awaiting runtime, from the runtime's own ``getaddrinfo``."""

    async def getaddrinfo(self, host: str, port: int, family: int, kind: int) -> Any:
        """As the socket module's, without blocking the loop. Raises OSError."""
        raise NotImplementedError

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        """Name to addresses; what is an address already costs nothing."""
        socket = self._socket
        hosts = [host]
        if lookup is not None:
            answer = lookup(host, {"family": family})
            hosts = addresses_from_lookup(await answer if hasattr(answer, "__await__") else answer)
        found: list[Address] = []
        for name in hosts:
            known = numeric_addresses(socket, name, port, family)
            if known is None:
                wanted = wanted_family(socket, family)
                known = to_addresses(await self.getaddrinfo(name, port, wanted, socket.SOCK_STREAM))
            found += known
        return found


class SocketConnector(Resolver):
    """The parts of an awaiting runtime that are the same wherever handles are sockets."""

    @abstractmethod
    def pump(self, sock: Any, feed: Feed) -> Any:
        """A pump for a connected socket."""

    async def open(self, handle: Any, feed: Feed) -> Any:
        """Make a connected socket a pump for `feed`."""
        return self.pump(handle, feed)
