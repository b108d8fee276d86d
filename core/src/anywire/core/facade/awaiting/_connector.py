"""SocketConnector: how runtimes that wait for bare sockets resolve, shake hands and accept; written once.

For runtimes such as trio, or a loop of yours on ``selectors``, whose pumps are
:class:`~anywire.core.facade.SocketPump`; asyncio brings transports of its own.
The modules are handed in, so the calls are the backend's (see :mod:`anywire.core.facade._sockets`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..._errors import StateError
from ..._plans import Address, addresses_from_lookup
from ..._tls import client_context
from .._sockets import SocketRuntime, numeric_addresses, to_addresses, wanted_family

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

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
    """The parts of an awaiting runtime that are the same wherever handles are sockets.

    Args:
        socket, ssl, tempfile: the modules.
    """

    wait_readable: ClassVar[Callable[..., Awaitable[None]]]  # (socket)
    wait_writable: ClassVar[Callable[..., Awaitable[None]]]

    def __init__(self, socket: Any, ssl: Any, tempfile: Any) -> None:
        super().__init__(socket)
        self._ssl = ssl
        self._tempfile = tempfile

    @abstractmethod
    def pump(self, sock: Any, feed: Feed) -> Any:
        """A pump for a connected socket, which may be an ``SSLSocket``."""

    async def open(self, handle: Any, feed: Feed, tls: Mapping[str, Any] | None, server_name: str) -> Any:
        """Make a connected socket, or the pump of an upgraded one, a pump for `feed`."""
        if not isinstance(handle, self._socket.socket):
            if tls is None:
                handle.feed = feed
                return handle
            if handle.tls:
                raise StateError("TLS inside TLS is not supported by this backend", code="ENOTSUP")
            handle = handle.take()
            handle.setblocking(False)
        if tls is not None:
            try:
                context = client_context(self._ssl, self._tempfile, tls)
            except BaseException:
                handle.close()
                raise
            name = server_name or (tls["host"] if "servername" not in tls else "")
            handle = await self.secure(handle, context, server_hostname=name or None)
        return self.pump(handle, feed)

    async def secure(self, sock: Any, context: Any, **options: Any) -> Any:
        """Shake hands; however that ends, nobody else owns `sock` any more. Options as ``wrap_socket``. Raises OSError.

        A FIN without a close_notify will be an error: it must not look like the end of a body.
        """
        try:
            sock = context.wrap_socket(sock, do_handshake_on_connect=False, suppress_ragged_eofs=False, **options)
            while True:
                try:
                    sock.do_handshake()
                except self._ssl.SSLWantReadError:
                    await self.wait_readable(sock)
                except self._ssl.SSLWantWriteError:
                    await self.wait_writable(sock)
                else:
                    return sock
        except BaseException:
            sock.close()
            raise

    def accept(self, listening: Any) -> Any:
        """The next connection's socket, non-blocking, or None. Raises OSError, most often when out of descriptors."""
        try:
            sock = listening.accept()[0]
        except (BlockingIOError, ConnectionError, InterruptedError):
            return None
        sock.setblocking(False)
        if sock.family != self._socket.AF_UNIX:
            sock.setsockopt(self._socket.IPPROTO_TCP, self._socket.TCP_NODELAY, 1)
        return sock
