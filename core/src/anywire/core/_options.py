"""What ``request()`` and ``get()`` take: checked, completed, in one object (MOD-21 to MOD-62).

Theory of operation. :func:`request_options` runs once per request, so what depends on the URL alone is
cached with the URL, what depends on the host alone with the host, and the options that most requests
never give are looked at only if one of them is there (``plain`` says so).

Everything that can be wrong is found here, at the call, before anything is connected or
written. Every error names the argument and shows the value, with Node's code, in the order of MOD-62:
unknown names, URL, agent, path, protocol, host, timeouts, method, max_header_size,
insecure_http_parser, lenient, headers, then what concerns the connection.

How this differs from Node:

* None means "not given" everywhere (but see ``set_host``, MOD-58).
* An unknown name is an error that proposes the closest known one, for a misspelt ``timeuot=5`` that is silently
  ignored is a hang in production. Options meant for a backend's own connection function go into
  ``socket_options={...}``, TLS options that we do not know into ``tls={...}``; both pass unchecked (MOD-61).
* A host is checked like the host of a URL: no URL, port or white space in it, no
  ambiguous IPv4 address (SEC-48), international names in punycode, so that the name resolved is the name sent.
* ``headers`` that is a number or a str is refused (MOD-46 calls Node's reading an artefact).
* Durations are float seconds.

Nothing given is ever modified (MOD-31).
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from ._agent import Agent
from ._chars import check_method, check_target, safe_text
from ._checks import (
    EMPTY,
    MAX_TIMEOUT,
    check_bool,
    check_callable,
    check_host,
    check_ip,
    check_mapping,
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
from ._leniency import check_lenient
from ._names import TLS_OPTIONS
from ._status import METHODS
from ._url import is_ipv4, parse_url

__all__ = [
    "MAX_TIMEOUT",
    "REQUEST_OPTIONS",
    "RequestOptions",
    "authorization_header",
    "check_agent",
    "check_family",
    "check_host_value",
    "check_timeout",
    "host_header",
    "path_text",
    "request_arguments",
    "request_options",
    "server_name",
]

_METHODS: Final = frozenset(METHODS)
# Options that the quick way of request_options() looks at itself.
_COMMON: Final = frozenset({"agent", "method", "headers", "timeout", "deadline", "path", "replay"})
REQUEST_OPTIONS: Final = (
    _COMMON
    | TLS_OPTIONS
    | {
        "auth", "create_connection", "default_port", "family", "host", "hostname", "insecure_http_parser",
        "join_duplicate_headers", "lenient", "local_address", "lookup", "max_header_size", "max_headers_count", "port",
        "protocol", "set_host", "signal", "socket_options", "socket_path", "tls", "unique_headers",
        "queue_timeout", "connect_timeout", "tls_timeout", "write_timeout", "head_timeout", "idle_timeout",
        "continue_timeout",
    }
)  # fmt: skip
"""Every name that ``request()`` and ``get()`` know."""
_LIMITS: Final = (
    "queue_timeout", "connect_timeout", "tls_timeout", "write_timeout", "head_timeout", "idle_timeout",
    "continue_timeout",
)  # fmt: skip


_BODY: Final = "the body is written with write() or end()"
_HINTS: Final = {
    "body": _BODY,
    "content": _BODY,
    "data": _BODY,
    "files": _BODY,
    "form": _BODY,
    "json": _BODY,
    "cookies": "send a Cookie field in headers",
    "params": "the query is part of the URL",
    "verify": 'it is "reject_unauthorized", or "ca" for a file of authorities',
}
"""What people mean who know other clients."""


class _Rare:
    """What most requests do not say, as it is then: nothing of it is copied for each of them."""

    __slots__ = ()

    auth: str | None = None
    set_host: bool = True
    create_connection: Callable[..., Any] | None = None
    queue_timeout: float | None = None
    connect_timeout: float | None = None
    tls_timeout: float | None = None
    write_timeout: float | None = None
    head_timeout: float | None = None
    idle_timeout: float | None = None
    continue_timeout: float | None = None
    max_header_size: int | None = None
    max_headers_count: int | None = None
    insecure_http_parser: bool | None = None
    lenient: frozenset[str] | None = None
    unique_headers: frozenset[str] | None = None
    join_duplicate_headers: bool = False
    socket_path: str | None = None
    local_address: str | None = None
    family: int | None = None
    lookup: Callable[..., Any] | None = None
    servername: str | None = None
    tls: Mapping[str, Any] = EMPTY
    socket_options: Mapping[str, Any] = EMPTY
    signal: Any = None


class RequestOptions(_Rare):
    """The checked options of one request.

    Attributes:
        method: upper case (MOD-54); ``"GET"``.
        path: the request target (MOD-55); ``"/"``.
        protocol: ``"http:"`` or ``"https:"`` (MOD-57).
        host: where to connect to: name or IP literal without brackets (MOD-44); ``"localhost"``.
        port: 1 to 65535 (MOD-43).
        default_port: the port that the Host header leaves out (MOD-42).
        header_host: `host` as it stands in a Host header: IPv6 in brackets, without zone.
        name: the pool's name if there is nothing but host and port to it (AGT-17), see `plain`.
        headers: as given: a mapping, or a list of pairs (MOD-46, MOD-47); or None.
        auth: ``"user:password"`` (MOD-41); or None.
        set_host: add a Host header (MOD-58); True.
        agent: as given: None (the global one), False (a fresh one), or an agent (MOD-36).
        create_connection: makes the connection instead of an agent; None unless it is callable
            and no agent was given (MOD-37, MOD-38, MOD-40).
        timeout: idle timeout in seconds; 0.0 = none, None = not given, so the agent's applies (MOD-60).
        deadline: limit in seconds for the whole exchange, from the call to the last trailer; None = none (ASK-20).
        queue_timeout, connect_timeout, tls_timeout, write_timeout, head_timeout, idle_timeout: limits in seconds of
            the single phases: waiting for a socket, resolving and connecting, the TLS handshake (None = it is part of
            connecting), waiting for a server that takes nothing of the request (None = `idle_timeout`), waiting for
            the head of the answer, waiting for more of its body; None = none (ASK-19).
        continue_timeout: with ``Expect: 100-continue``, how long the body is held back for an answer; None = it is
            not held back (CLI-19).
        replay: may be sent again on a stale reused connection; True.
        max_header_size: bytes of a response head; None = the process-wide default (MOD-53).
        max_headers_count: fields of a response head; 0 = unlimited, None = the default, 2000 (CLI-30).
        insecure_http_parser: None = the process-wide default (MOD-50).
        lenient: names of `LENIENCIES` that the answer may need (ASK-36); None = those of the agent.
        unique_headers: names, in lower case, of fields whose lists are sent as one line (MOD-L3); or None.
        join_duplicate_headers: join repeated fields of the answer of which the first would win (MOD-L3); False.
        socket_path: Unix-domain socket to connect to instead of `host` and `port` (MOD-59); or None.
        local_address: IP literal to bind to (MOD-51); or None.
        family: 4, 6, or None for both (MOD-45).
        lookup: resolver (MOD-52); or None.
        servername: TLS server name, used as it is even if empty (MOD-69); None = see :func:`server_name`.
        tls: the TLS options given, by the names in ``TLS_OPTIONS``.
        socket_options: options for the connection function that we do not know (MOD-61).
        signal: an object with ``aborted`` and ``once("abort", f)`` that destroys the request (MOD-L2); or None.
        wall_clock: seconds since the epoch, for ``send_date`` (CLI-13); None = there is no clock. Set by the facade.
        plain: none of the rare options was given: all attributes from `auth` on but `agent`, the timeouts that
            are not of single phases and `replay` have their defaults or come from the URL.
    """

    __slots__ = (
        "__dict__", "agent", "deadline", "default_port", "header_host", "headers", "host", "method", "name", "path",
        "plain", "port", "protocol", "replay", "timeout", "wall_clock",
    )  # fmt: skip

    method: str
    path: str
    protocol: str
    host: str
    port: int
    default_port: int
    header_host: str
    name: str
    headers: Any
    agent: Any
    timeout: float | None
    deadline: float | None
    replay: bool
    wall_clock: Callable[[], float] | None
    plain: bool

    @property
    def parsing(self) -> tuple[int | None, int | None, bool | None, frozenset[str] | None] | None:
        """What is the request's own in how its answer is parsed; None for nearly every request: nothing is."""
        if self.plain:
            return None
        return self.max_header_size, self.max_headers_count, self.insecure_http_parser, self.lenient

    def connection_options(self) -> dict[str, Any]:
        """What decides which connection is wanted: the argument of ``get_name`` and ``create_connection`` (AGT-31).

        A new dict each time: ``host``, ``port``, ``path`` (always the Unix path or None); and of the rest what was
        given: the TLS options by their names, what we do not know in the mappings ``tls`` and ``socket_options``.
        """
        made: dict[str, Any] = {"host": self.host, "port": self.port, "path": self.socket_path}
        if not self.plain:
            for name in ("local_address", "family", "socket_path", "lookup"):
                if (value := getattr(self, name)) is not None:
                    made[name] = value
            unknown: dict[str, Any] = {}
            for name, value in self.tls.items():
                (made if name in TLS_OPTIONS else unknown)[name] = value
            if unknown:
                made["tls"] = unknown
            if self.socket_options:
                made["socket_options"] = self.socket_options
        return made


