"""All threads of the process, as the blocking facade wants them; and the classes that more than one thread may use."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from anywire.core import facade
from anywire.core.facade import Listening, blocking, listening_sockets

from ._poller import Poller
from ._pump import Pump
from ._sleep import Sleeper, borrow, forked, give_back

if TYPE_CHECKING:
    from typing import Unpack

    from anywire.core import AgentKeywords

__all__ = ["Agent", "Api", "SecureAgent", "runtime"]

READABLE, WRITABLE = 1, 4  # POLLIN and POLLOUT


class Waiter:
    """How a thread sleeps; may be woken before it does, from any thread."""

    __slots__ = ("_sleeper", "_woken")

    def __init__(self) -> None:
        self._sleeper: Sleeper | None = None
        self._woken = False

    def wake(self) -> None:
        """Wake the sleeper, or the next one to come."""
        self._woken = True
        sleeper = self._sleeper
        if sleeper is not None:
            sleeper.wake()

    def wait(self, due: float, sockets: Sequence[Any] = (), event: int = WRITABLE) -> list[Any]:
        """Sleep until woken, until `due`, or until `event` of one of `sockets`. Returns those that are ready."""
        sleeper = self._sleeper = borrow()
        try:
            # Whoever wakes us sees the sleeper, or we see that we were woken.
            ready = dict(sleeper.sleep(0.0 if self._woken else due, [(sock.fileno(), event) for sock in sockets]))
        finally:
            self._sleeper = None
            give_back(sleeper)
        self._woken = False
        return [sock for sock in sockets if sock.fileno() in ready]


class Runtime(blocking.ThreadedConnector):
    """See ``anywire.core.facade.blocking.Runtime`` for what each method promises."""

    readable: ClassVar[int] = READABLE
    writable: ClassVar[int] = WRITABLE
    pump_class = Pump
    now = staticmethod(monotonic)
    cpu = staticmethod(time.process_time)
    sleep = staticmethod(time.sleep)
    threading: ClassVar[Any] = threading
    waiter = Waiter
    poller = Poller

    def __init__(self) -> None:
        super().__init__(socket, ssl, tempfile)

    def listen(self, server: Any, options: Any) -> Listening:
        """Accept and serve with a crew of threads."""
        sockets = listening_sockets(socket, os, options)
        crew = blocking.Crew(self, server, sockets, server.max_workers, (options.fd, options.sock) != (None, None))
        forked.add(crew)
        made = Listening(os, options, sockets, [crew])
        made.finish = crew.finish  # type: ignore[method-assign]
        return made


_runtime = Runtime()


def runtime() -> Runtime:
    """The one of this process."""
    return _runtime


class Agent(blocking.Agent, blocking.GuardedAgent):
    """A pool of connections, shared by as many threads as want to (ASK-10).

    After a fork the child's copy is empty: the connections are the parent's.
    """

    def __init__(self, **options: Unpack[AgentKeywords]) -> None:
        self._lock = threading.RLock()
        super().__init__(**options)
        forked.add(self)

    def forked(self) -> None:
        """We are a child: forget the parent's connections, without a word to their peers."""
        self._lock = threading.RLock()
        blocking.GuardedAgent.destroy(self)
        self.settle()


class SecureAgent(blocking.SecureAgent, Agent):
    """A pool of TLS connections, shared by as many threads as want to."""


class Api(facade.Api[Agent, blocking.GuardedRequest, blocking.CrewServer]):
    """The functions of this backend's modules."""

    agent_class = Agent
    secure_agent_class = SecureAgent
    request_class = blocking.GuardedRequest
    server_class = blocking.CrewServer
