"""What every backend does with the socket module, written once.

The core does no I/O and imports no socket. These functions get the module handed in
(the standard library's, or gevent's), so the calls are the backend's and only the
sequence is ours. All of them return at once; sockets are non-blocking.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from .._errors import ArgumentTypeError
from .._plans import UNIX, Address

if TYPE_CHECKING:
    from .._server_options import ListenOptions

__all__ = [
    "SocketRuntime",
    "adopt_socket",
    "connect_outcome",
    "enable_keep_alive",
    "listening_sockets",
    "numeric_addresses",
    "start_connect",
    "to_addresses",
    "wanted_family",
]

NOT_NOW: Final = frozenset(
    getattr(errno, name, errno.EAGAIN)
    for name in (
        "EAGAIN EWOULDBLOCK EINTR ECONNABORTED EPROTO EPERM ENETDOWN ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH"
        " EOPNOTSUPP ENETUNREACH"
    ).split()
)
"""Nobody waits, or one who did is gone: on Linux ``accept()`` tells what the network did to a connection."""
PROBE: Final = 60.0
"""Seconds of silence before TCP probes a peer (ASK-22)."""


class SocketRuntime:
    """The parts of a runtime that are the same wherever handles are sockets.

    Args:
        socket, ssl, tempfile: the modules.
    """

    def __init__(self, socket: Any, ssl: Any, tempfile: Any) -> None:
        self._socket = socket
        self.ssl = ssl
        self.tempfile = tempfile

    def attempt(self, address: Address, local_address: str | None) -> Any:
        """Start connecting."""
        return start_connect(self._socket, address, local_address)

    def adopt(self, candidate: Any) -> Any:
        """Take a socket of the user's."""
        return adopt_socket(self._socket, candidate)

    def discard(self, handle: Any) -> None:
        """Close a handle, now."""
        handle.close()

    def server_scope(self, server: Any) -> Any:
        """No scope: tasks are kept some other way."""
        return None

    def accept(self, listener: Any) -> Any:
        """The next connection's socket, non-blocking, or None.

        Raises:
            OSError: for want of descriptors or memory, or the socket does not listen: ask again later.
        """
        socket = self._socket
        try:
            fd = listener._accept()[0]  # accept() would make whatever socket.socket is by now
        except OSError as error:
            if error.errno in NOT_NOW:
                return None
            raise
        # Not by the listener's family and type: to make an enum of each costs more than all the rest.
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            enable_keep_alive(socket, sock, PROBE)
        except OSError:
            pass  # a Unix socket; or it is gone already, and not every system sets options of what is
        return sock


def wanted_family(socket: Any, family: int | None) -> Any:
    """4, 6 or None as the module's constant (MOD-45)."""
    return {4: socket.AF_INET, 6: socket.AF_INET6}.get(family or 0, socket.AF_UNSPEC)


def to_addresses(infos: Any) -> list[Address]:
    """What ``getaddrinfo`` gave, as plans want it."""
    return [Address(info[0], info[1], info[2], info[4]) for info in infos]


def numeric_addresses(socket: Any, host: str, port: int, family: int | None) -> list[Address] | None:
    """The addresses of an IP literal, without asking anybody; None for a name."""
    try:
        return to_addresses(
            socket.getaddrinfo(
                host,
                port,
                family=wanted_family(socket, family),
                type=socket.SOCK_STREAM,
                flags=socket.AI_NUMERICHOST,
            )
        )
    except (OSError, UnicodeError):
        return None


def start_connect(socket: Any, address: Address, local_address: str | None) -> Any:
    """A non-blocking socket that is connecting to `address`.

    Raises:
        OSError: it failed at once.
    """
    sock = socket.socket(socket.AF_UNIX if address.family == UNIX else address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if address.family != UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if local_address is not None:
            sock.bind((local_address, 0))
        code = sock.connect_ex(address.sockaddr)
        if code not in (0, errno.EINPROGRESS):
            raise _failure(code, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_outcome(socket: Any, sock: Any, sockaddr: Any = None) -> OSError | None:
    """Why the connect of a socket that became writable failed, or None."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return _failure(code, sockaddr) if code else None


def adopt_socket(socket: Any, candidate: Any) -> Any:
    """What the user's ``create_connection`` returned, made non-blocking (AGT-31).

    Raises:
        ArgumentTypeError: it is not a socket.
    """
    if not isinstance(candidate, socket.socket):
        raise ArgumentTypeError(
            "create_connection must return a connected socket.socket, a Socket, or a stream with receive(), send() and"
            f" close(). Received {type(candidate).__name__}"
        )
    candidate.setblocking(False)
    return candidate


def enable_keep_alive(socket: Any, sock: Any, delay: float | None) -> None:
    """Let the kernel probe a silent TCP peer after `delay` seconds, then every 10 s, 6 times (AGT-56, ASK-22).

    None turns the probes off.
    """
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    if delay is None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        return
    idle = "TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE"
    with suppress(OSError):  # some systems refuse when the peer has gone already; whoever reads will hear of that
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((idle, max(1, int(delay))), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def listening_sockets(socket: Any, os: Any, options: ListenOptions) -> list[Any]:
    """Bound, listening, non-blocking sockets for the arguments of ``listen()`` (SRV-75 to SRV-86).

    A name that resolves to several addresses gives several sockets, on one port. A Unix
    socket's file must not exist yet; removing it afterwards is the caller's.

    Raises:
        OSError: binding failed; nothing stays open.
    """
    if options.path is not None:
        return [_unix_listener(socket, os, options)]
    made: list[Any] = []
    try:
        if options.fd is not None:
            made.append(socket.socket(fileno=options.fd))
        elif options.sock is not None:
            made.append(options.sock)
        elif options.host is None and (options.ipv6_only or socket.has_dualstack_ipv6()):
            made.append(_listener(socket, socket.AF_INET6, ("::", options.port), options))
        else:
            host = options.host or "0.0.0.0"
            infos = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, sockaddr in dict.fromkeys((info[0], info[4]) for info in infos):
                if made and not options.port:
                    # The second address takes the free port that the first one got.
                    sockaddr = (sockaddr[0], made[0].getsockname()[1], *sockaddr[2:])
                made.append(_listener(socket, family, sockaddr, options))
    except BaseException:
        for sock in made:
            sock.close()
        raise
    for sock in made:
        sock.setblocking(False)
        sock.listen(options.backlog)
    return made


def _listener(socket: Any, family: Any, sockaddr: Any, options: ListenOptions) -> Any:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            both = sockaddr[0] == "::" and not options.ipv6_only
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if both else 1)
        sock.bind(sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _unix_listener(socket: Any, os: Any, options: ListenOptions) -> Any:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(options.path)
        if options.readable_all or options.writable_all:
            os.chmod(
                options.path, 0o700 | (0o044 if options.readable_all else 0) | (0o022 if options.writable_all else 0)
            )
        sock.setblocking(False)
        sock.listen(options.backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _failure(code: int, sockaddr: Any) -> OSError:
    error = OSError(code, errno.errorcode.get(code, str(code)))
    if isinstance(sockaddr, tuple):
        error.address = sockaddr[0]  # type: ignore[attr-defined]
    return error
