"""Node's ``http`` module on asyncio.

from anywire.asyncio import http

async def app(req, res):
    res.write_head(200, {"Content-Type": "text/plain"})
    await res.end("hello")

async with http.create_server(app) as server:
    await server.listen(8080, "127.0.0.1")
    await server.serve_forever()
"""

from __future__ import annotations

import os
import time
from typing import Any

from anywire.core import METHODS, STATUS_CODES, OutgoingMessage, configure, validate_header_name, validate_header_value
from anywire.core.facade import install
from anywire.core.facade.awaiting import Agent, Api, ClientRequest, IncomingMessage, Server, ServerResponse, Socket

from ._runtime import current_runtime

__all__ = [
    "METHODS",
    "STATUS_CODES",
    "Agent",
    "ClientRequest",
    "IncomingMessage",
    "OutgoingMessage",
    "Server",
    "ServerResponse",
    "Socket",
    "create_server",
    "get",
    "global_agent",
    "max_header_size",
    "request",
    "set_global_agent",
    "validate_header_name",
    "validate_header_value",
]

global_agent: Agent
"""The Agent of requests that name none (MOD-11). Assign to replace it (MOD-12)."""
max_header_size: int
"""Bytes a message head may have, 16384 unless ``ANYWIRE_MAX_HTTP_HEADER_SIZE`` says otherwise (MOD-7). Read-only."""

configure(os.environ)
_api = Api(current_runtime, time.time)
install(__name__, _api)


def request(url: Any = None, callback: Any = None, /, **options: Any) -> ClientRequest:
    """Make a request (MOD-21 to MOD-63). The Agent decides now; connecting starts when somebody waits.

    Args:
        url: a str, a parsed URL, or a mapping of options.
        callback: a one-time ``response`` listener.
        **options: ``method``, ``headers``, ``agent``, ``timeout``, ``deadline``, …: see docs/options.md.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the argument and its value.
        RuntimeError: no event loop is running.
    """
    return _api.request(url, callback, **options)


def get(url: Any = None, callback: Any = None, /, **options: Any) -> ClientRequest:
    """Make a :func:`request` that is ended already (MOD-22).

    Use it as ``async with http.get(url) as response``, which also cleans up behind you.
    """
    return _api.get(url, callback, **options)


def create_server(options: Any = None, listener: Any = None, /, **keywords: Any) -> Server:
    """Make a server that is not listening yet (MOD-13 to MOD-20).

    Args:
        options: a mapping, or the ``request`` listener itself.
        listener: called with ``(req, res)`` for each request; may be ``async def``.
        **keywords: options by name: see docs/options.md.

    Raises:
        ArgumentTypeError, ArgumentValueError: naming the option and its value.
    """
    return _api.create_server(options, listener, **keywords)


def set_global_agent(agent: Agent) -> None:
    """Replace :data:`global_agent` for requests made from now on (MOD-12)."""
    _api.global_agent = agent
