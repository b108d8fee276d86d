"""The connection pool's policy: which request gets which connection, and when.

Theory of operation. The agent is pure: no I/O, no clock, no threads, no callbacks into a
runtime. It never connects. It is told what happened and answers with data:

* :meth:`Agent.request` decides at once and returns a :class:`Lease`: a pooled connection,
  the right to open one, or a place in the queue (AGT-20).
* :meth:`~Agent.opened`, :meth:`~Agent.retry`, :meth:`~Agent.freed`, :meth:`~Agent.detach`,
  :meth:`~Agent.dropped`, :meth:`~Agent.idle_closed`, :meth:`~Agent.expire`,
  :meth:`~Agent.destroy` report; each may grant something to queued leases and condemn
  connections.
* :meth:`~Agent.take_answers` hands over both: leases to wake, connections to close. The
  agent has already forgotten a connection it wants closed, so closing may take its time,
  fail or happen outside a lock.

Accounting is synchronous: a place is free the moment the agent decides so, not when the
socket's ``close`` event comes (Node; this is what lets AGT-35 exceed the limit, and what
makes AGT-52 destroy more than it must). Everything may be called on a lease in any state:
the state is checked first, a lease that is ``DONE`` is left alone.

Three facts hold between calls and carry the whole algorithm (``check_invariants``):

1. A name with a queue has no pooled connection.
2. A name with a queue and room under ``max_sockets`` waits only for ``max_total_sockets``:
   then no connection of any name is pooled, and the total is reached.
3. So a new request never overtakes a queued one, and a place that becomes vacant goes to
   the earliest queued request that may have it (FIFO per name, AGT-30; one order of arrival
   over all names under a total, ASK-4).

Times are seconds on any clock that does not go back; ``now`` comes from the caller.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final, TypeVar

from ._chars import safe_text
from ._checks import check_bool, check_port, check_timeout, received
from ._errors import ArgumentTypeError, ArgumentValueError
from ._lease import (
    AGE,
    ASSIGNED,
    DESTROYED,
    DETACHED,
    DONE,
    EVICTED,
    LIMIT,
    NOT_PERSISTENT,
    OPEN,
    PEER,
    REFUSED,
    STALE,
    SURPLUS,
    TIMEOUT,
    UNPOOLED,
    USES,
    Group,
    Lease,
    Socket,
)
from ._names import http_name
from ._pool import Pool

__all__ = ["Agent"]

C = TypeVar("C")
R = TypeVar("R")

_GOLDEN: Final = 0.6180339887498949  # n * this mod 1 spreads any run of n evenly, without randomness


def _limit(name: str, value: float | None, default: float) -> float:
    """Check a limit; 0 and None mean the default (AGT-4, AGT-5)."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArgumentTypeError(f'The "{name}" option must be a number. Received {received(value)}')
    if not value >= 0 or (value < math.inf and value != int(value)):  # the first also refuses NaN
        raise ArgumentValueError(
            f'The value {safe_text(value)} is invalid for option "{name}": it must be a positive integer or inf'
        )
    return value or default


def _seconds(value: float | None, name: str) -> float | None:
    return None if value is None or value == math.inf else check_timeout(value, name)


