"""The containers of the connection pool: one :class:`Group` per name, and two lazy heaps.

Everything here keeps a decision O(1) in the number of connections and of queued requests
(ASK-9), or O(log names) where names compete for one total:

* A queue and a free list are ``OrderedDict``: both ends and any middle in O(1). A plain
  dict popped from the front rescans its tombstones (quadratic); a set has no order; a
  deque cannot lose its middle.
* ``used`` is a plain dict: it is only added to, deleted from by key, and listed.
* :class:`Expiries` and :class:`Ready` are heaps whose entries are *lower bounds*: an entry
  says "look at this one not later than then", and looking corrects it. So the common
  move, a pooled connection taken and given back with a later deadline, touches no heap at
  all. There is at most one valid entry per item; garbage is swept when it outweighs what
  is valid, so it is bounded and its price amortised.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Generic, TypeVar

from anywire.core._lease import ASSIGNED, OPEN, QUEUED, Lease, PoolStats, Socket

__all__ = [
    "AGE",
    "DESTROYED",
    "DETACHED",
    "DROPPED",
    "EVICTED",
    "LIMIT",
    "NOT_PERSISTENT",
    "PEER",
    "REFUSED",
    "STALE",
    "SURPLUS",
    "TIMEOUT",
    "UNPOOLED",
    "USES",
    "Expiries",
    "Group",
    "Ready",
    "check",
]

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

_SLACK: Final = 64  # garbage a heap may hold before sweeping it is worth a thought


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


class Expiries(Generic[C]):
    """When which pooled connection must be closed."""

    __slots__ = ("_bound", "_serial", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Socket[C]]] = []
        self._serial = 0  # breaks ties, so that connections are never compared
        self._bound = _SLACK

    def add(self, socket: Socket[C]) -> None:
        """A connection was pooled with ``expires_at`` set and finite."""
        at = socket.expires_at
        if socket.alarm <= at:
            return  # we will look at it early enough, and see then
        socket.alarm = at
        self._serial += 1
        heappush(self.heap, (at, self._serial, socket))
        if len(self.heap) > self._bound:
            self._sweep()

    def _sweep(self) -> None:
        kept = []
        for entry in self.heap:
            socket = entry[2]
            if entry[0] == socket.alarm:
                if socket.idle:
                    kept.append(entry)
                else:
                    socket.alarm = math.inf
        heapify(kept)
        self.heap = kept
        self._bound = 2 * len(kept) + _SLACK

    def next(self) -> float | None:
        """The earliest ``expires_at`` of a pooled connection, or None."""
        heap = self.heap
        while heap:
            at, serial, socket = heap[0]
            if at != socket.alarm:
                heappop(heap)  # replaced by an earlier entry
            elif not socket.idle or socket.expires_at == math.inf:
                heappop(heap)
                socket.alarm = math.inf
            elif socket.expires_at > at:
                socket.alarm = socket.expires_at
                heapreplace(heap, (socket.alarm, serial, socket))
            else:
                return at
        return None

    def pop_due(self, now: float) -> Socket[C] | None:
        """Take out one pooled connection whose time has come, or None."""
        at = self.next()
        if at is None or at > now:
            return None
        socket = heappop(self.heap)[2]
        socket.alarm = math.inf
        return socket

    def clear(self) -> None:
        """Forget everything."""
        for _, _, socket in self.heap:
            socket.alarm = math.inf
        self.heap.clear()


class Ready(Generic[C, R]):
    """Names with a queued request that only ``max_total_sockets`` keeps from opening.

    Ordered by the arrival of each name's first queued request. Arrival numbers only grow
    within a queue, so an entry made earlier is a lower bound.
    """

    __slots__ = ("_bound", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, Group[C, R]]] = []
        self._bound = _SLACK

    def add(self, group: Group[C, R]) -> None:
        """``group`` has a queue and room under ``max_sockets``."""
        if group.enlisted:
            return
        group.enlisted = True
        heappush(self.heap, (next(iter(group.queue))._seq, group))
        if len(self.heap) > self._bound:
            self._sweep()

    def _sweep(self) -> None:
        kept = []
        for entry in self.heap:
            if entry[1].queue:
                kept.append(entry)
            else:
                entry[1].enlisted = False
        heapify(kept)
        self.heap = kept
        self._bound = 2 * len(kept) + _SLACK

    def first(self, max_sockets: float) -> Lease[C, R] | None:
        """The earliest queued request that has room under its name's limit, or None."""
        heap = self.heap
        while heap:
            seq, group = heap[0]
            if not group.queue or group.count >= max_sockets:
                heappop(heap)
                group.enlisted = False
                continue
            lease = next(iter(group.queue))
            if lease._seq == seq:
                return lease
            heapreplace(heap, (lease._seq, group))
        return None

    def clear(self) -> None:
        """Forget everything."""
        for _, group in self.heap:
            group.enlisted = False
        self.heap.clear()


