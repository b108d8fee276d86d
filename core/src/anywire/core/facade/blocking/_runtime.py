"""What the blocking facade asks of a runtime (threads, gevent)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..._plans import Address
from ..._pump import Feed
from .. import _runtime
from .._runtime import Listener

if TYPE_CHECKING:
    from .._connect import Connecting
    from ._server import Server

__all__ = ["BlockingPump", "Listener", "Runtime", "Waiter"]


class BlockingPump(_runtime.Pump, Protocol):
    """A pump with the one method that blocks."""

    def wait(self, due: float) -> None:
        """Block until something happened: input, FIN, error, writable, a deadline, a kick.

        Resumes reading if the feed wants it, and arms the timer for the earlier of `due` and
        the feed's own deadline. With `due` in the past it lets others run, takes in what has
        arrived, and returns. Several threads may wait at once; all are woken. Spurious wake-ups are allowed.
        """


class Waiter(Protocol):
    """How a queued request sleeps. ``wake`` may come first, or never, from any thread."""

    def wake(self) -> None:
        """Wake the sleeper; idempotent, and remembered until somebody sleeps."""

    def wait(self, due: float) -> object:
        """Sleep until woken or until `due`. Spurious wake-ups are allowed."""


class Runtime(_runtime.Runtime, Protocol):
    """All threads of a process, or one gevent hub, as far as it blocks; the base class has the rest."""

    def waiter(self) -> Waiter:
        """A new waiter."""

    def spawn(self, work: Callable[[], None]) -> Callable[[], object]:
        """Run `work`, which raises nothing, in a thread or greenlet of its own, which the end of the program ends.

        Returns what cancels it, where that can be done.
        """

    def sleep(self, seconds: float) -> None:
        """Block for `seconds`."""

    # What follows blocks while connecting: it waits on `connecting.waiter` too, calls `connecting.check()`
    # whenever it wakes, and lets through what that raises.

    def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None, connecting: Connecting
    ) -> list[Address]:
        """Name to addresses. Raises OSError."""

    def race(
        self, handles: Sequence[Any], seconds: float | None, connecting: Connecting
    ) -> list[tuple[Any, OSError | None]]:
        """Wait for one of `handles` to be decided; ``[]`` when `seconds` ran out first."""

    def open(self, handle: Any, feed: Feed) -> BlockingPump:
        """Make a connected handle a pump for `feed`. Owns the handle from now on."""

    def listen(self, server: Server, options: Any) -> Listener:
        """Bind, and serve each connection that ``server.admit(pump)`` lets in, until stopped. Raises OSError.

        Either by ``server.serve(connection)``, or by ``server.step(connection)``, now and whenever something happened,
        for as long as that says True.
        """
