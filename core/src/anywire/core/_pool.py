"""The books of the connection pool: who holds what, and the moves that keep them true.

The policy, when which move is made, is in ``_agent``; here is what both it and the reader
may rely on. Everything keeps a decision O(1) in the number of connections and of queued
requests (ASK-9), or O(log names) where names compete for one total:

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
from collections import OrderedDict, deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import ClassVar, Final, Generic, TypeVar

from ._errors import ConnectionLost
from ._lease import (
    ASSIGNED,
    DETACHED,
    DONE,
    DROPPED,
    EVICTED,
    OPEN,
    PEER,
    QUEUED,
    REFUSED,
    Group,
    Lease,
    PoolStats,
    Socket,
)

__all__ = ["Expiries", "Pool", "Ready"]

C = TypeVar("C")
R = TypeVar("R")

_SLACK: Final = 64  # garbage a heap may hold before sweeping it is worth a thought


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


class Pool(Generic[C, R]):
    """The books of one agent. See :class:`anywire.core.Agent` for how it is used.

    Attributes:
        has_answers: :meth:`take_answers` has something to give.
    """

    # Names without connections whose counters and containers are kept for the next request to them.
    max_resting_names: ClassVar[int] = 1000

    def __init__(self) -> None:
        self._max_sockets = math.inf
        self._max_free = math.inf
        self._max_total = math.inf
        self._lifo = False
        self._groups: dict[str, Group[C, R]] = {}
        self._resting: OrderedDict[str, Group[C, R]] = OrderedDict()
        self._forgotten = PoolStats()
        self._total = 0  # connections of all names, used (connecting too) and pooled
        self._idle: OrderedDict[C, Group[C, R]] = OrderedDict()  # pooled ones of all names, oldest first
        self._expiries: Expiries[C] = Expiries()
        self._ready: Ready[C, R] = Ready()
        self._abandoned: deque[Lease[C, R]] = deque()
        self._to_wake: list[Lease[C, R]] = []
        self._to_close: list[C] = []
        self.has_answers = False

    def keep_socket_alive(self, connection: C) -> bool:
        """Called each time ``connection`` is about to be pooled; falsy: close it (AGT-54, AGT-56).

        Runs in the middle of a decision: it must not call the agent. If it raises, the
        connection is closed and the exception goes through.
        """
        return True

    def reuse_socket(self, connection: C, request: R) -> None:
        """Called when ``request`` takes ``connection`` out of the pool (AGT-26), not on hand-over (AGT-50).

        If it raises, the connection is closed and the exception goes through.
        """

    def _ended(self, connections: list[C]) -> None:
        """Overridden where nobody else tells of the end of what the agent closed, as event loops do."""

    def _keeps(self, connection: C) -> bool:
        """How the hook is called; a facade whose users know connections by another object has its own."""
        return self.keep_socket_alive(connection)

    def _reuses(self, connection: C, request: R) -> None:
        self.reuse_socket(connection, request)

    # -- answers ------------------------------------------------------------------------------

    def take_answers(self) -> tuple[list[Lease[C, R]], list[C]]:
        """What to do since the last call: leases to wake, connections to close, each in order.

        A lease is listed when it was granted something or ended; by the time its owner
        looks it may have been dropped, so look at its state and nothing else.
        """
        if self._abandoned:
            self._drain()
        if not self.has_answers:
            return [], []
        answers = self._to_wake, self._to_close
        self._to_wake, self._to_close = [], []
        self.has_answers = False
        return answers

    # -- what can be seen -----------------------------------------------------------------------

    @property
    def sockets(self) -> dict[str, list[C | None]]:
        """Used connections by name, oldest first; None stands for one being opened (AGT-11, AGT-24). A snapshot."""
        return {name: [s.connection for s in group.used] for name, group in self._groups.items() if group.used}

    @property
    def free_sockets(self) -> dict[str, list[C]]:
        """Pooled connections by name, the one freed first in front (AGT-11, AGT-55). A snapshot."""
        return {name: list(group.free) for name, group in self._groups.items() if group.free}

    @property
    def requests(self) -> dict[str, list[R]]:
        """Queued requests by name, in order of arrival (AGT-11, AGT-24). A snapshot."""
        return {name: [lease.request for lease in g.queue] for name, g in self._groups.items() if g.queue}

    def stats(self) -> dict[str, PoolStats]:
        """Counters by name (ASK-50), of the names in use and of the last 1000 that were."""
        return {name: group.stats() for name, group in self._groups.items()}

    def total_stats(self) -> PoolStats:
        """Counters over all names, also of those that :meth:`stats` no longer lists."""
        total = PoolStats()
        total.add(self._forgotten)
        for group in self._groups.values():
            total.add(group.stats())
        return total

    def __repr__(self) -> str:
        s = self.total_stats()
        return (
            f"<{type(self).__name__} active={s.active} connecting={s.connecting} idle={s.idle} queued={s.queued}"
            f" created={s.created} reused={s.reused} closed={s.closed}>"
        )

    def check_invariants(self) -> None:
        """Raise AssertionError if the books do not agree (ASK-50). For tests and debugging; O(everything)."""
        _check(self._groups, self._resting, self._idle, self._expiries, self._total, self._max_total, self._max_sockets)

    # -- the moves all of it is made of -------------------------------------------------------------

    def _drain(self) -> None:
        while self._abandoned:
            self._drop(self._abandoned.popleft())

    def _drop(self, lease: Lease[C, R]) -> None:
        if lease.state == QUEUED:
            lease.state = DONE
            del lease._group.queue[lease]
            self._rest_if_empty(lease._group)
        elif lease.state != DONE:
            self._end(lease, DROPPED)

    def _fail(self, lease: Lease[C, R], phase: str | None) -> None:
        lease.error = error = ConnectionLost("socket hang up", phase=phase)
        error.reused = lease.reused
        if phase is not None:
            error.replay_safe = "yes"  # nothing was sent
        self._to_wake.append(lease)
        self.has_answers = True

    def _end(self, lease: Lease[C, R], reason: str) -> None:
        """End a lease that holds a place, lose its connection if it has one, and give the place away."""
        group = lease._group
        socket = lease._socket
        assert socket is not None  # OPEN or ASSIGNED
        lease.state = DONE
        lease.connection = lease._socket = None
        del group.used[socket]
        group.count -= 1
        self._total -= 1
        if socket.connection is None:
            group.failed += 1
        else:
            self._condemn(group, socket, reason)
        if group.queue and group.count < self._max_sockets:
            self._ready.add(group)
        if self._ready.heap:
            self._serve_ready()
        self._rest_if_empty(group)

    def _serve_ready(self) -> None:
        """Give vacant places to the earliest queued requests that may have them."""
        while (lease := self._ready.first(self._max_sockets)) is not None:
            if self._total >= self._max_total and not self._make_room():
                return
            group = lease._group
            del group.queue[lease]
            self._grant_open(group, lease)
            self._to_wake.append(lease)
            self.has_answers = True

    def _make_room(self) -> bool:
        """Close the pooled connection freed longest ago, of any name (ASK-4)."""
        if not self._idle:
            return False
        connection, group = next(iter(self._idle.items()))
        self._remove_idle(group, connection, EVICTED)
        return True

    def _grant_open(self, group: Group[C, R], lease: Lease[C, R]) -> None:
        socket: Socket[C] = Socket()
        lease._socket = socket
        lease.state = OPEN
        group.used[socket] = lease
        group.count += 1
        self._total += 1

    def _take_idle(self, group: Group[C, R], lease: Lease[C, R]) -> None:
        connection, socket = group.free.popitem(last=self._lifo)
        del self._idle[connection]
        socket.idle = False
        socket.uses += 1
        group.reused += 1
        lease._socket = socket
        lease.connection = connection
        lease.reused = True
        lease.state = ASSIGNED
        try:
            self._reuses(connection, lease.request)  # first: it is in neither map yet (AGT-26)
        except BaseException:
            group.used[socket] = lease
            self._end(lease, REFUSED)
            raise
        group.used[socket] = lease

    def _condemn(self, group: Group[C, R], socket: Socket[C], reason: str) -> None:
        """A connection leaves: count it, and have it closed unless it goes on living elsewhere."""
        connection = socket.connection
        group.closed[reason] = group.closed.get(reason, 0) + 1
        if connection is not None and reason not in (DETACHED, PEER):
            self._to_close.append(connection)
            self.has_answers = True
        socket.connection = None  # a heap entry may outlive the connection; it must not keep it alive

    def _remove_idle(self, group: Group[C, R], connection: C, reason: str) -> None:
        socket = group.free.pop(connection)
        del self._idle[connection]
        socket.idle = False
        group.count -= 1
        self._total -= 1
        self._condemn(group, socket, reason)
        self._rest_if_empty(group)

    def _rest_if_empty(self, group: Group[C, R]) -> None:
        """AGT-11: a name without anything is gone; what we keep of it is bounded and not shown."""
        if group.count or group.queue:
            return
        group.resting = True
        self._resting[group.name] = group
        if len(self._resting) > self.max_resting_names:
            name, oldest = self._resting.popitem(last=False)
            del self._groups[name]
            self._forgotten.add(oldest.stats())


def _check(
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