def request_arguments(
    url: object = None, callback: object = None, options: Mapping[str, Any] = EMPTY
) -> tuple[Any, Callable[..., object] | None, Mapping[str, Any]]:
    """Sort out the forms of MOD-21: ``(url, options, callback)`` from what stands in front of the keywords.

    ``request(callback)``, ``request(options, callback)`` and ``request(None)`` are among
    them. Where a positional mapping and a keyword give the same option, the keyword wins.

    Raises:
        ArgumentTypeError: `callback` is not callable.
    """
    if callable(url) and callback is None:
        url, callback = None, url
    elif isinstance(url, Mapping):
        options = {**url, **options}
        url = None
    if callback is not None and not callable(callback):
        raise wrong_type("callback", "callable", callback, "argument")
    return url, callback, options


def request_options(
    url: object = None,
    options: Mapping[str, Any] = EMPTY,
    *,
    secure: bool = False,
    default_agent: Any = None,
) -> RequestOptions:
    """Check and complete the arguments of a request.

    Args:
        url: a str, a parsed URL, or None (MOD-25). What it says is overruled by `options`, key by
            key (MOD-28); but it gives ``hostname``, which outranks ``host`` (MOD-29).
        options: the options by name, see :class:`RequestOptions`. Not modified.
        secure: called through the https module: protocol ``https:``, port 443 (MOD-65).
        default_agent: the global agent of that module, whose ``protocol`` and
            ``default_port`` are the defaults (MOD-42, MOD-57); None = Node's values.

    Returns:
        The options; with ``agent`` as given.

    Raises:
        ArgumentTypeError: an argument of the wrong type, or an unknown name.
        ArgumentValueError: with Node's code, see the module's text.
    """
    if type(options) is not dict:
        options = dict(options)
    plain = _COMMON.issuperset(options)
    if not plain and not REQUEST_OPTIONS.issuperset(options):
        raise unknown_option(options, REQUEST_OPTIONS, _HINTS)
    get = options.get
    made = RequestOptions()
    parsed = None if url is None else parse_url(url)

    agent = made.agent = get("agent")
    used: Any = default_agent if agent is None or agent is False else agent
    if not (agent is None or agent is False or isinstance(agent, Agent)):
        check_agent(agent)

    path = get("path")
    if path is not None and path != "":
        if type(path) is not str:
            path = path_text(path)
        made.path = check_target(path)
    else:
        made.path = "/" if parsed is None else parsed.path

    # The defaults are those of the module called, what is expected is what the agent speaks (MOD-57, MOD-66, MOD-67).
    standard = "https:" if secure else "http:"
    protocol = get("protocol") or (parsed.protocol if parsed is not None else None)
    if protocol is None:
        protocol = getattr(default_agent, "protocol", None) or standard
    expected = getattr(used, "protocol", None) or standard
    if protocol != expected:
        raise ArgumentValueError(
            f'Protocol "{safe_text(protocol)}" not supported. Expected "{safe_text(expected)}"',
            code="ERR_INVALID_PROTOCOL",
        )
    made.protocol = expected
    made.default_port = getattr(used, "default_port", None) or (443 if secure else 80)

    host = "" if parsed is None else parsed.hostname
    if not plain:
        host = _host(options, host)

    made.timeout = None if (timeout := get("timeout")) is None else check_timeout(timeout, "timeout")
    made.deadline = None if (deadline := get("deadline")) is None else check_timeout(deadline, "deadline") or None
    method = get("method")
    if type(method) is str and method in _METHODS:
        made.method = method
    else:
        made.method = "GET" if method is None else check_method(method)
    replay = get("replay")
    made.replay = True if replay is None else check_bool(replay, "replay")

    if parsed is not None and parsed.auth is not None:
        made.auth = parsed.auth
    made.wall_clock = None
    made.port = made.default_port if parsed is None or parsed.port is None else parsed.port
    made.host, made.header_host, made.name = _host_forms(host, made.port)
    made.plain = plain
    headers = made.headers = get("headers")
    if plain:
        if headers is not None and type(headers) is not dict:
            _check_headers(headers)
        return made
    _rare(made, options, None if parsed is None else parsed.port)
    return made


