"""How long an exchange took, phase by phase (ASK-49); and how far a request has got with a connection of its own.

A request notes five moments, most of which somebody asks the clock for anyway; what is made of them is computed when
it is asked for. A connection that is opened is rare beside that, and notes three more.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._request import ClientRequest

__all__ = ["Opening", "Timings", "timings_of"]


class Timings(NamedTuple):
    """Seconds in each phase of an exchange, one after the other; 0.0 in those it did not go through, or not yet.

    Attributes:
        queue: from ``request()`` until there was a connection, or the right to open one, and somebody waited.
        dns: resolving the name.
        connect: connecting; with ``create_connection``, what that took.
        tls: the TLS handshake.
        upload: sending the request, to its last byte or to the head of an answer that came earlier.
        first_byte: waiting for the head of the answer.
        download: from there to the last byte of its body, or to now, or to the error.
    """

    queue: float = 0.0
    dns: float = 0.0
    connect: float = 0.0
    tls: float = 0.0
    upload: float = 0.0
    first_byte: float = 0.0
    download: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self)


class Opening:
    """A connection being opened for a request.

    Attributes:
        phase: ``"resolve"``, ``"connect"`` or ``"tls"``.
        due: when the first two have to be over; None until that is known.
        host: whom TLS is spoken with, for messages.
        ours: nobody replaced how connections are made.
    """

    __slots__ = ("_marks", "_now", "due", "host", "ours", "phase")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._marks = [now()]
        self.phase = "resolve"
        self.due: float | None = None
        self.host = ""
        self.ours = True

    def reached(self, phase: str) -> None:
        """The phases before `phase` are over. Told again it changes nothing."""
        marks = self._marks
        for each in ("connect", "tls")[len(marks) - 1 :]:
            marks.append(self._now())
            self.phase = each
            if each == phase:
                break

    def until(self, end: float) -> list[float]:
        """When it began, and when each of its phases was over; `end` for what is not."""
        return [min(mark, end) for mark in self._marks] + [end] * (4 - len(self._marks))


def timings_of(request: ClientRequest) -> Timings:
    """What the clock said to `request`."""
    end = request._now() if request._ended_at is None else request._ended_at
    answered = end if request._answered_at is None else request._answered_at
    attached = end if request._attached_at is None else request._attached_at
    opening = None if request.reused_socket else request._opening
    opened = [attached] * 4 if opening is None else opening.until(attached)
    sent = answered if request._sent_at is None else min(request._sent_at, answered)
    marks = (request._began, *opened, sent, answered, end)
    return Timings(*(max(after - before, 0.0) for before, after in pairwise(marks)))
