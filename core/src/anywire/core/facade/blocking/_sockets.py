"""SocketConnector: how blocking runtimes resolve, connect, shake hands and accept; written once.

Everything that waits does so in ``waiter.wait(due, sockets, event)`` of the backend,
which is also what a request that is given up wakes. The modules are handed in, so the
calls are the backend's (see :mod:`anywire.core.facade._sockets`).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..._errors import StateError
from ..._plans import Address, addresses_from_lookup
from ..._pump import FOREVER
from ..._tls import client_context
from .._sockets import SocketRuntime, connect_outcome, numeric_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..._pump import Feed
    from .._socket_pump import SocketPump
    from ._client import Connecting

__all__ = ["SocketConnector"]


class SocketConnector(SocketRuntime):
    """The parts of a blocking runtime that are the same wherever handles are sockets.

    Args:
        socket, ssl, tempfile: the modules.
    """

    readable: ClassVar[int]  # what Waiter.wait takes for "can be read", and for "can be written"
    writable: ClassVar[int]
    pump_class: ClassVar[type[SocketPump]]
    now: Callable[[], float]

    def __init__(self, socket: Any, ssl: Any, tempfile: Any) -> None:
        super().__init__(socket)
        self._ssl = ssl
        self._tempfile = tempfile

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

    def open(
        self, handle: Any, feed: Feed, tls: Mapping[str, Any] | None, server_name: str, connecting: Connecting
    ) -> Any:
        """Make a connected socket, or the pump of an upgraded one, a pump for `feed`."""
        carried = isinstance(handle, self.pump_class)
        if tls is None:
            if carried:
                handle.feed = feed
                return handle
            return self.pump_class(handle, feed)
        if carried and handle.tls:
            raise StateError("TLS inside TLS is not supported by this backend", code="ENOTSUP")
        sock = handle.take() if carried else handle
        try:
            context = client_context(self._ssl, self._tempfile, tls)
            name = server_name or (tls["host"] if "servername" not in tls else "")
            sock = context.wrap_socket(sock, server_hostname=name or None, do_handshake_on_connect=False)
            while (event := self.shake(sock)) is not None:
                connecting.waiter.wait(connecting.due, (sock,), event)
                connecting.check()
        except BaseException:
            sock.close()
            raise
        return self.pump_class(sock, feed, tls=True)

    def shake(self, sock: Any) -> int | None:
        """Go on with a TLS handshake: what to wait for, or None when it is done. Raises OSError."""
        try:
            sock.do_handshake()
        except self._ssl.SSLWantReadError:
            return self.readable
        except self._ssl.SSLWantWriteError:
            return self.writable
        return None

    def accept(self, listener: Any) -> Any:
        """The next connection's socket, non-blocking, or None. Raises OSError when out of descriptors."""
        socket = self._socket
        try:
            fd = listener._accept()[0]  # accept() would make whatever socket.socket is by now
        except (BlockingIOError, ConnectionError, InterruptedError):
            return None
        sock = socket.socket(listener.family, listener.type, listener.proto, fd)
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