def _rare(made: RequestOptions, options: Mapping[str, Any], url_port: int | None) -> None:
    """The options most requests do not give; in the order of MOD-62."""
    get = options.get
    for name in _LIMITS:
        if (value := get(name)) is not None:
            setattr(made, name, check_timeout(value, name) or None)
    made.max_header_size = check_size(get("max_header_size"), "max_header_size") or None
    made.max_headers_count = check_size(get("max_headers_count"), "max_headers_count")
    if (lenient := get("insecure_http_parser")) is not None:
        made.insecure_http_parser = check_bool(lenient, "insecure_http_parser")
    made.lenient = check_lenient(get("lenient"))
    if (joins := get("join_duplicate_headers")) is not None:
        made.join_duplicate_headers = check_bool(joins, "join_duplicate_headers")
    made.unique_headers = check_names(get("unique_headers"), "unique_headers")
    if made.headers is not None:
        _check_headers(made.headers)
    if (auth := get("auth")) is not None:
        if not isinstance(auth, str):
            raise wrong_type("auth", "str", auth)
        if not auth.isascii() and any("\ud800" <= each <= "\udfff" for each in auth):
            raise ArgumentValueError('The property "options.auth" holds a lone surrogate, which has no UTF-8')
        made.auth = auth or None
    # Only here does None say something: any falsy value but an absent one turns it off (MOD-58).
    if "set_host" in options:
        set_host = options["set_host"]
        if set_host is not None and not isinstance(set_host, (bool, int, str)):
            raise wrong_type("set_host", "bool", set_host)
        made.set_host = bool(set_host)

    made.default_port = check_port(get("default_port"), "default_port") or made.default_port
    made.port = check_port(get("port"), "port") or url_port or made.default_port
    made.socket_path = check_socket_path(get("socket_path"), "socket_path")
    if local_address := get("local_address"):
        made.local_address = check_ip(local_address)
    made.family = check_family(get("family"))
    if (lookup := get("lookup")) is not None:
        made.lookup = check_callable(lookup, "lookup")
    if (create := get("create_connection")) is not None:
        check_callable(create, "create_connection")
        if made.agent is None:
            made.create_connection = create
    if (signal := get("signal")) is not None:
        if not hasattr(signal, "aborted") or not callable(getattr(signal, "once", None)):
            raise wrong_type("signal", "object with aborted and once()", signal)
        made.signal = signal
    if (socket_options := get("socket_options")) is not None:
        made.socket_options = dict(check_mapping(socket_options, "socket_options"))
    if "tls" in options or not TLS_OPTIONS.isdisjoint(options):
        made.tls = tls_options(options)
        if made.protocol == "http:":
            refuse_tls(made.tls)
    if (servername := made.tls.get("servername")) is not None:
        if not isinstance(servername, str):
            raise wrong_type("servername", "str", servername)
        made.servername = servername


