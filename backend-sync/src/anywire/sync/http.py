"""Node's ``http`` module on threads. See the README for how it looks, docs/options.md for all options."""

from __future__ import annotations

import os
import time

from anywire.core import METHODS, STATUS_CODES, OutgoingMessage, configure, validate_header_name, validate_header_value
from anywire.core.facade import install
from anywire.core.facade.blocking import CrewServer as Server
from anywire.core.facade.blocking import GuardedRequest as ClientRequest
from anywire.core.facade.blocking import IncomingMessage, ServerResponse, Socket

from ._runtime import Agent, Api, runtime

__all__ = [
    "METHODS", "STATUS_CODES", "Agent", "ClientRequest", "IncomingMessage", "OutgoingMessage", "Server",
    "ServerResponse", "Socket", "create_server", "get", "global_agent", "max_header_size", "request",
    "set_global_agent", "validate_header_name", "validate_header_value",
]  # fmt: skip

global_agent: Agent
"""The Agent of requests that name none (MOD-11). Assign to replace it (MOD-12)."""
max_header_size: int
"""Bytes a message head may have, 16384 unless ``ANYWIRE_MAX_HTTP_HEADER_SIZE`` says otherwise (MOD-7). Read-only."""

configure(os.environ)
_api = Api(runtime, time.time)
install(__name__, _api)

request = _api.request
get = _api.get
create_server = _api.create_server
set_global_agent = _api.set_global_agent
