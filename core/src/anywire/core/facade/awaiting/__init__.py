"""The awaiting facade: see :mod:`anywire.core.facade`. For those who write a backend.

A backend hands in a :class:`Runtime`; :class:`Api` makes the functions of its ``http``
and ``https`` modules from it.
"""

from __future__ import annotations

from .._messages import FAIRNESS
from ._api import Agent, Api, SecureAgent
from ._client import ClientRequest
from ._connector import Resolver, SocketConnector
from ._loop import Loop, LoopPump, LoopRuntime, Parking
from ._messages import IncomingMessage, ServerResponse
from ._runtime import AwaitingPump, Hold, Listener, Runtime, Waiter
from ._server import Server
from ._socket import Socket

__all__ = [
    "FAIRNESS",
    "Agent",
    "Api",
    "AwaitingPump",
    "ClientRequest",
    "Hold",
    "IncomingMessage",
    "Listener",
    "Loop",
    "LoopPump",
    "LoopRuntime",
    "Parking",
    "Resolver",
    "Runtime",
    "SecureAgent",
    "Server",
    "ServerResponse",
    "Socket",
    "SocketConnector",
    "Waiter",
]
