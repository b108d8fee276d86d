"""Agents and the functions of the ``http`` and ``https`` modules, as far as the facades have them in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar
from weakref import WeakSet

from .. import _agent
from .._client_agent import ClientAgent
from .._errors import StateError
from .._options import check_agent, request_arguments, request_options
from .._server_options import server_arguments
from .._settings import SETTINGS
from ._client import ClientRequest
from ._server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from .._keywords import RequestKeywords, ServerKeywords
    from ._runtime import Runtime

__all__ = ["Agent", "Api", "forked"]

AgentT = TypeVar("AgentT", bound="Agent")
RequestT = TypeVar("RequestT", bound=ClientRequest)
ServerT = TypeVar("ServerT", bound=Server)


_agents: WeakSet[Agent] = WeakSet()


def forked() -> None:
    """This process is the child of a fork: see :meth:`Agent.forked`."""
    for agent in list(_agents):
        agent.forked()


class Agent(ClientAgent):
    """The parts of a facade's agent that never wait."""

    _bound: Any = None

    def forked(self) -> None:
        """We are a child: forget the parent's connections, without a word to their peers (ASK-10).

        Not even a word to the loop: what watches them for the parent may be the same object of the system's.
        """
        _agent.Agent.destroy(self)
        _, connections = self.take_answers()
        let_go = getattr(self._bound, "let_go", None)
        for connection in connections:
            connection.on_idle_end = None
            connection._lost = True
            if let_go is not None:
                let_go(connection.pump)
        self._bound = None

    @property
    def _runtime(self) -> Any:
        if self._bound is None:
            raise StateError("this Agent has had no request yet, and cannot connect before", code="EINVAL")
        return self._bound

    def add_request(self, request: Any, options: Any) -> None:
        """Decide about a new request (AGT-20)."""
        runtime = request._runtime
        if self._bound is not runtime:
            # Connections of an event loop that is over can neither be used nor closed in order (ASK-10).
            if self._bound is not None:
                self.destroy()
            self._bound = runtime
            _agents.add(self)
        super().add_request(request, options)


class Api(Generic[AgentT, RequestT, ServerT]):
    """What ``request``, ``get`` and ``create_server`` of one module do.

    Args:
        runtime: gives the running runtime; raises RuntimeError outside of one.
        wall_clock: seconds since the epoch, for ``Date``.
        secure: this is the ``https`` module.
    """

    # A facade's classes, or those of a backend whose classes do more. (mypy: a ClassVar takes no type variable.)
    agent_class: ClassVar[Any]
    secure_agent_class: ClassVar[Any]
    request_class: ClassVar[Any]
    server_class: ClassVar[Any]

    def __init__(
        self, runtime: Callable[[], Runtime], wall_clock: Callable[[], float], *, secure: bool = False
    ) -> None:
        self._runtime = runtime
        self._wall_clock = wall_clock
        self._secure = secure
        self.global_agent: AgentT = (self.secure_agent_class if secure else self.agent_class)()

    def request(self, url: Any = None, callback: Any = None, /, **options: Unpack[RequestKeywords]) -> RequestT:
        """Make a request (MOD-21 to MOD-63). The Agent decides now; connecting starts when somebody waits.

        Args:
            url: a str, a parsed URL, or a mapping of options.
            callback: a one-time ``response`` listener.
            **options: ``method``, ``headers``, ``agent``, ``timeout``, ``deadline``, …: see docs/options.md.

        Raises:
            ArgumentTypeError, ArgumentValueError: naming the argument and its value.
            RuntimeError: outside of a running event loop.
        """
        return self._make(url, callback, options)

    def _make(self, url: Any, callback: Any, options: Mapping[str, Any]) -> RequestT:
        if type(url) is not str or callback is not None:
            url, callback, options = request_arguments(url, callback, options)
        checked = request_options(url, options, secure=self._secure, default_agent=self.global_agent)
        checked.wall_clock = self._wall_clock
        agent = checked.agent
        if agent is None:
            agent = self.global_agent if checked.create_connection is None else None
        elif agent is False:
            agent = type(self.global_agent)()
        made: RequestT = self.request_class(checked, agent, self._runtime())
        if callback is not None:
            made.once("response", callback)
        if agent is not None and made._error is None:  # its signal may have struck already
            agent.add_request(made, checked)
        return made

    def get(self, url: Any = None, callback: Any = None, /, **options: Unpack[RequestKeywords]) -> RequestT:
        """Make a request that is ended already (MOD-22). Arguments and errors as :meth:`request`.

        Use it as a context manager: that gives the response, and cleans up behind you.
        """
        made = self._make(url, callback, options)
        made.end_nowait()
        return made

    def set_global_agent(self, agent: AgentT) -> None:
        """Replace ``global_agent`` for requests made from now on (MOD-12).

        Raises:
            ArgumentTypeError: `agent` is not an agent.
        """
        self.global_agent = check_agent(agent, "agent", "argument")

    def create_server(
        self, options: Any = None, listener: Any = None, /, **keywords: Unpack[ServerKeywords]
    ) -> ServerT:
        """Make a server that is not listening yet (MOD-13 to MOD-20).

        Args:
            options: a mapping, or the ``request`` listener itself.
            listener: called with ``(req, res)`` for each request.
            **keywords: options by name: see docs/options.md.

        Raises:
            ArgumentTypeError, ArgumentValueError: naming the option and its value.
        """
        listener, checked = server_arguments(options, listener, keywords, settings=SETTINGS, secure=self._secure)
        server: ServerT = self.server_class(checked, self._runtime, self._wall_clock, secure=self._secure)
        if listener is not None:
            server.on("request", listener)
        return server
