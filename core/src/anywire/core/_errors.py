"""Every error anywire raises or hands over, in one hierarchy.

*Who erred is the type*: :class:`LocalError` is misuse by our own caller and is
raised at the call, before a byte is written; :class:`RemoteError` is the peer's
or the network's doing. *What went wrong* is ``code``, Node's code unchanged
(``"ECONNRESET"``, ``"HPE_INVALID_METHOD"``, ``"ERR_HTTP_HEADERS_SENT"``).
*When* is ``phase``. What a server would answer is ``status_hint``.

Each class also derives from the built-in exception a Python programmer would
expect (``TypeError``, ``ValueError``, ``ConnectionResetError``, …), so
``except ConnectionError`` and ``except TimeoutError`` work as usual.

Source of codes and messages: spec/pythonic.md (error table), WIR-105, WIR-106.
"""

from __future__ import annotations

import errno as _errno
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from ._timings import Timings

__all__ = [
    "SECRET_FIELDS",
    "AnywireError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "ConnectError",
    "ConnectionLost",
    "LocalError",
    "ParseError",
    "RemoteError",
    "StateError",
    "TLSError",
    "TimedOut",
    "TruncatedError",
    "listen_error",
    "nameless",
    "os_error",
    "tls_error",
]


E = TypeVar("E", bound="AnywireError")

SECRET_FIELDS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""Fields, in lower case, whose values stay out of caches, messages and logs."""
_token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++").match

# Of a start line, or of the head as a whole.
_NOT_OF_A_FIELD: Final = frozenset(
    {
        "HPE_HEADER_OVERFLOW",
        "HPE_INVALID_CONSTANT",
        "HPE_INVALID_METHOD",
        "HPE_INVALID_STATUS",
        "HPE_INVALID_URL",
        "HPE_INVALID_VERSION",
    }
)


class AnywireError(Exception):
    """Base of everything anywire raises.

    Attributes:
        code: Node's error code, e.g. ``"ECONNRESET"``. Never empty.
        phase: where in an exchange it happened (``"queue"``, ``"resolve"``,
            ``"connect"``, ``"tls"``, ``"write"``, ``"head"``, ``"body"``,
            ``"trailers"``, ``"idle"``), or None when that has no meaning.
        status_hint: the status a server would answer with (400, 408, 431, …), or 0.
        message: what happened, in Node's words where it has some. ``str()`` has more: whose request it was,
            the phase, and how long it took.
        method: of the request that failed, or None.
        origin: whom it was for, ``"http://localhost:8080"``, or None.
        elapsed: seconds from ``request()`` to the failure, or None.
        reused: the exchange ran on a connection that had carried another one before.
        bytes_written: bytes of the request that the operating system took (under TLS: that were given to TLS); the
            server got at most these, and none if it is 0. None if nobody counted.
        response_started: True once a byte of the answer had arrived.
        replay_safe: ``"yes"``, ``"no"`` or ``"unknown"``: may the request be sent again
            without the risk that the peer runs it twice?
        timings: how long each phase of a request took, up to the error (ASK-49); None if it is no request's.
    """

    default_code = "ERR_ANYWIRE"

    code: str
    phase: str | None = None
    status_hint: int = 0
    method: str | None = None
    origin: str | None = None
    elapsed: float | None = None
    reused: bool = False
    bytes_written: int | None = None
    response_started: bool = False
    replay_safe: str = "unknown"
    timings: Timings | None = None

    def __init__(self, message: str = "", *, code: str | None = None, phase: str | None = None) -> None:
        self.code = code or self.default_code
        super().__init__(message or self.code)
        self.message = message or self.code
        if phase is not None:
            self.phase = phase

    def __str__(self) -> str:
        # OSError builds its own text from errno and strerror; ours is always the message.
        return self.message if self.origin is None else f"{self.message} ({', '.join(self._context())})"

    def _context(self) -> Iterator[str]:
        """What the message does not say itself (ASK-51)."""
        message = self.message
        if self.code not in message:
            yield self.code
        if f"{self.method} {self.origin}" not in message:
            yield f"{self.method} {self.origin}"
        if self.phase is not None and f"phase {self.phase}" not in message:
            yield f"phase {self.phase}"
        yield "reused connection" if self.reused else "new connection" if self.bytes_written else "nothing sent"
        yield f"after {self.elapsed or 0.0:.3f} s"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by args, which would lose every keyword of ours, and an OSError's number is no attribute.
        number = self.errno if isinstance(self, OSError) else None
        return _rebuild, (type(self).__dict__.get("_own_name", type(self)), self.args, number), self.__dict__


def _rebuild(cls: type[AnywireError] | str, args: tuple[object, ...], number: int | None) -> AnywireError:
    if isinstance(cls, str):
        cls = _nameless[cls]
    error = cls.__new__(cls, *args)
    error.args = args
    if isinstance(error, OSError):
        error.errno = number
    return error


_nameless: dict[str, type[AnywireError]] = {}


def nameless(cls: type[E]) -> type[E]:
    """A private subclass that users see under the name of its public parent, in tracebacks and logs too."""
    _nameless[cls.__qualname__] = cls
    cls._own_name = cls.__qualname__  # type: ignore[attr-defined]  # for pickle, which finds classes by name
    parent = cls.__bases__[0]
    cls.__name__, cls.__qualname__, cls.__module__ = parent.__name__, parent.__qualname__, parent.__module__
    return cls


class LocalError(AnywireError):
    """Our own caller's mistake. Raised at the call; nothing was written."""


