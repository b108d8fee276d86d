"""The blocking facade: see :mod:`anywire.core.facade`. For those who write a backend.

The awaiting one without its colour: threads and gevent build on it.

A backend hands in a :class:`Runtime`; :class:`Api` makes the functions of its ``http``
and ``https`` modules from it.
"""

from __future__ import annotations

from .._connect import Connecting, CutShort
from ._api import Agent, Api, SecureAgent
from ._client import ClientRequest
from ._crew import Crew, Crewed, CrewPump
from ._messages import IncomingMessage, ServerResponse
from ._runtime import BlockingPump, Listener, Runtime, Waiter
from ._server import Server
from ._socket import Socket
from ._sockets import SocketConnector
from ._threads import CrewServer, GuardedAgent, GuardedRequest, ThreadedConnector

__all__ = [
    "Agent",
    "Api",
    "BlockingPump",
    "ClientRequest",
    "Connecting",
    "Crew",
    "CrewPump",
    "CrewServer",
    "Crewed",
    "CutShort",
    "GuardedAgent",
    "GuardedRequest",
    "IncomingMessage",
    "Listener",
    "Runtime",
    "SecureAgent",
    "Server",
    "ServerResponse",
    "Socket",
    "SocketConnector",
    "ThreadedConnector",
    "Waiter",
]
