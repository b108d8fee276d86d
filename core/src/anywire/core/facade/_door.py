"""Door: one listening socket; how many are let in at once, what if there is no room, who is let in at the end.

Written once, for whatever tells a backend that somebody knocks. It neither waits nor watches:
a subclass does.

**At the end** (ASK-47). A socket that is closed takes its backlog with it: the kernel resets
whoever is in it, though to them they are connected, and their request may have been sent. So
:meth:`Door.close` first lets them all in. They find a server that drains. What is left is a
client whose handshake is completed between the last ``accept()`` and ``close()``, two system calls
that follow one another; where threads get in between, :meth:`Door.deafen` keeps clients away.

**Without descriptors** the socket stays readable, and who looked again at once would do nothing
else. So it is left alone for :data:`PAUSE` seconds, or until a connection has ended.

**A server that is full** has them wait in the same queue (ASK-44), until one has ended or the limit is raised.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from .._pump import FOREVER
from ._watched_pump import READABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._server_options import ListenOptions
    from ._server import Server

__all__ = ["Door", "Listening", "LoopDoor"]

ACCEPTS: Final = 64
"""Connections let in at once, before others are looked after."""

LAST_ACCEPTS: Final = 1024
"""Connections let in when the door closes; the backlog is 511 long by default. There is a limit, for those who go on
knocking must not keep a door open for ever."""

PAUSE: Final = 1.0
"""Seconds for which nobody is let in when descriptors or memory ran out, unless a connection ends."""

BRIEF: Final = 0.05
"""Seconds for which nobody is let in if there still is no room when a connection has just ended: it is about to go."""

QUIET: Final = 60.0
"""Seconds in which that is reported once."""


class Door:
    """One listening socket.

    Args:
        runtime: has ``accept(sock)``, ``report(message, error)`` and ``now()``.
        server: whose connections they are; asked whether it is full.
        sock: listening and non-blocking; the door's from now on.
        enter: takes what was accepted; by then the server counts it.

    Attributes:
        closed: for good.
        paused: there is no room.
        due: when to look again, if it is paused; ``inf`` if only for a connection that ends.
    """

    __slots__ = ("_enter", "_hopeful", "_quiet_until", "_runtime", "_server", "closed", "due", "paused", "sock")

    def __init__(self, runtime: Any, server: Server, sock: Any, enter: Callable[[Any], object]) -> None:
        self._runtime = runtime
        self._server = server
        self._enter = enter
        self._quiet_until = -FOREVER
        self.sock = sock
        self.closed = False
        self.paused = False
        self.due = FOREVER
        self._hopeful = False

    # ---------------------------------------------------------------- what a subclass adds

    def watch(self, wanted: bool) -> None:
        """Have :meth:`knock` called whenever the socket can be read; or no more."""

    def later(self, due: float) -> None:
        """Call ``retry(due)`` at `due`; unless it is called otherwise then."""

    def deafen(self) -> None:
        """Have nobody join those who wait to be let in, from now on."""

    # ---------------------------------------------------------------- the door

    def knock(self, *_: Any) -> None:
        """Let in who waits, though not too many at once."""
        for _each in range(ACCEPTS):
            if self.closed or self.paused or not self._let_in():
                return

    def _let_in(self) -> bool:
        if self._server.full:
            self._wait()
            return False
        try:
            sock = self._runtime.accept(self.sock)
        except OSError as error:
            self._pause(error)
            return False
        self._hopeful = False
        if sock is not None:
            self._welcome(sock)
        return sock is not None

    def _welcome(self, sock: Any) -> None:
        try:
            self._enter(sock)
        except Exception as error:  # it ends this connection, and nothing else
            sock.close()
            self._runtime.report("Cannot serve a connection", error)

    def _wait(self) -> None:
        self.due = FOREVER  # before the other, which other threads look at
        self.paused = True
        self.watch(False)
        if not self._server.full:  # another thread ended a connection, and found nothing paused
            self.retry(FOREVER)

    def _pause(self, error: OSError) -> None:
        now = self._runtime.now()
        self.paused = True
        self.due = now + (BRIEF if self._hopeful else PAUSE)
        self._hopeful = False
        self.watch(False)
        self.later(self.due)
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET
            self._runtime.report("Cannot accept connections", error)

    def retry(self, due: float) -> None:
        """Enough time has passed: look again."""
        if due == self.due and self.paused and not self.closed:
            self.paused = False
            self.watch(True)

    def resume(self) -> None:
        """There may be room: look again, if there was none."""
        if self.paused:
            self._hopeful = True
            self.retry(self.due)

    def close(self) -> None:
        """Let in who has been waiting, and close."""
        if self.closed:
            return
        self.closed = True
        self.watch(False)
        waiting: list[Any] = []
        self.deafen()
        try:
            while len(waiting) < LAST_ACCEPTS and (sock := self._runtime.accept(self.sock)) is not None:
                waiting.append(sock)
        except OSError:
            pass  # no room for them
        self.sock.close()
        for sock in waiting:
            self._welcome(sock)


class LoopDoor(Door):
    """A listening socket on a loop that calls back: what is accepted goes to ``runtime.inject()``.

    Args:
        runtime: has ``accept``, ``inject``, ``now`` and ``report``.
        loop: has ``at`` and ``watch`` of :class:`anywire.core.facade.awaiting.Loop`.
        server: whose connections they are.
        sock: listening, and ours from now on.
    """

    __slots__ = ("_loop", "_timer")

    def __init__(self, runtime: Any, loop: Any, server: Any, sock: Any) -> None:
        super().__init__(runtime, server, sock, partial(runtime.inject, server))
        self._loop = loop
        self._timer: Any = None
        self.watch(True)

    def watch(self, wanted: bool) -> None:
        """By the loop."""
        self._loop.watch(self.sock, READABLE if wanted else 0, self.knock)
        if self.closed and self._timer is not None:
            self._loop.forget(self._timer)

    def later(self, due: float) -> None:
        """By the loop."""
        self._timer = self._loop.at(due, partial(self.retry, due))


class Listening:
    """Listening sockets that belong together: one ``listen()``.

    Args:
        os: the os module, which removes the file of a Unix socket that ``listen()`` made (SRV-86); None to leave it.
        options: of ``listen()``.
        sockets: they are bound; the first one says where.
        doors: what has ``close()`` and ``resume()`` of them.
    """

    def __init__(self, os: Any, options: ListenOptions, sockets: Sequence[Any], doors: Sequence[Any]) -> None:
        self._os = os
        self._doors = doors
        self._path = options.path
        name = sockets[0].getsockname()
        self._name: tuple[str, int] | str = name[:2] if isinstance(name, tuple) else self._path or name

    def address(self) -> tuple[str, int] | str:
        """Where (SRV-85)."""
        return self._name

    def stop(self) -> None:
        """Accept no more, now; but let in who has been waiting (ASK-47)."""
        if self._os is not None and self._path is not None and not self._path.startswith("\0"):
            with suppress(OSError):
                self._os.unlink(self._path)
        for door in self._doors:
            door.close()

    def resume(self) -> None:
        """There may be room: accept again, if that was paused."""
        for door in self._doors:
            door.resume()

    def finish(self) -> None:
        """The last connection is gone; nothing else is left here."""