# What is made of the options later, when the head is rendered.


def host_header(options: RequestOptions) -> str:
    """The value of the automatic Host header (MOD-42, MOD-59, WIR-27).

    Whether there is to be one (``set_host``, MOD-58; a Host header of the caller's) is for the caller to ask.
    """
    if options.port == options.default_port:
        return options.header_host
    return f"{options.header_host}:{options.port}"


def authorization_header(auth: str) -> str:
    """The value of the automatic Authorization header: ``Basic`` over UTF-8 (MOD-41)."""
    return "Basic " + b2a_base64(auth.encode(), newline=False).decode("ascii")


def check_host_value(value: object) -> str:
    """Return the value of a Host header that the caller gave; ``""`` counts as not given (MOD-49).

    Raises:
        ArgumentTypeError: it is not a str.
    """
    if not isinstance(value, str):
        raise wrong_type("headers.host", "str", value)
    return value


def server_name(options: RequestOptions, host_field: str | None = None) -> str:
    """The TLS server name: what SNI says and the certificate must be for (MOD-69, MOD-70).

    Args:
        options: an explicit ``servername`` is used unchanged.
        host_field: the Host header of the request, if it has one.

    Returns:
        A name; ``""`` for an IP address: no SNI then.
    """
    if options.servername is not None:
        return options.servername
    name = options.host
    if host_field:
        if host_field.startswith("["):
            name = host_field[1:].partition("]")[0]
        else:
            name = host_field.partition(":")[0]
    return "" if is_ipv4(name) or ":" in name else name


