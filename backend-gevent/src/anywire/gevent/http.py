"""Node's ``http`` module on gevent. See the README for how it looks, docs/options.md for all options."""

from __future__ import annotations

import os as _os
import time as _time

from anywire.core.facade import install as _install
from anywire.core.facade.blocking import Agent, ClientRequest, IncomingMessage, Server, ServerResponse, Socket
from anywire.core.facade.blocking import Api as _Api

# fmt: off
from anywire.core import (  # isort: skip
    METHODS, STATUS_CODES, AnywireError, ArgumentTypeError, ArgumentValueError, ConnectError, ConnectionLost,
    OutgoingMessage, ParseError, StateError, TimedOut, TLSError, TruncatedError, configure as _configure,
    validate_header_name, validate_header_value,
)
# fmt: on

from ._runtime import current_runtime as _runtime

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

_configure(_os.environ)
_api = _Api(_runtime, _time.time)
_install(__name__, _api, _os)

request = _api.request
get = _api.get
create_server = _api.create_server
set_global_agent = _api.set_global_agent
