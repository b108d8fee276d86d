"""Whether the turn of a queued request has come."""

from __future__ import annotations

from typing import Any

__all__ = ["Turn"]


class Turn:
    """Sits where the waiter of a queued request does, and wakes it.

    The request looks after the agent now and then while it waits (``next_look``); only being woken ends the wait.

    Attributes:
        came: somebody woke us: look at the lease.
    """

    __slots__ = ("_waiter", "came")

    def __init__(self, waiter: Any) -> None:
        self._waiter = waiter
        self.came = False

    def wake(self) -> None:
        """The request was granted something, or given up."""
        self.came = True
        self._waiter.wake()
