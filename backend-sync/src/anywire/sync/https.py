"""Node's ``https`` module on threads: :mod:`anywire.sync.http` with TLS in both roles (MOD-64 to MOD-78)."""

from __future__ import annotations

import time

from anywire.core.facade import install

from ._runtime import Api, SecureAgent, runtime

# fmt: off
from .http import (  # isort: skip
    METHODS, STATUS_CODES, ClientRequest, IncomingMessage, OutgoingMessage, Server, ServerResponse, Socket,
    validate_header_name, validate_header_value,
)
# fmt: on

__all__ = [
    "METHODS", "STATUS_CODES", "Agent", "ClientRequest", "IncomingMessage", "OutgoingMessage", "Server",
    "ServerResponse", "Socket", "create_server", "get", "global_agent", "max_header_size", "request",
    "set_global_agent", "validate_header_name", "validate_header_value",
]  # fmt: skip

Agent = SecureAgent

global_agent: SecureAgent
"""The Agent of requests that name none (MOD-11). Assign to replace it (MOD-12)."""
max_header_size: int
"""Bytes a message head may have, 16384 unless ``ANYWIRE_MAX_HTTP_HEADER_SIZE`` says otherwise (MOD-7). Read-only."""

_api = Api(runtime, time.time, secure=True)
install(__name__, _api)

request = _api.request
get = _api.get
create_server = _api.create_server
set_global_agent = _api.set_global_agent
