"""Agents and the functions of the ``http`` and ``https`` modules, in this colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..._sessions import SecurePool
from .. import _api
from ._client import ClientRequest
from ._server import Server

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Agent", "Api", "SecureAgent"]


class Agent(_api.Agent):
    """A pool of connections for ``http:`` requests (AGT-1 to AGT-91).

    Use it as a context manager, or call :meth:`destroy` when done: pooled connections
    are kept open. All options are keyword arguments, see :class:`anywire.core.Agent`.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
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
