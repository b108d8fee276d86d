"""The names of ``https``. There is no TLS here: connecting and listening raise ``ENOTSUP``."""

from __future__ import annotations

from anywire.core.facade import install
from anywire.core.facade.awaiting import Api, SecureAgent

from ._runtime import current_runtime, wall_clock

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

_api = Api(current_runtime, wall_clock, secure=True)
install(__name__, _api)

request = _api.request
get = _api.get
create_server = _api.create_server
set_global_agent = _api.set_global_agent
