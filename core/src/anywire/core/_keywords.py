"""The options by name, for type checkers: what ``request()``, ``Agent()`` and ``create_server()`` take as keywords.

They say nothing that the tables do not say (``REQUEST_OPTIONS``, ``AGENT_OPTIONS``, ``SERVER_OPTIONS``; a test compares
them), and are not looked at when the program runs. docs/options.md tells what each option means. Where None is taken it
is "not given". A function of your own that hands options on is typed by them, too::

    def fetch(url: str, **options: Unpack[RequestKeywords]) -> http.ClientRequest: ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, TypedDict

__all__ = ["AgentKeywords", "RequestKeywords", "ServerKeywords"]


class _Path(Protocol):
    """A path object, such as ``pathlib.Path``."""

    def __fspath__(self) -> str: ...


class _AgentLike(Protocol):
    """An Agent, or an object that does the same (MOD-36)."""

    def add_request(self, request: Any, options: Any, /) -> object: ...


_Pem: TypeAlias = str | bytes | _Path
"""PEM text, or the path of a file with it."""


_Lenient: TypeAlias = Literal[
    "bad_lines",
    "bare_lf",
    "control_chars",
    "length_with_chunked",
    "repeated_length",
    "space_before_colon",
    "status_line",
]
"""A leniency."""


class _TlsKeywords(TypedDict, total=False):
    """TLS, for clients and servers."""

    alpn_protocols: Sequence[str] | None
    ca: _Pem | Sequence[_Pem] | None
    cert: _Pem | None
    check_hostname: bool | None
    check_server_identity: Any
    ciphers: str | None
    client_cert_engine: Any
    crl: Any
    dhparam: Any
    ecdh_curve: str | None
    honor_cipher_order: bool | None
    key: _Pem | None
    max_version: Any
    min_version: Any
    passphrase: str | bytes | None
    pfx: Any
    reject_unauthorized: bool | None
    secure_options: int | None
    secure_protocol: Any
    servername: str | None
    session_id_context: Any
    sigalgs: Any
    ssl_context: Any
    tls: Mapping[str, Any] | None


class _ConnectionKeywords(_TlsKeywords, total=False):
    """Where and how to connect."""

    create_connection: Callable[..., Any] | None
    default_port: int | None
    family: int | None
    host: str | None
    local_address: str | None
    lookup: Callable[..., Any] | None
    port: int | str | None
    socket_options: Mapping[str, Any] | None
    socket_path: str | _Path | None
    timeout: float | None


class RequestKeywords(_ConnectionKeywords, total=False):
    """What ``request()`` and ``get()`` take as keywords."""

    agent: _AgentLike | Literal[False] | None
    auth: str | None
    connect_timeout: float | None
    continue_timeout: float | None
    deadline: float | None
    head_timeout: float | None
    headers: Mapping[str, Any] | Sequence[tuple[str, Any]] | Sequence[list[Any]] | None
    hostname: str | None
    idle_timeout: float | None
    insecure_http_parser: bool | None
    join_duplicate_headers: bool | None
    lenient: Iterable[_Lenient] | None
    max_header_size: int | None
    max_headers_count: int | None
    method: str | None
    path: str | None
    protocol: str | None
    queue_timeout: float | None
    replay: bool | None
    set_host: bool | None
    signal: Any
    tls_timeout: float | None
    unique_headers: Iterable[str] | None
    write_timeout: float | None


class AgentKeywords(_ConnectionKeywords, total=False):
    """What ``Agent()`` takes as keywords; that of ``https`` takes ``max_cached_sessions``, too."""

    keep_alive: bool
    keep_alive_delay: float | None
    lenient: Iterable[_Lenient] | None
    max_free_sockets: float | None
    max_socket_age: float | None
    max_sockets: float | None
    max_total_sockets: float | None
    path: str | None
    protocol: Literal["http:", "https:"]
    scheduling: Literal["fifo", "lifo"]


class ServerKeywords(_TlsKeywords, total=False):
    """What ``create_server()`` takes as keywords."""

    allow_half_open: bool | None
    at_max_connections: Literal["drop", "pause"] | None
    headers_timeout: float | None
    http_allow_half_open: bool | None
    incoming_message_class: type[Any] | None
    insecure_http_parser: bool | None
    join_duplicate_headers: bool | None
    keep_alive_hint: bool | None
    keep_alive_timeout: float | None
    linger_timeout: float | None
    max_buffered: int | None
    max_chunk_extension_size: int | None
    max_connections: int | None
    max_drain: int | None
    max_header_size: int | None
    max_headers_count: int | None
    max_requests_per_socket: int | None
    max_trailer_size: int | None
    request_cert: bool | None
    request_timeout: float | None
    require_host_header: bool | None
    server_response_class: type[Any] | None
    should_upgrade_callback: Callable[[Any], object] | None
    timeout: float | None
    unique_headers: Iterable[str] | None
    write_timeout: float | None
