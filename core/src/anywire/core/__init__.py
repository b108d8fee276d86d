"""anywire's pure core: HTTP/1.1 as state machines, and the policy of a connection pool.

Nothing here does I/O, knows a runtime or reads a clock. Three layers can be used on
their own: the parser and serializer; :class:`ServerConnection` and
:class:`ClientConnection`, bytes in and events out; and :class:`Agent`, which decides
about connections it never touches. ``anywire.core.facade`` holds the classes of the
``http`` modules, for those who write a backend.
"""

from __future__ import annotations

from ._agent import Agent
from ._chars import validate_header_name, validate_header_value
from ._client_agent import ClientAgent
from ._client_connection import ClientConnection
from ._connection import CLOSED_EVENT, Connection, Signal
from ._date import DateLine, http_date
from ._emitter import Emitter
from ._errors import (
    AnywireError,
    ArgumentTypeError,
    ArgumentValueError,
    ConnectError,
    ConnectionLost,
    LocalError,
    ParseError,
    RemoteError,
    StateError,
    TimedOut,
    TLSError,
    TruncatedError,
    os_error,
    tls_error,
)
from ._fields import distinct_fields, join_fields, parse_fields
from ._framing import REQUEST, RESPONSE
from ._header_store import HeaderStore
from ._incoming import IncomingMessage
from ._keywords import AgentKeywords, RequestKeywords, ServerKeywords
from ._lease import ASSIGNED, DONE, OPEN, QUEUED, Lease, PoolStats
from ._leniency import LENIENCIES, Leniency
from ._limits import Limits
from ._names import http_name, https_name
from ._options import RequestOptions, request_options
from ._outgoing import HIGH_WATER_MARK, OutgoingMessage
from ._parser import Parser
from ._plans import UNIX, Address, Attempt, Race, Resolve, addresses_from_lookup, connect_path_plan, connect_plan
from ._pump import FOREVER, NOBODY, Feed, Pump
from ._raw import RawStream
from ._request import ClientRequest
from ._response import ServerResponse
from ._server import Server
from ._server_connection import ServerConnection
from ._server_options import ListenOptions, ServerOptions, listen_options, server_options
from ._settings import SETTINGS, configure
from ._status import METHODS, STATUS_CODES
from ._timings import Timings
from ._tls import client_context, server_context
from ._url import ParsedUrl, parse_url

__all__ = [
    "ASSIGNED",
    "CLOSED_EVENT",
    "DONE",
    "FOREVER",
    "HIGH_WATER_MARK",
    "LENIENCIES",
    "METHODS",
    "NOBODY",
    "OPEN",
    "QUEUED",
    "REQUEST",
    "RESPONSE",
    "SETTINGS",
    "STATUS_CODES",
    "UNIX",
    "Address",
    "Agent",
    "AgentKeywords",
    "AnywireError",
    "ArgumentTypeError",
    "ArgumentValueError",
    "Attempt",
    "ClientAgent",
    "ClientConnection",
    "ClientRequest",
    "ConnectError",
    "Connection",
    "ConnectionLost",
    "DateLine",
    "Emitter",
    "Feed",
    "HeaderStore",
    "IncomingMessage",
    "Lease",
    "Leniency",
    "Limits",
    "ListenOptions",
    "LocalError",
    "OutgoingMessage",
    "ParseError",
    "ParsedUrl",
    "Parser",
    "PoolStats",
    "Pump",
    "Race",
    "RawStream",
    "RemoteError",
    "RequestKeywords",
    "RequestOptions",
    "Resolve",
    "Server",
    "ServerConnection",
    "ServerKeywords",
    "ServerOptions",
    "ServerResponse",
    "Signal",
    "StateError",
    "TLSError",
    "TimedOut",
    "Timings",
    "TruncatedError",
    "addresses_from_lookup",
    "client_context",
    "configure",
    "connect_path_plan",
    "connect_plan",
    "distinct_fields",
    "http_date",
    "http_name",
    "https_name",
    "join_fields",
    "listen_options",
    "os_error",
    "parse_fields",
    "parse_url",
    "request_options",
    "server_context",
    "server_options",
    "tls_error",
    "validate_header_name",
    "validate_header_value",
]