class ArgumentTypeError(LocalError, TypeError):
    """An argument of the wrong type (``ERR_INVALID_ARG_TYPE``)."""

    default_code = "ERR_INVALID_ARG_TYPE"


class ArgumentValueError(LocalError, ValueError):
    """An argument of the right type with an impossible value."""

    default_code = "ERR_INVALID_ARG_VALUE"


class StateError(LocalError, RuntimeError):
    """The right call at the wrong time (``ERR_HTTP_HEADERS_SENT``, write after end, …)."""

    default_code = "ERR_HTTP_HEADERS_SENT"


class RemoteError(AnywireError):
    """The peer or the network erred."""


class ParseError(RemoteError, ValueError):
    """The peer sent something that is not HTTP/1.1 as we accept it (WIR-105, WIR-106).

    Attributes:
        reason: what was wrong, without the ``Parse Error: `` prefix.
        bytes_parsed: offset of the offending byte in ``raw_packet``.
        raw_packet: the bytes under the parser when it stopped, or None at end of input.
        field: name of the field it is about, as received, or None.
        excerpt: at most 64 bytes around the offence, escaped, for messages and logs.
    """

    default_code = "HPE_INTERNAL"

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        bytes_parsed: int = 0,
        raw_packet: bytes | None = None,
        status_hint: int = 400,
        phase: str = "head",
    ) -> None:
        message = "Parse Error" if code == "HPE_INVALID_EOF_STATE" else f"Parse Error: {reason}"
        super().__init__(message, code=code, phase=phase)
        self.reason = reason
        self.bytes_parsed = bytes_parsed
        self.raw_packet = raw_packet
        self.status_hint = status_hint

    @property
    def field(self) -> str | None:
        """Name of the field it is about, as received; None if it is about something else (ASK-35)."""
        packet, phase = self.raw_packet, self.phase
        if not packet or phase not in ("head", "trailers") or self.code in _NOT_OF_A_FIELD:
            return None
        start = self._line()[0]
        match = _token(packet, start)
        if match is None or (phase == "head" and not packet[:start].strip(b"\r\n")):  # the latter is the start line
            return None
        return match[0].decode("ascii")

    @property
    def excerpt(self) -> str:
        """At most 64 bytes around the offence, escaped, for messages and logs (ASK-35).

        Not beyond its line, and nothing of a value that is a secret (SEC-45).
        """
        if not self.raw_packet:
            return ""
        start, end = self._line()
        name = _token(self.raw_packet, start, start + 64)
        if name is not None and name[0].decode("ascii").lower() in SECRET_FIELDS:
            return f"{name[0].decode('ascii')}: ***"
        start = max(start, self.bytes_parsed - 32)
        return repr(self.raw_packet[start : min(start + 64, end)])[2:-1]

    def _line(self) -> tuple[int, int]:
        """Where the offending line begins and ends in ``raw_packet``, the lines it continues included."""
        packet = self.raw_packet or b""
        at = self.bytes_parsed
        if self.code == "HPE_INVALID_URL" and packet[at - 1 : at] == b"\n":
            at -= 1  # it is the offence: behind it is nothing that anybody has looked at
        start = packet.rfind(b"\n", 0, at) + 1
        while start and packet[start : start + 1] in (b" ", b"\t"):
            start = packet.rfind(b"\n", 0, start - 1) + 1
        end = packet.find(b"\n", at) + 1
        return start, end or len(packet)


class ConnectionLost(RemoteError, ConnectionResetError):
    """The connection ended before the exchange did (``ECONNRESET``).

    ``syscall`` is ``"read"`` or ``"write"`` when the operating system reported a
    reset, None for a clean FIN (Node's ``socket hang up``: CLI-54, CLI-55).
    """

    default_code = "ECONNRESET"
    syscall: str | None = None


class TruncatedError(ConnectionLost):
    """A message body ended early; ``partial`` holds what had been received of this read.

    Node ends such a stream silently (MSG-41); we never do.
    """

    partial: bytes = b""