@lru_cache(maxsize=512, typed=True)  # an agent may have its own idea of what a port is
def _host_forms(host: str, port: int) -> tuple[str, str, str]:
    """Host to connect to, the same as it stands in a Host header (WIR-27), and what ``http_name`` says of them."""
    host = host or "localhost"
    name = f"{host}:{port}:"
    if ":" not in host:
        return host, host, name
    # A zone says which of *our* interfaces is meant and is not the peer's business (RFC 6874 section 4).
    return host, f"[{host.partition('%')[0]}]", name


def _host(options: Mapping[str, Any], url_hostname: str) -> str:
    hostname, host = options.get("hostname"), options.get("host")
    # An explicit "" overrules the URL's host name and is then itself absent (MOD-28, MOD-44).
    first = url_hostname if hostname is None else check_host(hostname, "hostname")
    second = check_host(host, "host")
    return first or second


def check_agent(agent: Any, name: str = "options.agent", kind: str = "property") -> Any:
    """Something with ``add_request()`` (MOD-36); a class has one too, and is none.

    Raises:
        ArgumentTypeError: beginning with Node's text, which a Python programmer gets explained.
    """
    if isinstance(agent, type) or not callable(getattr(agent, "add_request", None)):
        raise ArgumentTypeError(
            f'The "{name}" {kind} must be one of Agent-like Object, undefined, or false. '
            f"Received {received(agent)}: give an Agent, False for a new one, or None for the global one"
        )
    return agent


def path_text(path: object) -> str:
    """The text of a request target given as any object (MOD-55)."""
    if isinstance(path, (bytes, bytearray, memoryview)):
        # str() would make "b'/x'" of it.
        raise wrong_type("path", "str", path)
    # Of a subclass of str (an Enum, say) its characters, not what its __str__ makes of them.
    return str.__str__(path) if isinstance(path, str) else str(path)


def _check_headers(headers: object) -> None:
    if not isinstance(headers, (Mapping, list, tuple)):
        raise wrong_type("headers", "mapping or list of pairs", headers)


def check_family(value: object) -> int | None:
    """4, 6, or None for both (MOD-45; Node ignores what is none of these)."""
    # socket.AF_INET and AF_INET6 are what a Python programmer writes; their numbers differ by platform.
    name = getattr(value, "name", "")
    if name == "AF_INET" or value == 4:
        return 4
    if name == "AF_INET6" or value == 6:
        return 6
    if value is None or value == 0:
        return None
    if not isinstance(value, int):
        raise wrong_type("family", "int", value)
    raise ArgumentValueError(f'The "options.family" property must be 4, 6 or None. Received {received(value)}')