def check(
    groups: Mapping[str, Group[C, R]],
    resting: Mapping[str, Group[C, R]],
    idle: Mapping[C, Group[C, R]],
    expiries: Expiries[C],
    total: int,
    max_total: float,
    max_sockets: float,
) -> None:
    """Raise AssertionError unless the agent's books agree with one another. See Agent.check_invariants."""

    def ensure(fact: bool, text: str) -> None:
        if not fact:  # not `assert`: it has to work under -O too (SEC-36)
            raise AssertionError(text)

    alarms = {(at, id(socket)) for at, _, socket in expiries.heap}
    seen: set[C] = set()
    count = free = 0
    for name, group in groups.items():
        ensure(group.name == name, f"{name}: filed under a wrong name")
        ensure(group.count == len(group.used) + len(group.free), f"{name}: miscounted")
        empty = not group.count and not group.queue
        ensure(group.resting == empty, f"{name}: rests and is not empty, or the reverse")
        ensure(group.resting == (name in resting), f"{name}: not listed as resting, or the reverse")
        ensure(not (group.queue and group.free), f"{name}: a request waits beside a pooled connection")
        if group.queue and group.count < max_sockets:
            ensure(total >= max_total and not idle, f"{name}: a request waits for nothing")
            ensure(group.enlisted, f"{name}: a request is overlooked")
        seq = 0
        for lease in group.queue:
            ensure(lease.state == QUEUED and lease._group is group, f"{name}: {lease} in the queue")
            ensure(lease._socket is None and lease.connection is None, f"{name}: {lease} queues with a connection")
            ensure(lease._seq > seq, f"{name}: queue out of order")
            seq = lease._seq
        for socket, lease in group.used.items():
            ensure(lease._socket is socket and lease._group is group, f"{name}: {lease} does not know its connection")
            ensure(lease.state == (OPEN if socket.connection is None else ASSIGNED), f"{name}: {lease} in use")
            ensure(lease.connection is socket.connection, f"{name}: {lease} holds another connection")
            ensure(not socket.idle, f"{name}: used and idle")
            if socket.connection is not None:
                ensure(socket.connection not in seen, f"{name}: a connection has two owners")
                seen.add(socket.connection)
        for connection, socket in group.free.items():
            ensure(socket.connection is connection and socket.idle, f"{name}: pooled under a wrong name")
            ensure(idle.get(connection) is group, f"{name}: pooled connection not listed")
            ensure(connection not in seen, f"{name}: a connection has two owners")
            seen.add(connection)
            if socket.expires_at < math.inf:
                ensure(socket.alarm <= socket.expires_at, f"{name}: nobody will look at an idle connection in time")
                ensure((socket.alarm, id(socket)) in alarms, f"{name}: an idle connection has lost its alarm")
        count += group.count
        free += len(group.free)
    ensure(total == count, "total miscounted")
    ensure(len(idle) == free, "idle miscounted")
