"""Node's ``http`` module on that loop."""

from __future__ import annotations

import os
import time

from anywire.core import METHODS, STATUS_CODES, OutgoingMessage, configure, validate_header_name, validate_header_value
from anywire.core.facade import install
from anywire.core.facade.awaiting import Agent, Api, ClientRequest, IncomingMessage, Server, ServerResponse, Socket

from .runtime import current_runtime

__all__ = [
    "METHODS", "STATUS_CODES", "Agent", "ClientRequest", "IncomingMessage", "OutgoingMessage", "Server",
    "ServerResponse", "Socket", "create_server", "get", "global_agent", "max_header_size", "request",
    "set_global_agent", "validate_header_name", "validate_header_value",
]  # fmt: skip

global_agent: Agent
max_header_size: int

configure(os.environ)
_api = Api(current_runtime, time.time)
install(__name__, _api, os)

request, get, create_server, set_global_agent = _api.request, _api.get, _api.create_server, _api.set_global_agent
