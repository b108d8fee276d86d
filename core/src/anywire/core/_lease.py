"""A request's claim on a connection, and what the pool knows of one connection and of one name.

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
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

__all__ = [
    "AGE",
    "ASSIGNED",
    "DESTROYED",
    "DETACHED",
    "DONE",
    "DROPPED",
    "EVICTED",
    "LIMIT",
    "NOT_PERSISTENT",
    "OPEN",
    "PEER",
    "QUEUED",
    "REFUSED",
    "STALE",
    "SURPLUS",
    "TIMEOUT",
    "UNPOOLED",
    "USES",
    "Group",
    "Lease",
    "PoolStats",
    "Socket",
]

# Plain strings, not an Enum: they are compared on every request, and Enum members hash in Python code.
QUEUED: Final = "queued"
OPEN: Final = "open"
ASSIGNED: Final = "assigned"
DONE: Final = "done"

# Why a connection left the pool: the keys of PoolStats.closed.
NOT_PERSISTENT: Final = "not_persistent"  # the exchange did not allow another one (AGT-47, AGT-49)
DROPPED: Final = "dropped"  # the request was given up while it held the connection
UNPOOLED: Final = "unpooled"  # keep_alive is off and nobody queues (AGT-40, AGT-51)
LIMIT: Final = "limit"  # more connections than max_sockets or max_total_sockets allow (AGT-52)
SURPLUS: Final = "surplus"  # max_free_sockets reached (AGT-53)
REFUSED: Final = "refused"  # keep_socket_alive said no, or a hook raised (AGT-54)
TIMEOUT: Final = "timeout"  # idle too long, or too long for the server's hint (AGT-63, AGT-L4)
AGE: Final = "age"  # older than max_socket_age (ASK-6)
USES: Final = "uses"  # the server's Keep-Alive max reached (ASK-2)
EVICTED: Final = "evicted"  # made room under max_total_sockets for another name (ASK-4)
STALE: Final = "stale"  # found dead when it was to be used (Agent.retry)
PEER: Final = "peer"  # died while pooled (AGT-61, AGT-62)
DESTROYED: Final = "destroyed"  # Agent.destroy (AGT-82)
DETACHED: Final = "detached"  # left the pool alive (AGT-70, AGT-79)

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
        closed: connections that left the pool, by reason (the constants of this module).
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


class Group(Generic[C, R]):
    """All the pool knows of one name."""

    __slots__ = (
        "closed",
        "count",
        "created",
        "enlisted",
        "failed",
        "free",
        "name",
        "queue",
        "resting",
        "reused",
        "used",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.used: dict[Socket[C], Lease[C, R]] = {}
        self.free: OrderedDict[C, Socket[C]] = OrderedDict()
        self.queue: OrderedDict[Lease[C, R], None] = OrderedDict()
        self.count = 0  # len(used) + len(free): what max_sockets is compared with (AGT-23)
        self.enlisted = False  # has an entry in Ready
        self.resting = False  # empty, kept only for its counters and to be used again
        self.created = 0
        self.failed = 0
        self.reused = 0
        self.closed: dict[str, int] = {}

    def stats(self) -> PoolStats:
        """A snapshot of the counters. O(connections in use)."""
        connecting = sum(1 for socket in self.used if socket.connection is None)
        return PoolStats(
            active=len(self.used) - connecting,
            connecting=connecting,
            idle=len(self.free),
            queued=len(self.queue),
            created=self.created,
            failed=self.failed,
            reused=self.reused,
            closed=dict(self.closed),
        )
