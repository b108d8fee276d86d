"""What threads need besides: objects that more than one of them may use.

**One lock per Agent, around its decisions and nothing else.** Its answers (leases to
wake, connections to close) are data; ``settle`` carries them out, outside the lock. So
no thread ever waits for another one's socket.

An exchange belongs to one thread at a time, but any thread may destroy it, and a
response may be ended by another thread once its handler has returned.
"""

from __future__ import annotations

import struct
import sys
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..._agent import Agent as Policy
from ..._lease import DONE
from ..._pump import NOBODY
from ._client import ClientRequest
from ._server import Server
from ._sockets import SocketConnector

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._crew import Crew

__all__ = ["CrewServer", "GuardedAgent", "GuardedRequest", "ThreadedConnector"]

LAST_MOMENT: Final = 0.05
"""Seconds that handlers have to return when the grace is over and their connections are gone. Who waits for something
else is left to itself then, in its thread."""

_ATTACH_FILTER: Final = 26
_DETACH_FILTER: Final = 27
_DROP: Final = struct.pack("@HBBI", 6, 0, 0, 0)  # one instruction: keep 0 bytes


class GuardedAgent(Policy[Any, Any]):
    """A policy whose every decision holds ``self._lock``, a re-entrant lock that the subclass makes first."""

    _lock: Any
    _runtime: Any

    def dropped(self, lease: Any) -> bool:  # type: ignore[override]
        """As the policy's. Returns False if somebody else had ended the lease already."""
        with self._lock:
            held: bool = lease.state != DONE
            super().dropped(lease)
            return held

    def _ended(self, connections: Any) -> None:
        """Tell of the end of each. What a listener raises is not to keep it from others (SEC-40)."""
        for connection in connections:
            try:
                connection.notice()
            except Exception as error:
                self._runtime.report("A listener raised while its connection was closed", error)


def _guarded(name: str) -> Any:
    inner = getattr(Policy, name)
    if isinstance(inner, property):
        read, write = inner.fget, inner.fset
        assert read is not None, name

        def getter(self: Any) -> Any:
            with self._lock:
                return read(self)

        def setter(self: Any, value: Any) -> None:
            assert write is not None, name
            with self._lock:
                write(self, value)

        return property(getter, setter if write else None, doc=inner.__doc__)

    def method(self: Any, *args: Any, **keywords: Any) -> Any:
        with self._lock:
            return inner(self, *args, **keywords)

    method.__name__ = name
    method.__doc__ = inner.__doc__
    return method


for _name in (
    "request", "opened", "retry", "freed", "detach", "idle_closed", "expire", "next_expiry", "destroy",
    "limits_changed", "take_answers", "check_invariants", "stats", "total_stats", "sockets", "free_sockets", "requests",
):  # fmt: skip
    setattr(GuardedAgent, _name, _guarded(_name))


class GuardedRequest(ClientRequest):
    """A request that any thread may destroy.

    It tells itself of the end of its connection: there is no loop that would. It ends once, whoever ends it: who
    takes the one thing out of a list is alone in that, with and without a GIL.
    """

    __slots__ = ("_right",)

    def __init__(self, *args: Any) -> None:
        self._right = [True]
        super().__init__(*args)

    def _claim(self) -> bool:
        try:
            return self._right.pop()
        except IndexError:
            return False

    def _maybe_over(self) -> None:
        super()._maybe_over()
        connection = self._connection
        if self._over and connection is not None and connection.lost:
            connection.notice()

    def _fail(self, error: Exception) -> Exception:
        connection = self._connection
        error = super()._fail(error)
        if connection is not None and connection.lost:
            connection.notice()
        return error

    def _release(self, connection: Any) -> None:
        lease = self._lease
        agent: Any = self._pool
        # Whoever ends the lease first says what becomes of its connection: its thread may just have pooled it.
        if connection is not None and lease is not None and isinstance(agent, GuardedAgent):
            connection = connection if agent.dropped(lease) else None
        super()._release(connection)


class CrewServer(Server):
    """A server whose connections are served by a crew of threads.

    Attributes:
        crew: those threads, while it listens.
        max_workers: most threads that serve its connections; default 128. Read by ``listen()``.
            Idle connections need none; a handler that waits has one to itself.
    """

    __slots__ = ("_lock", "crew", "max_workers")

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        runtime: Any = self._runtime()
        self._lock = runtime.threading.RLock()
        self.max_workers = 128
        self.crew: Crew | None = None

    def _check_closed(self) -> None:
        with self._lock:
            super()._check_closed()

    def _end_all(self) -> None:
        super()._end_all()
        self._gone(self._runtime().now() + LAST_MOMENT)
        for connection in self.connections.copy():  # no thread can be cancelled
            if self.crew is not None:
                self.crew.leave(connection.pump.post)  # type: ignore[attr-defined]
            self.connections.discard(connection)


class ThreadedConnector(SocketConnector):
    """The parts of a runtime on threads that need the threading module and nothing else."""

    threading: ClassVar[Any]

    def inject(self, server: Any, handle: Any) -> None:
        """Serve a connection that was not accepted here, by the server's crew; without one, in a thread of its own."""
        pump: Any = handle if isinstance(handle, self.pump_class) else self.pump_class(handle, NOBODY)
        if server.crew is not None:
            server.crew.admit(pump)
        elif (connection := server.admit(pump)) is not None:
            self.threading.Thread(target=server.serve, args=(connection,), daemon=True).start()

    def deafen(self, sock: Any, deaf: bool = True) -> None:
        """By a filter that lets nothing pass, which Linux has for TCP: who knocks then tries again, and is refused.

        Elsewhere, and for Unix sockets, whose path is gone by then, this does nothing.
        """
        if sys.platform == "linux":
            nothing = array("B", _DROP)
            program = struct.pack("@HP", 1, nothing.buffer_info()[0]) if deaf else bytes(4)
            with suppress(OSError):  # there was none
                sock.setsockopt(self._socket.SOL_SOCKET, _ATTACH_FILTER if deaf else _DETACH_FILTER, program)

    def report(self, message: str, error: BaseException) -> None:
        """What ``threading.excepthook`` is told of a thread that dies."""
        error.add_note(message)
        threading = self.threading
        dead = threading.ExceptHookArgs((type(error), error, error.__traceback__, threading.current_thread()))
        threading.excepthook(dead)

    def spawn(self, work: Callable[[], None]) -> Callable[[], object]:
        """A thread that the end of the program does not wait for. Nothing cancels it."""
        self.threading.Thread(target=work, name="anywire", daemon=True).start()
        return bool
