"""A request's claim on a connection, and what the pool knows of one connection.

A :class:`Lease` is made by :meth:`Agent.request` and ends exactly once::

    QUEUED ──► OPEN ──► ASSIGNED ──► DONE
       │         ▲  ◄──────┘ retry     ▲
       └─────────┴─────────────────────┘   dropped, from anywhere

* ``QUEUED``: no right to anything yet; wait.
* ``OPEN``: the right to open one connection. It holds a place in the limits, so
  whoever holds it must open (:meth:`Agent.opened`) or let go (:meth:`Agent.dropped`).
* ``ASSIGNED``: ``lease.connection`` is ours alone until we give it back.
* ``DONE``: holds nothing. ``lease.error`` says why, if the agent ended it.

The grant *is* the state. A wake-up means only "look at your lease again": it carries no
value, may come late, twice or for nothing, and losing one loses no grant, because
dropping a lease passes on whatever it held (ASK-16).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from anywire.core._pool import Group

__all__ = ["ASSIGNED", "DONE", "OPEN", "QUEUED", "Lease", "PoolStats", "Socket"]

# Plain strings, not an Enum: they are compared on every request, and Enum members hash in Python code.
QUEUED: Final = "queued"
OPEN: Final = "open"
ASSIGNED: Final = "assigned"
DONE: Final = "done"

C = TypeVar("C")
R = TypeVar("R")


class Lease(Generic[C, R]):
    """One request's claim on a connection of one name.

    Only the agent writes to a lease, ``waiter`` excepted.

    Attributes:
        state: ``QUEUED``, ``OPEN``, ``ASSIGNED`` or ``DONE``.
        request: what the caller handed in; shown in :attr:`Agent.requests`, never looked at.
            An owner who relies on :meth:`Agent.abandon` from ``__del__`` must hand in
            something that does not keep the owner alive (a weak reference).
        options: what the caller handed in: how to open the connection. Never looked at.
        connection: the connection while ``ASSIGNED``, else None.
        reused: the connection had carried an exchange before, whether it came from the pool
            or straight from another request (the truth, unlike AGT-50).
        error: why the agent ended this lease by itself (:meth:`Agent.destroy`), or None.
        waiter: a free slot for the facade (how to wake whoever waits). Never looked at.
    """

    __slots__ = ("_group", "_seq", "_socket", "connection", "error", "options", "request", "reused", "state", "waiter")

    # Arrival number over all names, given when the lease is queued: most never are.
    _seq: int

    def __init__(self, group: Group[C, R], request: R, options: Any) -> None:
        self._group = group
        self._socket: Socket[C] | None = None
        self.state: str = QUEUED
        self.request = request
        self.options = options
        self.connection: C | None = None
        self.reused = False
        self.error: Exception | None = None
        self.waiter: Any = None

    @property
    def name(self) -> str:
        """The pool's name for where the connection goes (AGT-13)."""
        return self._group.name

    @property
    def opened_at(self) -> float | None:
        """When the connection was opened (on the caller's clock), or None without one."""
        return None if self._socket is None or self.connection is None else self._socket.opened_at

    @property
    def uses(self) -> int:
        """How many exchanges the connection has begun, this one included; 0 without one."""
        return 0 if self._socket is None else self._socket.uses

    def __repr__(self) -> str:
        return f"<Lease {self.name} {self.state}{' reused' if self.reused else ''}>"


class Socket(Generic[C]):
    """What the pool remembers of one connection, from the grant to open it until it is gone.

    It is made before the connection exists: a place being connected counts as used (AGT-23).
    """

    __slots__ = (
        "alarm",
        "connection",
        "expires_at",
        "hint",
        "idle",
        "max_uses",
        "opened_at",
        "retires_at",
        "spread",
        "uses",
    )

    def __init__(self) -> None:
        self.connection: C | None = None
        self.opened_at = 0.0
        self.uses = 0
        self.idle = False
        # The server's last Keep-Alive hints; it need not repeat them in every answer.
        self.hint = math.inf
        self.max_uses = math.inf
        # Share of max_socket_age this connection may live, so that a burst does not reconnect as a burst.
        self.spread = 1.0
        self.retires_at = math.inf
        self.expires_at = math.inf
        # When the expiry heap will look at this connection, or inf when it will not (see _pool.Expiries).
        self.alarm = math.inf


@dataclass(slots=True)
class PoolStats:
    """Counters of one name, or of a whole agent (ASK-50).

    Attributes:
        active: connections carrying an exchange now.
        connecting: grants to open that are not yet connected.
        idle: pooled connections.
        queued: requests waiting.
        created: connections ever opened.
        failed: grants to open that ended without a connection.
        reused: exchanges that ran on a connection which had carried one before.
        closed: connections that left the pool, by reason (constants in ``_pool``).
    """

    active: int = 0
    connecting: int = 0
    idle: int = 0
    queued: int = 0
    created: int = 0
    failed: int = 0
    reused: int = 0
    closed: dict[str, int] = field(default_factory=dict)

    def add(self, other: PoolStats) -> None:
        """Add another's counters to these."""
        self.active += other.active
        self.connecting += other.connecting
        self.idle += other.idle
        self.queued += other.queued
        self.created += other.created
        self.failed += other.failed
        self.reused += other.reused
        for reason, count in other.closed.items():
            self.closed[reason] = self.closed.get(reason, 0) + count