class Agent(Pool[C, R]):
    """The pure pool policy over connections ``C`` (hashable, compared by identity) and requests ``R``.

    Not safe for threads: on threads hold one lock around each call; wake and close outside it.
    :meth:`abandon` alone may be called from anywhere.

    Attributes:
        keep_alive: pool connections for later requests. Default False (AGT-2).
        keep_alive_delay: seconds before TCP keep-alive probes on a pooled connection.
            Default 1.0 (AGT-3); for the facade, the agent itself has no use for it.
        timeout: seconds a connection may stay pooled; None or 0: for ever (AGT-6, AGT-63).
            Read when a connection is pooled.
        max_socket_age: seconds after opening beyond which no request starts on a connection;
            None or 0: no limit (ASK-6). Each connection gets between 90 and 100 % of it, so that
            a burst does not reconnect as a burst. Read when a connection is freed.
        options: the options this agent was made with, for the connection function; ``path``
            is None (AGT-7).
        default_port, protocol: for requests made through this agent (AGT-9).
        has_answers: :meth:`take_answers` has something to give.
    """

    default_max_sockets: ClassVar[float] = math.inf  # AGT-10
    default_max_free_sockets: ClassVar[int] = 256  # AGT-5

    # A server that says timeout=5 closes about then; a request we send in the last second may cross the FIN.
    # undici takes 1 s (later 2 s) off as well.
    hint_margin: ClassVar[float] = 1.0

    def __init__(
        self,
        *,
        keep_alive: bool = False,
        keep_alive_delay: float | None = 1.0,
        max_sockets: float | None = None,
        max_free_sockets: float | None = None,
        max_total_sockets: float | None = None,
        timeout: float | None = None,
        scheduling: str = "fifo",
        max_socket_age: float | None = None,
        default_port: int = 80,
        protocol: str = "http:",
        **options: Any,
    ) -> None:
        """Make an agent.

        Args:
            keep_alive: see the attribute.
            keep_alive_delay: see the attribute; 0 and None give the default.
            max_sockets: connections per name, used and pooled; 0 and None give
                ``default_max_sockets``, no limit (AGT-4).
            max_free_sockets: pooled connections per name; 0 and None give 256 (AGT-5).
            max_total_sockets: connections over all names; 0 and None: no limit (AGT-L1).
            timeout: see the attribute.
            scheduling: which pooled connection is taken: ``"fifo"`` the one freed first
                (AGT-22), ``"lifo"`` the one freed last, so that a burst's surplus can expire (AGT-L2).
            max_socket_age: see the attribute.
            default_port: see the attribute.
            protocol: see the attribute.
            **options: anything else, kept in ``options`` for the connection function.

        Raises:
            ArgumentTypeError: a limit is not a number.
            ArgumentValueError: a limit is negative, or ``scheduling`` is unknown.
        """
        super().__init__()
        self.scheduling = scheduling
        known = {
            "keep_alive": (keep_alive, False),
            "keep_alive_delay": (keep_alive_delay, 1.0),
            "max_sockets": (max_sockets, None),
            "max_free_sockets": (max_free_sockets, None),
            "max_total_sockets": (max_total_sockets, None),
            "timeout": (timeout, None),
            "scheduling": (scheduling, "fifo"),
            "max_socket_age": (max_socket_age, None),
            "default_port": (default_port, 80),
            "protocol": (protocol, "http:"),
        }
        given: dict[str, Any] = {key: value for key, (value, default) in known.items() if value != default}
        # AGT-7: the HTTP path must never be taken for the path of a Unix socket.
        self.options: dict[str, Any] = {**given, **options, "path": None}
        self.keep_alive = check_bool(keep_alive, "keep_alive")
        self.keep_alive_delay: float = _seconds(keep_alive_delay, "keep_alive_delay") or 1.0
        self.timeout = _seconds(timeout, "timeout")
        self.max_socket_age = _seconds(max_socket_age, "max_socket_age")
        self.default_port = check_port(default_port, "default_port")
        if protocol not in ("http:", "https:"):
            raise ArgumentValueError(
                f'The option "protocol" must be "http:" or "https:". Received {received(protocol)}'
            )
        self.protocol = protocol
        self._arrivals = 0  # requests ever queued: their order over all names
        self._opened = 0
        self._max_sockets = _limit("max_sockets", max_sockets, self.default_max_sockets)
        self._max_free = _limit("max_free_sockets", max_free_sockets, self.default_max_free_sockets)
        self._max_total = _limit("max_total_sockets", max_total_sockets, math.inf)

    # -- options that act when they change ---------------------------------------------------

    @property
    def max_sockets(self) -> float:
        """Connections per name, used and pooled (AGT-4). May be changed at any time.

        Raising it grants waiting requests at once. Lowering it closes surplus pooled
        connections at once and used ones as they are freed (AGT-52). 0 and None give the default.
        """
        return self._max_sockets

    @max_sockets.setter
    def max_sockets(self, value: float | None) -> None:
        self._max_sockets = _limit("max_sockets", value, self.default_max_sockets)
        self.limits_changed()

    @property
    def max_total_sockets(self) -> float:
        """Connections over all names (AGT-L1). May be changed like :attr:`max_sockets`."""
        return self._max_total

    @max_total_sockets.setter
    def max_total_sockets(self, value: float | None) -> None:
        self._max_total = _limit("max_total_sockets", value, math.inf)
        self.limits_changed()

    @property
    def max_free_sockets(self) -> float:
        """Pooled connections per name (AGT-5). May be changed at any time; surplus ones are closed then."""
        return self._max_free

    @max_free_sockets.setter
    def max_free_sockets(self, value: float | None) -> None:
        self._max_free = _limit("max_free_sockets", value, self.default_max_free_sockets)
        self.limits_changed()

    @property
    def scheduling(self) -> str:
        """``"fifo"`` or ``"lifo"``: which pooled connection is taken next (AGT-22, AGT-L2)."""
        return "lifo" if self._lifo else "fifo"

    @scheduling.setter
    def scheduling(self, value: str) -> None:
        if value not in ("fifo", "lifo"):
            raise ArgumentValueError(f"scheduling must be 'fifo' or 'lifo'. Received {received(value)}")
        self._lifo = value == "lifo"

    def limits_changed(self) -> None:
        """Apply changed limits. The limits' setters call it; a facade adds its lock and its delivery here."""
        if self._abandoned:
            self._drain()
        for group in list(self._groups.values()):
            while group.free and (group.count > self._max_sockets or len(group.free) > self._max_free):
                connection = next(iter(group.free))
                self._remove_idle(group, connection, LIMIT if group.count > self._max_sockets else SURPLUS)
        while self._idle and self._total > self._max_total:
            connection, group = next(iter(self._idle.items()))
            self._remove_idle(group, connection, LIMIT)
        for group in self._groups.values():
            if group.queue and group.count < self._max_sockets:
                self._ready.add(group)
        self._serve_ready()

    def get_name(self, options: Mapping[str, object]) -> str:
        """The name under which connections made with ``options`` are interchangeable (AGT-13)."""
        return http_name(options)

    # -- what happens to a request -----------------------------------------------------------

    def request(self, name: str, request: R, now: float, options: Any = None) -> Lease[C, R]:
        """A request wants a connection (AGT-20). O(1).

        Args:
            name: where to (:meth:`get_name`).
            request: shown in :attr:`requests` while it queues.
            now: seconds.
            options: kept in ``lease.options``.

        Returns:
            A lease that is

            1. ``ASSIGNED``, ``reused`` True: a pooled connection (AGT-20 (1), AGT-26);
            2. ``OPEN``: open a connection, then call :meth:`opened` (AGT-20 (2)). To make room
               under ``max_total_sockets`` the pooled connection freed longest ago may be closed;
            3. ``QUEUED``: wait until woken, then look again (AGT-20 (3)).
        """
        if self._abandoned:
            self._drain()
        if self._expiries.heap and self._expiries.heap[0][0] <= now:
            self.expire(now)
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name)
        elif group.resting:
            group.resting = False
            del self._resting[name]
        lease: Lease[C, R] = Lease(group, request, options)
        if group.free:
            self._take_idle(group, lease)
        elif group.count < self._max_sockets and (self._total < self._max_total or self._make_room()):
            self._grant_open(group, lease)
        else:
            self._arrivals += 1
            lease._seq = self._arrivals
            group.queue[lease] = None
            if group.count < self._max_sockets:
                self._ready.add(group)
        return lease

    def opened(self, lease: Lease[C, R], connection: C, now: float) -> bool:
        """The connection of an ``OPEN`` lease is there.

        Returns:
            True: the lease is ``ASSIGNED``. False: the lease had ended meanwhile (or never
            had the right to open); ``connection`` is among those to close.
        """
        if self._abandoned:
            self._drain()
        socket = lease._socket
        if lease.state != OPEN or socket is None:
            self._to_close.append(connection)
            self.has_answers = True
            return False
        self._opened += 1
        lease._group.created += 1
        socket.connection = lease.connection = connection
        socket.opened_at = now
        socket.uses = 1
        socket.spread = 1.0 - 0.1 * (self._opened * _GOLDEN % 1.0)
        lease.state = ASSIGNED
        return True

    def retry(self, lease: Lease[C, R], now: float, *, fresh: bool = False) -> str:
        """The connection of an ``ASSIGNED`` lease proved stale before it was of any use.

        The connection is closed. The lease keeps its place: it gets another pooled
        connection, or the right to open one; it never goes back to the queue.

        Args:
            lease: the lease.
            now: seconds.
            fresh: no other pooled connection. A server closes those of a burst together, and what was sent twice
                in vain is not sent again.

        Returns:
            The lease's state: ``ASSIGNED`` or ``OPEN`` (``DONE`` and others are left as they are).
        """
        if self._abandoned:
            self._drain()
        socket = lease._socket
        if lease.state != ASSIGNED or socket is None:
            return lease.state
        if self._expiries.heap and self._expiries.heap[0][0] <= now:
            self.expire(now)
        group = lease._group
        self._condemn(group, socket, STALE)
        del group.used[socket]
        group.count -= 1
        self._total -= 1
        lease.connection = None
        lease.reused = False
        if group.free and not fresh:
            self._take_idle(group, lease)
        else:
            self._grant_open(group, lease)
        return lease.state

    def freed(
        self,
        lease: Lease[C, R],
        now: float,
        *,
        persistent: bool,
        hint: float | None = None,
        max_uses: int | None = None,
    ) -> None:
        """The exchange ended and left its connection clean (AGT-44, AGT-48 to AGT-55). O(1).

        The connection goes straight to the first queued request, or into the pool, or among
        those to close. Also right for a connection that was assigned and never touched: it is
        passed on (AGT-58). On a lease that is not ``ASSIGNED`` it is :meth:`dropped`.

        Args:
            lease: the lease that ends.
            now: seconds.
            persistent: both sides allow another exchange, and the connection is whole in both
                directions (AGT-47, AGT-49). False: close it, unflushed output is the caller's affair.
            hint: seconds from the answer's ``Keep-Alive: timeout=``; it counts for this
                connection until a later one replaces it. The connection stays pooled for at
                most ``hint`` - ``hint_margin``.
            max_uses: ``Keep-Alive: max=``: exchanges the server still serves, the one that
                just ended included. Apache counts it down, Node repeats its total: either way
                the connection is closed after that many.
        """
        if self._abandoned:
            self._drain()
        socket = lease._socket
        if lease.state != ASSIGNED or socket is None:
            self._drop(lease)
            return
        group = lease._group
        if hint is not None:
            socket.hint = hint
        if max_uses is not None:
            socket.max_uses = min(socket.max_uses, socket.uses - 1 + max_uses)
        age = self.max_socket_age
        socket.retires_at = socket.opened_at + age * socket.spread if age else math.inf
        if not persistent or socket.hint <= 0:
            reason = NOT_PERSISTENT
        elif socket.uses >= socket.max_uses:
            reason = USES
        elif now >= socket.retires_at:
            reason = AGE
        elif group.count > self._max_sockets or self._total > self._max_total:
            reason = LIMIT  # before the hand-over, unlike AGT-50/52: else a deep queue keeps a lowered limit away
        else:
            reason = self._keep(group, socket, lease, now)
        if reason:
            self._end(lease, reason)

    def _keep(self, group: Group[C, R], socket: Socket[C], lease: Lease[C, R], now: float) -> str:
        """Hand a good connection on or pool it; or say why it has to be closed."""
        head = next(iter(group.queue)) if group.queue else None
        if self._ready.heap:
            earliest = self._ready.first(self._max_sockets)
            if earliest is not None and (head is None or earliest._seq < head._seq):
                return EVICTED  # another name came first and waits for nothing but our place
        connection = socket.connection
        assert connection is not None  # the lease is ASSIGNED
        if head is not None:
            del group.queue[head]
            lease.state = DONE
            lease.connection = lease._socket = None
            group.used[socket] = head  # keeps its place in `sockets`
            socket.uses += 1
            group.reused += 1
            head._socket = socket
            head.connection = connection
            head.reused = True
            head.state = ASSIGNED
            self._to_wake.append(head)
            self.has_answers = True
            return ""
        if not self.keep_alive:
            return UNPOOLED
        if len(group.free) >= self._max_free:
            return SURPLUS
        life = self.timeout or math.inf
        if socket.hint - self.hint_margin < life:
            life = socket.hint - self.hint_margin
            if life <= 0:
                return TIMEOUT
        try:
            if not self._keeps(connection):
                return REFUSED
        except BaseException:
            self._end(lease, REFUSED)
            raise
        lease.state = DONE
        lease.connection = lease._socket = None
        del group.used[socket]
        group.free[connection] = socket
        self._idle[connection] = group
        socket.idle = True
        socket.expires_at = min(now + life, socket.retires_at)
        if socket.expires_at < math.inf:
            self._expiries.add(socket)
        return ""

    def dropped(self, lease: Lease[C, R]) -> None:
        """Whatever this lease holds, it wants no more. Right in every state, any number of times. O(1).

        A queued one leaves the queue. A grant goes to the next in turn (ASK-16, AGT-71, AGT-73);
        a connection, which may be in the middle of an exchange, is closed (ASK-13).
        """
        if self._abandoned:
            self._drain()
        self._drop(lease)

    def abandon(self, lease: Lease[C, R]) -> None:
        """:meth:`dropped`, carried out by the next call of the agent.

        For ``__del__``: it may run inside any line, the agent's own included and in any
        thread, so it takes no lock and touches nothing but a deque.
        """
        self._abandoned.append(lease)

    def detach(self, lease: Lease[C, R]) -> C | None:
        """The connection stops being a pooled HTTP connection: upgrade, CONNECT, ``agent_remove``.

        It no longer counts, and a queued request gets the place (AGT-70, AGT-79).

        Returns:
            The connection, now the caller's; None if the lease had none (then as :meth:`dropped`).
        """
        if self._abandoned:
            self._drain()
        connection = lease.connection
        if lease.state == ASSIGNED:
            self._end(lease, DETACHED)
        else:
            self._drop(lease)
        return connection

    # -- what happens to pooled connections -----------------------------------------------------

    def idle_closed(self, name: str, connection: C, reason: str = PEER) -> bool:
        """A pooled connection died (AGT-61, AGT-62), was silent for too long or was taken away by its owner (AGT-70).

        Returns:
            True: it was pooled, is so no longer, and is the caller's to close. False: it was
            not (it has an owner who will notice, or is already among those to close).
        """
        if self._abandoned:
            self._drain()
        group = self._groups.get(name)
        if group is None or connection not in group.free:
            return False
        self._remove_idle(group, connection, reason)
        return True

    def expire(self, now: float) -> None:
        """Close pooled connections whose time has come (AGT-63). Also done by :meth:`request`."""
        if self._abandoned:
            self._drain()
        while (socket := self._expiries.pop_due(now)) is not None:
            connection = socket.connection
            assert connection is not None  # it was pooled
            self._remove_idle(self._idle[connection], connection, AGE if now >= socket.retires_at else TIMEOUT)

    def next_expiry(self) -> float | None:
        """When :meth:`expire` will next have something to do, in seconds on the caller's clock, or None."""
        return self._expiries.next()

    def destroy(self) -> None:
        """Close every connection, pooled ones first (AGT-82), and fail every request that has none yet.

        All leases end with ``error`` set and are woken (AGT-84; queued ones too, unlike
        AGT-85). The agent remains usable (AGT-86).
        """
        self._drain()
        groups = list(self._groups.values())
        for group in groups:
            for connection in list(group.free):
                self._remove_idle(group, connection, DESTROYED)
        used = [lease for group in groups for lease in group.used.values()]
        queued = [lease for group in groups for lease in group.queue]
        for lease in queued:  # first, else each place vacated below would be granted to one of them
            self._fail(lease, "queue")
            self._drop(lease)
        for lease in used:
            self._fail(lease, "connect" if lease.state == OPEN else None)
            self._end(lease, DESTROYED)
        self._expiries.heap.clear()  # nothing is left that could expire
