"""Facades: the classes users hold, with the methods that wait.

``awaiting`` is for runtimes with ``await`` (asyncio, trio, a loop of yours), ``blocking``
for threads and greenlets. Both are thin: everything that does not wait stands in the
core's message and connection classes, or here, once for both; a method there is a loop
around ``pump.wait()``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .._secure import SecureFeed
from .._settings import SETTINGS
from ._api import Api, forked
from ._deadlines import Deadline, Deadlines
from ._door import Door, Listening, LoopDoor
from ._socket_pump import CLOSE_TIMEOUT, RESCUE, SocketPump
from ._sockets import (
    PROBE,
    SocketRuntime,
    adopt_socket,
    connect_outcome,
    enable_keep_alive,
    listening_sockets,
    numeric_addresses,
    start_connect,
    to_addresses,
    wanted_family,
)
from ._watched_pump import READABLE, WRITABLE, WatchedPump

__all__ = [
    "CLOSE_TIMEOUT",
    "READABLE",
    "RESCUE",
    "WRITABLE",
    "Api",
    "Deadline",
    "Deadlines",
    "Door",
    "Listening",
    "LoopDoor",
    "PROBE",
    "SecureFeed",
    "SocketPump",
    "SocketRuntime",
    "WatchedPump",
    "adopt_socket",
    "connect_outcome",
    "enable_keep_alive",
    "install",
    "listening_sockets",
    "numeric_addresses",
    "start_connect",
    "to_addresses",
    "wanted_family",
]


class _HttpModule(ModuleType):
    """An ``http`` or ``https`` module: two of its names are more than values."""

    _api: Any

    @property
    def global_agent(self) -> Any:
        return self._api.global_agent

    @global_agent.setter
    def global_agent(self, agent: Any) -> None:
        self._api.set_global_agent(agent)

    def __dir__(self) -> list[str]:
        """What is offered, not what it is made with."""
        return sorted([*self.__all__, *(name for name in self.__dict__ if name.startswith("__"))])

    @property
    def max_header_size(self) -> int:
        return SETTINGS.max_header_size

    @max_header_size.setter
    def max_header_size(self, value: object) -> None:
        raise TypeError("max_header_size is read-only; set ANYWIRE_MAX_HTTP_HEADER_SIZE, or the option of that name")


def install(module: str, api: Any, os: Any = None) -> None:
    """Give a backend's module ``global_agent`` (assignable, MOD-12) and ``max_header_size`` (read-only, MOD-8).

    Args:
        module: its ``__name__``.
        api: an object with a ``global_agent`` attribute and ``set_global_agent()``.
        os: the module, if a forked child is to leave the parent's connections alone.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)
    made = sys.modules[module]
    made.__class__ = _HttpModule
    made.__dict__["_api"] = api
