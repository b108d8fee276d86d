"""Agents and the functions of the ``http`` and ``https`` modules, in this colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..._sessions import SecurePool
from .. import _api
from ._client import ClientRequest
from ._opening import open_socket
from ._server import Server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["Agent", "Api", "SecureAgent"]


class Agent(_api.Agent):
    """A pool of connections for ``http:`` requests (AGT-1 to AGT-91).

    Use it as an async context manager, or call :meth:`destroy` when done: pooled connections
    are kept open. All options are keyword arguments, see :class:`anywire.core.Agent`.
    """

    async def create_connection(self, options: Mapping[str, Any]) -> Any:
        """Open a connection for `options` (AGT-31): by TCP, or to a Unix socket if there is a ``path``.

        Override it, assign to it, or give it as an option; every connection of this agent is then what it returns: a
        connected ``socket.socket``, a :class:`Socket` that speaks no HTTP (what this returns; what a CONNECT left),
        or any stream of bytes with ``await receive(max_bytes)``, ``await send(data)`` and ``await close()``. TLS is not
        its affair: an agent for ``https:`` speaks it over whatever this returns.

        Args:
            options: the request's connection options with the agent's over them; yours to change.

        Returns:
            A :class:`Socket`, a stream of bytes.

        Raises:
            ConnectError: nothing could be reached.
            StateError: no request has come to this agent yet, so it does not know where it runs.
        """
        return await open_socket(self._runtime, options)

    own_connection = create_connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.destroy()


class SecureAgent(SecurePool, Agent):
    """A pool of connections for ``https:`` requests (MOD-68). TLS options are keyword arguments."""


class Api(_api.Api[Agent, ClientRequest, Server]):
    """What ``request``, ``get`` and ``create_server`` of one module do; see the base class."""

    agent_class: ClassVar[Any] = Agent
    secure_agent_class: ClassVar[Any] = SecureAgent
    request_class: ClassVar[Any] = ClientRequest
    server_class: ClassVar[Any] = Server
