"""What the core asks of a backend, as types.

A backend moves bytes and keeps time; it decides nothing. Per connection it owns
one *pump*. The pump feeds what the kernel says into a :class:`Feed` (a server
connection, a client connection, or the raw stream that follows an upgrade) and
carries away what the feed wants sent.

A wake-up carries no value: whoever was parked in ``wait`` looks again at the
state it waits for. So a wake-up too many is harmless, and none can be lost.

docs/contract.md explains the contract for those who write a backend.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

__all__ = ["FOREVER", "NOBODY", "Feed", "Pump"]

FOREVER = float("inf")
"""A deadline that never comes."""


class Feed(Protocol):
    """What a pump pumps into. Every method is synchronous and never raises."""

    def receive_data(self, data: bytes) -> None:
        """Take in what was read (not empty)."""

    def receive_eof(self) -> None:
        """The peer's FIN arrived."""

    def receive_lost(self, error: OSError | None) -> None:
        """The transport is gone: reading or writing failed, or it was closed (None)."""

    def notice(self) -> None:
        """After ``receive_eof`` or ``receive_lost``, or data while nobody waits: tell observers now."""

    def data_to_send(self) -> bytes:
        """Everything queued for the peer, once; ``b""`` when there is nothing."""

    def say_goodbye(self) -> None:
        """The sending side is about to end: queue what has to be said before a FIN (TLS does)."""

    def flushed(self) -> None:
        """The write queue emptied after it had been blocked."""

    @property
    def want_read(self) -> bool:
        """False while enough has been read ahead: stop reading until it is True again."""

    def next_deadline(self, now: float) -> float:
        """When :meth:`handle_deadline` wants to be called; ``inf`` for never. Stamps phases that began."""

    def handle_deadline(self, now: float) -> None:
        """Time has passed. May be called early or late; checks for itself what is due."""


class _Nobody:
    """Swallows what arrives for a transport that nobody took: it was refused, or is not handed over yet."""

    want_read = True

    def receive_data(self, data: bytes) -> None: ...
    def receive_eof(self) -> None: ...
    def receive_lost(self, error: OSError | None) -> None: ...
    def notice(self) -> None: ...
    def say_goodbye(self) -> None: ...
    def flushed(self) -> None: ...
    def handle_deadline(self, now: float) -> None: ...

    def data_to_send(self) -> bytes:
        return b""

    def next_deadline(self, now: float) -> float:
        return FOREVER


NOBODY: Final = _Nobody()
"""The :class:`Feed` of a pump that has none."""


class Pump(Protocol):
    """One transport. The parts of it that never wait; ``wait`` itself has the backend's colour."""

    @property
    def feed(self) -> Feed:
        """What is being fed; replaced when TLS is put before it, or the connection changes hands (upgrade, tunnel)."""

    @feed.setter
    def feed(self, feed: Feed) -> None: ...

    @property
    def blocked(self) -> bool:
        """The write queue is at its high-water mark."""

    @property
    def unsent(self) -> int:
        """Bytes given to :meth:`flush` that the kernel has not taken; once the transport failed, those it never took.

        A backend that cannot know them then says what it can be sure of: 0 if need be, but the whole of what a
        ``flush`` gave whose first send failed (ASK-15).
        """

    @property
    def closed(self) -> bool:
        """The transport is gone, by whoever's doing."""

    def flush(self) -> None:
        """Hand everything in ``feed.data_to_send()`` to the transport in one send."""

    def usable(self) -> bool:
        """Feed what has arrived by now, without waiting; False if the transport is ending. Asked of idle ones."""

    def half_close(self) -> None:
        """FIN after what is queued, the feed's goodbye included; idempotent."""

    def close(self) -> None:
        """Let what is queued go out, the feed's goodbye included, then close. Does not wait."""

    def abort(self) -> None:
        """Gone, now: no flushing, no goodbye. Idempotent, never suspends."""

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""

    def info(self, name: str) -> Any:
        """``"peername"``, ``"sockname"``, ``"socket"``, … or None."""
