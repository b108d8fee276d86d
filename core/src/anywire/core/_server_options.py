"""What ``create_server()`` and ``listen()`` take, and the settings of the whole process.

MOD-9 to MOD-20, SRV-75 to SRV-80.
Like :mod:`._options`: everything is checked at the call, an unknown name is an error, None means "not given",
durations are float seconds, and nothing given is modified or kept (MOD-20).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from ._chars import safe_text
from ._checks import (
    EMPTY,
    check_bool,
    check_callable,
    check_choice,
    check_host,
    check_names,
    check_port,
    check_size,
    check_socket_path,
    check_timeout,
    received,
    refuse_tls,
    tls_options,
    unknown_option,
    wrong_type,
)
from ._errors import ArgumentTypeError, ArgumentValueError
from ._names import SERVER_TLS_OPTIONS

__all__ = [
    "LISTEN_OPTIONS",
    "SERVER_OPTIONS",
    "ListenOptions",
    "ProcessSettings",
    "ServerOptions",
    "listen_options",
    "process_settings",
    "server_arguments",
    "server_options",
]

DEFAULT_MAX_HEADER_SIZE: Final = 16384
DEFAULT_BACKLOG: Final = 511


class ProcessSettings:
    """Defaults for every server and request of the process (MOD-9, MOD-10).

    Attributes:
        max_header_size: bytes of a message head, as set; 16384. 0 reads back 0 and means the 16384.
        insecure_http_parser: whether the lenient parser (WIR-59) is the default; False.
        reachable: hosts and paths that clients may connect to; None, the default, is all. See `block_network`.
    """

    __slots__ = ("_warned", "insecure_http_parser", "max_header_size", "reachable")

    def __init__(self, max_header_size: int = DEFAULT_MAX_HEADER_SIZE, insecure_http_parser: bool = False) -> None:
        self.max_header_size = check_size(max_header_size, "max_header_size") or 0
        self.insecure_http_parser = check_bool(insecure_http_parser, "insecure_http_parser")
        self.reachable: frozenset[str] | None = None
        self._warned = False

    def effective_max_header_size(self, given: int | None = None) -> int:
        """The limit in force for a server or request whose option is `given` (MOD-17: 0 means the default)."""
        return given or self.max_header_size or DEFAULT_MAX_HEADER_SIZE

    def use_insecure_parser(self, given: bool | None = None) -> bool:
        """Is the parser now being set up to be lenient? Warns the first time the process-wide switch says so."""
        if given is not None:
            return given
        if self.insecure_http_parser and not self._warned:
            self._warned = True
            warnings.warn("Using insecure HTTP parsing", RuntimeWarning, stacklevel=3)
        return self.insecure_http_parser


def process_settings(environ: Mapping[str, str]) -> ProcessSettings:
    """Read the process-wide settings from environment variables.

    Args:
        environ: a mapping such as ``os.environ``; the core does not look at that itself.
            ``ANYWIRE_MAX_HTTP_HEADER_SIZE`` is a number of bytes, ``ANYWIRE_INSECURE_HTTP_PARSER`` is
            ``1``, ``true``, ``yes`` or ``on`` (or ``0``, ``false``, ``no``, ``off``). Empty = not set.

    Raises:
        ArgumentValueError: a variable says something else. A limit misread is no limit.
    """
    size = environ.get("ANYWIRE_MAX_HTTP_HEADER_SIZE", "").strip()
    if size and not (size.isascii() and size.isdigit() and len(size) < 16):
        raise ArgumentValueError(
            f'ANYWIRE_MAX_HTTP_HEADER_SIZE must be a number of bytes. Received "{safe_text(size)}"'
        )
    switch = environ.get("ANYWIRE_INSECURE_HTTP_PARSER", "").strip().lower()
    if switch not in _SWITCH:
        raise ArgumentValueError(f'ANYWIRE_INSECURE_HTTP_PARSER must be 1 or 0. Received "{safe_text(switch)}"')
    return ProcessSettings(int(size) if size else DEFAULT_MAX_HEADER_SIZE, _SWITCH[switch])


_SWITCH: Final = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("", "0", "false", "no", "off"), False)
_DEFAULTS: Final = ProcessSettings()


@dataclass(slots=True)
class ServerOptions:
    """The checked options of a server. Durations are seconds and 0 means "no limit"; sizes are bytes.

    Attributes:
        incoming_message_class: builds the request objects; None = the backend's IncomingMessage (MOD-16).
        server_response_class: builds the response objects, from the request alone; None = the
            backend's ServerResponse (MOD-16).
        max_header_size: limit of a message head; 16384, 0 given means the default (MOD-17).
        max_headers_count: limit of fields in a head, more is answered 431; 2000, 0 = unlimited (SRV-41).
        insecure_http_parser: the lenient parser (WIR-59); None = the process-wide default (MOD-18).
        timeout: idle limit of a connection; 0.0 (SRV-47).
        keep_alive_timeout: idle limit between two requests; 5.0 (SRV-49).
        keep_alive_hint: announce it in a ``Keep-Alive`` field, and wait a second longer than announced; False (SRV-L5).
        headers_timeout: limit for a message head to arrive; 60.0 (SRV-60).
        request_timeout: limit for a whole request to arrive; 300.0 (SRV-L1).
        max_connections: most connections; None = unlimited (SRV-46).
        at_max_connections: what becomes of further ones: ``"drop"``, closed at once (SRV-46), or ``"pause"``, they wait
            to be accepted until another one goes (ASK-44); ``"drop"``.
        max_requests_per_socket: requests answered on one connection; 0 = unlimited (SRV-L3).
        http_allow_half_open: go on with a client that has ended its side; False (SRV-28).
        should_upgrade_callback: asked with each request that offers an upgrade, whether ``upgrade`` listeners get it;
            if it says no, it is an ordinary request (SRV-68); None = they get all.
        unique_headers: names, in lower case, of response fields whose lists are sent as one line (MOD-L3); None.
        join_duplicate_headers: join repeated request fields of which the first would win (MOD-L3); False.
        require_host_header: answer 400 to an HTTP/1.1 request without Host; True (MOD-L4).
        max_buffered: input read ahead of the application; 65536 (design: input read ahead stops at a bound).
        max_drain: unread request body read and discarded after the response to keep the connection, 0 = none of it;
            262144 (SEC-27).
        max_trailer_size: limit of a trailer section, more is answered 431; 16384 (WIR-100).
        max_chunk_extension_size: limit of the chunk extensions of one request, more is answered 413; 16384 (SEC-10).
        write_timeout: how long a client may take nothing of a response that waits to be sent; 60.0 (SEC-28).
        linger_timeout: how long a closing connection waits for the client's FIN; 5.0 (RFC 9112 section 9.6).
        tls: the TLS options given, for https servers (MOD-74).
    """

    incoming_message_class: type[Any] | None = None
    server_response_class: type[Any] | None = None
    max_header_size: int = DEFAULT_MAX_HEADER_SIZE
    max_headers_count: int = 2000
    insecure_http_parser: bool | None = None
    timeout: float = 0.0
    keep_alive_timeout: float = 5.0
    keep_alive_hint: bool = False
    headers_timeout: float = 60.0
    request_timeout: float = 300.0
    max_connections: int | None = None
    at_max_connections: str = "drop"
    max_requests_per_socket: int = 0
    http_allow_half_open: bool = False
    should_upgrade_callback: Callable[[Any], object] | None = None
    unique_headers: frozenset[str] | None = None
    join_duplicate_headers: bool = False
    require_host_header: bool = True
    max_buffered: int = 65536
    max_drain: int = 262144
    max_trailer_size: int = 16384
    max_chunk_extension_size: int = 16384
    write_timeout: float = 60.0
    linger_timeout: float = 5.0
    tls: Mapping[str, Any] = field(default_factory=dict)


_DURATIONS: Final = (
    "timeout", "keep_alive_timeout", "headers_timeout", "request_timeout", "write_timeout", "linger_timeout",
)  # fmt: skip
_SIZES: Final = (
    "max_headers_count", "max_connections", "max_requests_per_socket", "max_buffered", "max_drain", "max_trailer_size",
    "max_chunk_extension_size",
)  # fmt: skip
_BOOLS: Final = (
    "insecure_http_parser", "http_allow_half_open", "keep_alive_hint", "require_host_header", "join_duplicate_headers",
)  # fmt: skip
_CLASSES: Final = ("incoming_message_class", "server_response_class")
# allow_half_open belongs to the transport and is always on inside; taken and ignored (MOD-19).
SERVER_OPTIONS: Final = SERVER_TLS_OPTIONS | {each.name for each in fields(ServerOptions)} | {"allow_half_open"}


_HINTS: Final = {"lenient": "a server is strict: it is for responses, an option of request() and Agent()"}


def server_arguments(
    options: object = None,
    listener: object = None,
    keywords: Mapping[str, Any] = EMPTY,
    *,
    settings: ProcessSettings = _DEFAULTS,
    secure: bool = True,
) -> tuple[Callable[..., object] | None, ServerOptions]:
    """Sort out the forms of ``create_server()`` (MOD-13): ``(listener, options)``.

    Args:
        options: a mapping, None, or the listener itself.
        listener: the listener, if it stands second.
        keywords: options given by keyword; they win.
        settings: the process-wide defaults.
        secure: TLS options have a meaning.

    Raises:
        ArgumentTypeError: `options` is none of these (MOD-14); `listener` is not callable (MOD-15).
    """
    if callable(options) and listener is None:
        options, listener = None, options
    if options is not None and not isinstance(options, Mapping):
        raise wrong_type("options", "object", options, "argument")
    if listener is not None and not callable(listener):
        raise wrong_type("listener", "callable", listener, "argument")
    made = server_options({**(options or EMPTY), **keywords}, settings=settings)
    if not secure:
        refuse_tls(made.tls)
    return listener, made


def server_options(options: Mapping[str, Any] = EMPTY, *, settings: ProcessSettings = _DEFAULTS) -> ServerOptions:
    """Check the options of ``create_server()``, by name; see :class:`ServerOptions`.

    Raises:
        ArgumentTypeError: an unknown name, or a value of the wrong type.
        ArgumentValueError: ``ERR_OUT_OF_RANGE``: a negative or fractional size, a negative or endless duration; or
            `at_max_connections` is neither of its words.
    """
    if not SERVER_OPTIONS.issuperset(options):
        raise unknown_option(options, SERVER_OPTIONS, _HINTS)
    made = ServerOptions(max_header_size=settings.effective_max_header_size())
    for name in _CLASSES:
        if (value := options.get(name)) is not None:
            if not isinstance(value, type):
                raise wrong_type(name, "type", value)
            setattr(made, name, value)
    if size := check_size(options.get("max_header_size"), "max_header_size"):
        made.max_header_size = size
    for names, check in ((_BOOLS, check_bool), (_DURATIONS, check_timeout), (_SIZES, check_size)):
        for name in names:
            if (value := options.get(name)) is not None:
                setattr(made, name, check(value, name))
    if (choice := options.get("at_max_connections")) is not None:
        made.at_max_connections = check_choice(choice, "at_max_connections", ("drop", "pause"))
    if (callback := options.get("should_upgrade_callback")) is not None:
        made.should_upgrade_callback = check_callable(callback, "should_upgrade_callback")
    made.unique_headers = check_names(options.get("unique_headers"), "unique_headers")
    made.tls = tls_options(options, SERVER_TLS_OPTIONS)
    return made


@dataclass(slots=True)
class ListenOptions:
    """Where a server listens; exactly one of `port`, `path`, `fd`, `sock` counts, the last given of this list.

    Attributes:
        port: TCP port; 0 = any free one.
        host: address or name; None = all addresses, IPv6 and IPv4 if there is IPv6 (SRV-76).
        path: Unix-domain socket path.
        fd: descriptor of a socket that is bound, and maybe listens, already.
        sock: such a socket as an object.
        backlog: length of the queue of connections not yet accepted; 511 (SRV-80).
        ipv6_only: do not accept IPv4 on an IPv6 socket; False.
        readable_all, writable_all: let every user read, write the Unix-domain socket; False (SRV-75).
    """

    port: int = 0
    host: str | None = None
    path: str | None = None
    fd: int | None = None
    sock: Any = None
    backlog: int = DEFAULT_BACKLOG
    ipv6_only: bool = False
    readable_all: bool = False
    writable_all: bool = False


# exclusive concerns Node's clusters; taken and ignored.
LISTEN_OPTIONS: Final = frozenset({each.name for each in fields(ListenOptions)} | {"exclusive"})


def listen_options(
    port: object = 0,
    host: object = None,
    *,
    path: object = None,
    backlog: object = DEFAULT_BACKLOG,
    fd: object = None,
    sock: object = None,
    ipv6_only: object = False,
    readable_all: object = False,
    writable_all: object = False,
    callback: object = None,
) -> ListenOptions:
    """Check the arguments of ``listen()`` (SRV-75 to SRV-80).

    Args:
        port: 0 to 65535, 0 and None for any free one; a str of digits is a port, another str or a path
            object is a Unix-domain path (SRV-77); a mapping holds all arguments by name.
        host: address or name to bind; None or ``""`` = all addresses (SRV-76).
        path: Unix-domain socket path.
        backlog: 1 or more; 0 and None give the default, 511.
        fd: an inherited descriptor.
        sock: a bound socket object of the backend.
        ipv6_only: do not accept IPv4 on an IPv6 socket.
        readable_all: let every user read the Unix-domain socket.
        writable_all: let every user write to it.
        callback: checked, and not part of the result.

    Raises:
        ArgumentTypeError: an argument of the wrong type, or an unknown name in the mapping.
        ArgumentValueError: ``ERR_SOCKET_BAD_PORT`` (SRV-78), ``ERR_INVALID_OPT_VALUE`` for a port that is no
            number (SRV-79), ``ERR_INVALID_ARG_VALUE`` for a mapping that does not say where, or
            for two places at once.
    """
    if callback is not None:
        check_callable(callback, "callback", "argument")
    if isinstance(port, Mapping):
        return _listen_mapping(port)
    if path is None and (hasattr(type(port), "__fspath__") or (isinstance(port, str) and port and not _digits(port))):
        path, port = port, None
    number = _listen_port(port)
    place = check_socket_path(path, "path")
    if fd is not None and (isinstance(fd, bool) or not isinstance(fd, int)):
        raise wrong_type("fd", "int", fd)
    if isinstance(fd, int) and fd < 0:
        raise ArgumentValueError(f'The value of "fd" is out of range. Received {fd}', code="ERR_OUT_OF_RANGE")
    given = [name for name, value in (("port", number), ("path", place), ("sock", sock)) if value]
    if len(given) + (fd is not None) > 1:
        names = ", ".join(given + ["fd"] * (fd is not None))
        raise ArgumentValueError(f"A server listens in one place; these were given together: {names}")
    if sock is not None and (isinstance(sock, type) or not callable(getattr(sock, "getsockname", None))):
        raise wrong_type("sock", "socket", sock)
    if place is None and path is not None and not number and fd is None and sock is None:
        raise ArgumentValueError('The argument "path" is an empty text')
    return ListenOptions(
        port=number,
        host=check_host(host, "host") or None,
        path=place,
        fd=fd if isinstance(fd, int) else None,
        sock=sock,
        backlog=check_size(backlog, "backlog") or DEFAULT_BACKLOG,
        ipv6_only=check_bool(ipv6_only, "ipv6_only"),
        readable_all=check_bool(readable_all, "readable_all"),
        writable_all=check_bool(writable_all, "writable_all"),
    )


def _listen_mapping(options: Mapping[Any, Any]) -> ListenOptions:
    if not LISTEN_OPTIONS.issuperset(options):
        raise unknown_option(options, LISTEN_OPTIONS)
    # {"port": None} names the place (any port); a mapping without a place does not (SRV-76, SRV-79).
    if "port" not in options and all(options.get(name) is None for name in ("path", "fd", "sock")):
        raise ArgumentValueError('The argument "options" must have the property "port" or "path"')
    given = {name: value for name, value in options.items() if name != "exclusive" and value is not None}
    port = given.pop("port", 0)
    if isinstance(port, Mapping):
        raise ArgumentTypeError('The "options.port" property must be of type int or str. Received mapping')
    if isinstance(port, str) and not _digits(port):
        # In a mapping a path has its own name, so this is a bad port.
        check_port(port or "x", "port", prefix="options.port")
    return listen_options(port, **given)


def _listen_port(port: object) -> int:
    if isinstance(port, bool) or not (port is None or isinstance(port, (int, float, str))):
        raise ArgumentValueError(
            f'The value "{received(port)}" is invalid for option "port"', code="ERR_INVALID_OPT_VALUE"
        )
    return check_port(port, "port", prefix="options.port")


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