class ConnectError(RemoteError, OSError):
    """Resolving or connecting failed. ``syscall``, ``address`` and ``port`` say where (CLI-53)."""

    default_code = "ECONNREFUSED"
    syscall: str = "connect"
    address: str | None = None
    port: int | None = None


@nameless
class _ConnectRefused(ConnectError, ConnectionRefusedError):
    pass


@nameless
class _ConnectNotFound(ConnectError, FileNotFoundError):
    pass


@nameless
class _ConnectDenied(ConnectError, PermissionError):
    pass


class TimedOut(RemoteError, TimeoutError):
    """A limit in seconds ran out (``ETIMEDOUT``): ``phase`` says where, ``limit`` how long it was, if it was ours."""

    default_code = "ETIMEDOUT"
    limit: float | None = None


_CONNECT_CLASSES: dict[str, type[ConnectError]] = {
    "ECONNREFUSED": _ConnectRefused,
    "ENOENT": _ConnectNotFound,
    "EACCES": _ConnectDenied,
    "EPERM": _ConnectDenied,
}


def os_error(
    error: OSError,
    *,
    syscall: str,
    address: str | None = None,
    port: int | None = None,
    phase: str | None = None,
) -> RemoteError:
    """Translate what the operating system reported into our hierarchy.

    Args:
        error: the OSError as caught; it becomes ``__cause__``.
        syscall: Node's word for what failed: ``connect``, ``getaddrinfo``, ``read``, ``write``.
        address: peer address or socket path, if known.
        port: peer port, if known.
        phase: the phase to report.

    Returns:
        :class:`ConnectionLost` for read and write faults, :class:`TimedOut` for
        ``ETIMEDOUT``, else a :class:`ConnectError` that is also the matching built-in.
    """
    code = _errno.errorcode.get(error.errno or 0, "")
    if syscall == "getaddrinfo":
        code = "ENOTFOUND"
    elif not code:
        code = "ECONNRESET" if isinstance(error, ConnectionError) else "EIO"
    where = "" if address is None else f" {address}" if port is None else f" {address}:{port}"
    message = f"{syscall} {code}{where}"
    made: RemoteError
    if code == "ETIMEDOUT":
        made = TimedOut(message, phase=phase)
    elif syscall in ("read", "write"):
        made = ConnectionLost(message, code=code, phase=phase)
        made.syscall = syscall
    else:
        made = _CONNECT_CLASSES.get(code, ConnectError)(message, code=code, phase=phase)
        made.syscall, made.address, made.port = syscall, address, port
    if isinstance(made, OSError):
        made.errno = error.errno
    made.__cause__ = error
    return made


def listen_error(error: OSError, *, path: str | None, host: str | None, port: int) -> RemoteError:
    """Translate what stopped ``listen()``: the name of the host, or what is bound there already."""
    if path is not None:
        return os_error(error, syscall="listen", address=path)
    # The core does not import socket.
    if any(each.__name__ == "gaierror" for each in type(error).__mro__):
        return os_error(error, syscall="getaddrinfo", address=host, phase="resolve")
    return os_error(error, syscall="listen", address=host or "::", port=port)


class TLSError(ConnectError):
    """The TLS handshake failed; ``__cause__`` is the ``ssl.SSLError``."""

    default_code = "ERR_SSL_PROTOCOL_ERROR"


_VERIFY_CODES: dict[int, str] = {
    10: "CERT_HAS_EXPIRED",
    18: "DEPTH_ZERO_SELF_SIGNED_CERT",
    19: "SELF_SIGNED_CERT_IN_CHAIN",
    20: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    62: "ERR_TLS_CERT_ALTNAME_INVALID",
    64: "ERR_TLS_CERT_ALTNAME_INVALID",
}
"""OpenSSL's X509_V_ERR_* numbers → Node's codes (MOD-70, MOD-71)."""


def tls_error(error: OSError, host: str) -> TLSError:
    """Translate what failed a handshake, most often an ``ssl.SSLError``, into our hierarchy."""
    reason = getattr(error, "reason", None) or "handshake failed"
    verify = getattr(error, "verify_code", None)
    detail = getattr(error, "verify_message", None) or reason
    message = f"TLS with {host} failed: {detail}"
    if verify is not None:
        code = _VERIFY_CODES.get(verify, "ERR_TLS_CERT_INVALID")
    elif isinstance(error, ConnectionError):
        code = _errno.errorcode.get(error.errno or 0, "ECONNRESET")
        message = error.strerror or message
    else:
        code = f"ERR_SSL_{reason}"
    made = TLSError(message, code=code.replace(" ", "_"), phase="tls")
    made.address = host
    made.syscall = "connect"
    made.__cause__ = error
    return made
