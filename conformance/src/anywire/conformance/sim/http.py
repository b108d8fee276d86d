"""Node's ``http`` module inside :func:`anywire.conformance.sim.run`."""

from __future__ import annotations

import os

from anywire.core.facade import install
from anywire.core.facade.awaiting import Agent, Api, ClientRequest, IncomingMessage, Server, ServerResponse, Socket

# fmt: off
from anywire.core import (  # isort: skip
    METHODS, STATUS_CODES, AnywireError, ArgumentTypeError, ArgumentValueError, ConnectError, ConnectionLost,
    OutgoingMessage, ParseError, StateError, TimedOut, TLSError, TruncatedError, configure, validate_header_name,
    validate_header_value,
)
# fmt: on

from ._runtime import current_runtime, wall_clock

__all__ = [
    "METHODS", "STATUS_CODES", "Agent", "AnywireError", "ArgumentTypeError", "ArgumentValueError", "ClientRequest",
    "ConnectError", "ConnectionLost", "IncomingMessage", "OutgoingMessage", "ParseError", "Server", "ServerResponse",
    "Socket", "StateError", "TLSError", "TimedOut", "TruncatedError", "create_server", "get", "global_agent",
    "max_header_size", "request", "set_global_agent", "validate_header_name", "validate_header_value",
]  # fmt: skip

global_agent: Agent
"""The Agent of requests that name none (MOD-11). Assign to replace it (MOD-12)."""
max_header_size: int
"""Bytes a message head may have, 16384 unless ``ANYWIRE_MAX_HTTP_HEADER_SIZE`` says otherwise (MOD-7). Read-only."""

configure(os.environ)
_api = Api(current_runtime, wall_clock)
install(__name__, _api)

request, get, create_server, set_global_agent = _api.request, _api.get, _api.create_server, _api.set_global_agent
