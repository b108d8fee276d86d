"""In what runtimes of the awaiting colour differ."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

__all__ = ["Peer", "Runtime", "Work"]

T = TypeVar("T")

Work = Callable[[], Coroutine[Any, Any, object]]
"""Something to run."""


class Peer(Protocol):
    """A TCP connection that is none of anywire's."""

    async def send(self, data: bytes) -> None:
        """Send all of it."""

    async def receive(self) -> bytes:
        """What there is; ``b""`` after the peer's FIN."""
        raise NotImplementedError

    def send_eof(self) -> None:
        """FIN."""

    def break_off(self) -> None:
        """Both directions end, and whoever waits is woken."""

    def close(self) -> None:
        """Close it."""


class Runtime(Protocol):
    """A runtime.

    Attributes:
        http: the ``http`` module of its backend.
    """

    http: Any

    def run(self, work: Work, *, uvloop: bool) -> None:
        """Run `work` to its end. Ctrl-C is a KeyboardInterrupt."""

    async def together(self, works: Iterable[Work], most: int) -> None:
        """Run `works` side by side to their end; no more than `most` at a time where each would need a thread.

        What one raises ends all.
        """

    async def in_thread(self, work: Callable[[], T]) -> T:
        """The result of a call that may wait for a disk, without making others wait."""
        raise NotImplementedError

    async def connect(self, host: str, port: int) -> Peer:
        """Connect to an address.

        Raises:
            OSError: nobody is there.
        """
        raise NotImplementedError

    async def until_stopped(self, ready: Callable[[], None], close: Work, again: Callable[[], object]) -> None:
        """Call `ready`, wait for SIGINT or SIGTERM, run `close`; call `again` for each more that comes meanwhile."""
