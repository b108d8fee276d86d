"""What the awaiting facade asks of a runtime (asyncio, trio, a loop of yours)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..._plans import Address
from ..._pump import Feed
from .. import _runtime
from .._runtime import Listener

if TYPE_CHECKING:
    from ._server import Server

__all__ = ["AwaitingPump", "Hold", "Listener", "Runtime", "Waiter"]


class AwaitingPump(_runtime.Pump, Protocol):
    """A pump with the one method that suspends."""

    @property
    def fairness(self) -> int:
        """Bytes a task may write before it lets others run (and looks whether the peer answered: ASK-28).

        0 where every call of the facade has to be a checkpoint, as in trio; ``wait(-1.0)`` is just that there.
        """

    async def wait(self, due: float) -> None:
        """Park until something happened: input, FIN, error, writable, a deadline, a kick.

        Resumes reading if the feed wants it, and arms the timer for the earlier of `due` and
        the feed's own deadline. With `due` in the past it lets others run, takes in what has
        arrived, and returns. Several tasks may wait at once; all are woken. Spurious wake-ups are allowed.
        """


class Waiter(Protocol):
    """How a queued request sleeps. ``wake`` may come first, or never."""

    def wake(self) -> None:
        """Wake the sleeper; idempotent."""

    async def wait(self, due: float) -> None:
        """Sleep until woken or until `due`. May be called again: that `due` has passed wakes nobody."""


class Hold:
    """A grip on work that runs within limits, to end it from outside. Sits where a waiter does."""

    __slots__ = ("cancel",)

    def __init__(self) -> None:
        self.cancel: Callable[[], object] | None = None

    def wake(self) -> None:
        """End the work, if it runs."""
        if self.cancel is not None:
            self.cancel()


class Runtime(_runtime.Runtime, Protocol):
    """One event loop, as far as it waits; the base class has the rest."""

    def waiter(self) -> Waiter:
        """A new waiter."""

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        """Run `work` for at most `seconds` (``inf`` for no limit); False if it was cut off.

        While it runs, ``hold.cancel`` cuts it off. Errors of `work` pass through.
        """

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Run `work`, which raises nothing, beside everything else. Returns what cancels it.

        Raises:
            RuntimeError: the loop is over.
        """

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        """Name to addresses. Raises OSError."""

    async def race(self, handles: Sequence[Any], seconds: float | None) -> list[tuple[Any, OSError | None]]:
        """Wait for one of `handles` to be decided; ``[]`` when `seconds` ran out first."""

    async def open(self, handle: Any, feed: Feed) -> AwaitingPump:
        """Make a connected handle a pump for `feed`. Owns the handle from now on."""

    async def listen(self, server: Server, options: Any) -> Listener:
        """Bind, and serve each connection that ``server.admit(pump)`` lets in, until stopped. Raises OSError.

        By ``server.serve(connection)``, in a task of its own; what cancels that is the connection's ``cancel``.
        """

    def server_scope(self, server: Server) -> Any:
        """What ``async with server`` opens and closes, where tasks are structured: an async context manager, or None.

        Leaving it closes the server with its ``grace``, and nothing that serves it outlives that.
        """
