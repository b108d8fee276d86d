"""What the awaiting facade asks of a runtime (asyncio, trio, a loop of yours)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..._plans import Address
from ..._pump import Feed, Pump

if TYPE_CHECKING:
    from ._server import Server

__all__ = ["AwaitingPump", "Hold", "Listener", "Runtime", "Waiter"]


class AwaitingPump(Pump, Protocol):
    """A pump with the one method that suspends."""

    @property
    def fairness(self) -> int:
        """Bytes a task may write before it lets others run (and looks whether the peer answered: ASK-28).

        0 where every call of the facade has to be a checkpoint, as in trio; ``wait(-1.0)`` is just that there.
        """

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Enable TCP keep-alive probes after `delay` seconds of silence (ASK-22); None disables them."""

    async def wait(self, due: float) -> None:
        """Park until something happened: input, FIN, error, writable, a deadline, a kick.

        Resumes reading if the feed wants it, and arms the timer for the earlier of `due` and
        the feed's own deadline. With `due` in the past it lets others run, takes in what has
        arrived, and returns. Several tasks may wait at once; all are woken. Spurious wake-ups are allowed.
        """

    def watch(self) -> None:
        """Somebody listens for the end of this exchange: notice the peer's while nobody waits (SRV-25).

        Does nothing where input is always watched for.
        """


class Waiter(Protocol):
    """How a queued request sleeps. ``wake`` may come first, or never."""

    def wake(self) -> None:
        """Wake the sleeper; idempotent."""

    async def wait(self, due: float) -> None:
        """Sleep until woken or until `due`."""


class Hold:
    """A grip on work that runs within limits, to end it from outside. Sits where a waiter does."""

    __slots__ = ("cancel",)

    def __init__(self) -> None:
        self.cancel: Callable[[], object] | None = None

    def wake(self) -> None:
        """End the work, if it runs."""
        if self.cancel is not None:
            self.cancel()


class Listener(Protocol):
    """A listening socket, or several."""

    def address(self) -> tuple[str, int] | str | None:
        """What it is bound to: ``(host, port)``, a path, or None once closed."""

    def stop(self) -> None:
        """Accept no more, now."""


class Runtime(Protocol):
    """One event loop. Everything a facade needs that a core must not have.

    Attributes:
        ssl, tempfile: the modules.
    """

    @property
    def ssl(self) -> Any: ...

    @property
    def tempfile(self) -> Any: ...

    def now(self) -> float:
        """Seconds on a monotonic clock; the one all deadlines are on."""

    def report(self, message: str, error: BaseException) -> None:
        """Tell whoever looks after this loop about an error that nobody waits for."""

    def waiter(self) -> Waiter:
        """A new waiter."""

    async def within(self, seconds: float, work: Coroutine[Any, Any, None], hold: Hold) -> bool:
        """Run `work` for at most `seconds` (``inf`` for no limit); False if it was cut off.

        While it runs, ``hold.cancel`` cuts it off. Errors of `work` pass through.
        """

    async def resolve(
        self, host: str, port: int, family: int | None, lookup: Callable[..., Any] | None
    ) -> list[Address]:
        """Name to addresses. Raises OSError."""

    def attempt(self, address: Address, local_address: str | None) -> Any:
        """Start connecting, without waiting. Returns a handle; raises OSError."""

    async def race(self, handles: Sequence[Any], seconds: float | None) -> list[tuple[Any, OSError | None]]:
        """Wait for one of `handles` to be decided; ``[]`` when `seconds` ran out first."""

    def discard(self, handle: Any) -> None:
        """Close a handle, now."""

    def adopt(self, candidate: Any) -> Any:
        """What ``create_connection`` returned (a connected ``socket.socket``, …) as a handle."""

    async def open(self, handle: Any, feed: Feed) -> AwaitingPump:
        """Make a connected handle a pump for `feed`. Owns the handle from now on.

        The handle may be a pump, of a tunnel: then ``hand_over(handle, feed)``.
        """

    async def listen(self, server: Server, options: Any) -> Listener:
        """Bind, and serve every connection with ``server.serve(pump)`` until stopped. Raises OSError."""

    def server_scope(self, server: Server) -> Any:
        """What ``async with server`` opens and closes, where tasks are structured: an async context manager, or None.

        Leaving it closes the server with its ``grace``, and nothing that serves it outlives that.
        """
