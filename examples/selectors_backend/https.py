"""Node's ``https`` module on that loop. TLS stands between pump and connection, so there is nothing to do for it."""

from __future__ import annotations

import time

from anywire.core.facade import install

from anywire.core.facade.awaiting import Api, SecureAgent as Agent  # isort: skip

from .http import Server
from .runtime import current_runtime

__all__ = ["Agent", "Server", "create_server", "get", "global_agent", "request", "set_global_agent"]

global_agent: Agent

_api = Api(current_runtime, time.time, secure=True)
install(__name__, _api)

request, get, create_server, set_global_agent = _api.request, _api.get, _api.create_server, _api.set_global_agent
