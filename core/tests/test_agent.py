"""The pool's policy, statement by statement (spec/agent.md, ASK-n), without sockets and without a clock."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import pytest

from anywire.core._agent import Agent
from anywire.core._errors import ArgumentTypeError, ArgumentValueError, ConnectionLost
from anywire.core._lease import ASSIGNED, DONE, OPEN, QUEUED, Lease

A, B = "a:80:", "b:80:"


class Pool(Agent[str, str]):
    """An agent that checks its books after each step of a test, and numbers its connections."""

    made = 0

    def get(self, request: str = "r", name: str = A, now: float = 0.0) -> Lease[str, str]:
        lease = self.request(name, request, now)
        self.check_invariants()
        return lease

    def connect(self, lease: Lease[str, str], now: float = 0.0) -> str:
        self.made += 1
        connection = f"s{self.made}"
        assert self.opened(lease, connection, now)
        self.check_invariants()
        return connection

    def use(self, request: str = "r", name: str = A, now: float = 0.0) -> Lease[str, str]:
        """A lease with a connection, new or pooled."""
        lease = self.get(request, name, now)
        if lease.state == OPEN:
            self.connect(lease, now)
        assert lease.state == ASSIGNED
        return lease

    def free(self, *leases: Lease[str, str], now: float = 0.0, **how: Any) -> None:
        for lease in leases:
            self.freed(lease, now, **{"persistent": True, **how})
            self.check_invariants()

    def closed(self) -> list[str]:
        return self.take_answers()[1]

    def woken(self) -> list[Lease[str, str]]:
        return self.take_answers()[0]

    def reasons(self, name: str = A) -> dict[str, int]:
        return self.stats()[name].closed


def warm(count: int, **options: Any) -> Pool:
    """A keep-alive pool with connections s1 … s<count> to A, freed in this order."""
    pool = Pool(keep_alive=True, **options)
    pool.free(*[pool.use() for _ in range(count)])
    return pool


# -- construction and attributes ------------------------------------------------------------------


def test_defaults() -> None:
    agent: Agent[str, str] = Agent()
    assert agent.keep_alive is False  # AGT-2
    assert agent.keep_alive_delay == 1.0  # AGT-3
    assert agent.max_sockets == math.inf  # AGT-4
    assert agent.max_free_sockets == 256  # AGT-5
    assert agent.timeout is None  # AGT-6
    assert agent.max_total_sockets == math.inf  # AGT-L1
    assert agent.scheduling == "fifo"  # AGT-22: 13.14 behaves so
    assert agent.max_socket_age is None
    assert (agent.default_port, agent.protocol) == (80, "http:")  # AGT-9
    assert (agent.sockets, agent.free_sockets, agent.requests) == ({}, {}, {})  # AGT-9
    assert Agent.default_max_sockets == math.inf  # AGT-10


@pytest.mark.parametrize("nothing", [0, None])
def test_zero_and_none_give_the_default(nothing: float | None) -> None:
    agent: Agent[str, str] = Agent(keep_alive_delay=nothing, max_sockets=nothing, max_free_sockets=nothing)
    assert agent.keep_alive_delay == 1.0  # AGT-3
    assert agent.max_sockets == math.inf  # AGT-4
    assert agent.max_free_sockets == 256  # AGT-5


def test_options_are_kept_with_path_cleared() -> None:
    given: dict[str, Any] = {"host": "h", "path": "/x", "unknown": 1}
    agent: Agent[str, str] = Agent(keep_alive=True, timeout=3.0, **given)
    assert agent.options == {"keep_alive": True, "timeout": 3.0, "host": "h", "path": None, "unknown": 1}  # AGT-7


@pytest.mark.parametrize("limit", ["max_sockets", "max_free_sockets", "max_total_sockets"])
@pytest.mark.parametrize(
    ("value", "error"),
    [("3", ArgumentTypeError), (True, ArgumentTypeError), (-1, ArgumentValueError), (math.nan, ArgumentValueError)],
)
def test_bad_limits_are_refused(limit: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Pool(**{limit: value})
    pool = Pool()
    before = getattr(pool, limit)
    with pytest.raises(error):
        setattr(pool, limit, value)
    assert getattr(pool, limit) == before


def test_unknown_scheduling_is_refused() -> None:
    with pytest.raises(ArgumentValueError):
        Pool(scheduling="random")


def test_get_name() -> None:
    assert Pool().get_name({"host": "h", "port": 80}) == "h:80:"  # AGT-13


# -- assigning ----------------------------------------------------------------------------------------


def test_decision_order() -> None:
    # AGT-20: a pooled connection, else the right to open below max_sockets, else the queue.
    pool = warm(1, max_sockets=2)
    assert (pool.get().state, pool.get().state, pool.get().state) == (ASSIGNED, OPEN, QUEUED)


def test_maps_show_the_decision_at_once() -> None:
    # AGT-24; a place being connected counts as used and is shown (AGT-23).
    pool = Pool(max_sockets=1)
    first = pool.get("first")
    pool.get("second")
    assert pool.sockets == {A: [None]}
    assert pool.requests == {A: ["second"]}
    pool.connect(first)
    assert pool.sockets == {A: ["s1"]}


def test_emptied_names_are_gone() -> None:
    pool = Pool(keep_alive=True, max_sockets=1)  # AGT-11
    first, second = pool.use(), pool.get()
    pool.dropped(second)
    assert pool.requests == {}
    pool.free(first)
    assert pool.sockets == {}
    assert pool.idle_closed(A, "s1")
    assert pool.free_sockets == {}


def test_failed_attempt_leaves_no_empty_list() -> None:
    pool = Pool()  # AGT-12 is an ARTEFACT and not reproduced
    pool.dropped(pool.get())
    assert pool.sockets == {}


def test_fifo_takes_the_one_freed_first() -> None:
    pool = warm(3)  # AGT-22
    assert [pool.use().connection for _ in range(3)] == ["s1", "s2", "s3"]


def test_lifo_takes_the_one_freed_last() -> None:
    pool = warm(3, scheduling="lifo")  # AGT-L2
    assert [pool.use().connection for _ in range(3)] == ["s3", "s2", "s1"]
    pool.scheduling = "fifo"
    assert pool.scheduling == "fifo"


def test_lifo_lets_the_surplus_of_a_burst_expire() -> None:
    # ASK-3: after a burst of 50, then 1 request/s, one connection is left within one idle timeout.
    left = {}
    for scheduling in ("lifo", "fifo"):
        pool = warm(50, scheduling=scheduling, timeout=5.0)
        for second in range(1, 7):
            pool.free(pool.use(now=second), now=second)
        left[scheduling] = pool.stats()[A].idle
    assert left["lifo"] == 1
    assert left["fifo"] > 1


def test_pooled_connections_count() -> None:
    # AGT-23: used + pooled are compared with max_sockets; so the pooled one is reused, not joined by another.
    pool = warm(2, max_sockets=2)
    assert [pool.get().state for _ in range(3)] == [ASSIGNED, ASSIGNED, QUEUED]


def test_reused_connection_moves_to_the_end_of_sockets() -> None:
    pool = warm(2)  # AGT-26
    pool.use()
    assert (pool.sockets, pool.free_sockets) == ({A: ["s1"]}, {A: ["s2"]})
    third = pool.get()
    pool.get()
    assert third.connection == "s2"
    assert pool.sockets == {A: ["s1", "s2", None]}
    assert pool.free_sockets == {}


def test_reuse_socket_is_called_for_pooled_ones_only() -> None:
    calls = []

    class Hooked(Pool):
        def reuse_socket(self, connection: str, request: str) -> None:
            calls.append((connection, request))

    pool = Hooked(keep_alive=True, max_sockets=1)
    first, second = pool.use("first"), pool.get("second")
    pool.free(first)
    assert calls == []  # AGT-50: not on hand-over
    pool.free(second)
    third = pool.get("third")
    assert calls == [("s1", "third")]  # AGT-26
    assert third.state == ASSIGNED


def test_raising_reuse_socket_ends_only_its_connection() -> None:
    class Raising(Pool):
        def reuse_socket(self, connection: str, request: str) -> None:
            raise ZeroDivisionError

    pool = Raising(keep_alive=True)  # SEC-40
    pool.free(pool.use())
    with pytest.raises(ZeroDivisionError):
        pool.request(A, "r", 0.0)
    pool.check_invariants()
    assert pool.closed() == ["s1"]
    assert pool.get().state == OPEN


def test_reused_tells_the_truth() -> None:
    pool = Pool(keep_alive=True, max_sockets=1)  # decision 4: on hand-over too, unlike AGT-50
    first, second = pool.use(), pool.get()
    assert first.reused is False
    pool.free(first)
    assert second.reused is True
    pool.free(second)
    assert pool.get().reused is True


def test_names_are_independent() -> None:
    pool = Pool(max_sockets=1)  # AGT-29
    pool.get()
    assert pool.get().state == QUEUED
    assert pool.get(name=B).state == OPEN


def test_queue_is_fifo() -> None:
    pool = Pool(max_sockets=1)  # AGT-30, AGT-40
    current = pool.use("0")
    queued = [pool.get(str(n)) for n in range(1, 5)]
    for lease in queued:
        pool.free(current)
        assert pool.woken() == [lease]
        assert lease.connection == "s1"
        current = lease


# -- freeing -------------------------------------------------------------------------------------------


def test_non_persistent_is_closed_and_replaced() -> None:
    # AGT-47, AGT-49, AGT-76: closed, and the queue gets the right to open another.
    pool = Pool(keep_alive=True, max_sockets=1)
    first, second = pool.use(), pool.get()
    pool.free(first, persistent=False)
    assert first.state == DONE
    assert second.state == OPEN
    assert pool.take_answers() == ([second], ["s1"])
    assert pool.reasons() == {"not_persistent": 1}


def test_hand_over_keeps_the_connection_in_sockets() -> None:
    pool = Pool(max_sockets=2)  # AGT-50
    first, _, third = pool.use(), pool.use(), pool.get()
    pool.free(first)
    assert (first.state, first.connection) == (DONE, None)
    assert (third.state, third.connection) == (ASSIGNED, "s1")
    assert pool.sockets == {A: ["s1", "s2"]}
    assert pool.take_answers() == ([third], [])


def test_without_keep_alive_closed_when_nobody_queues() -> None:
    pool = Pool(max_sockets=1)  # AGT-40, AGT-51, AGT-90
    first, second = pool.use(), pool.get()
    pool.free(first, second)
    assert pool.closed() == ["s1"]
    assert pool.reasons() == {"unpooled": 1}
    assert pool.sockets == {}


def test_default_agent_never_pools() -> None:
    pool = Pool()  # AGT-38, AGT-42, AGT-91
    pool.free(pool.use())
    assert pool.closed() == ["s1"]
    assert pool.free_sockets == {}


def test_keep_alive_can_be_changed() -> None:
    pool = warm(1)  # AGT-9
    pool.keep_alive = False
    pool.free(pool.use())
    assert pool.closed() == ["s1"]


def test_lowered_max_sockets_closes_what_is_freed() -> None:
    # AGT-52. Node, whose count falls only at `close`, destroys all three; one is within the limit.
    pool = Pool(keep_alive=True, max_sockets=3)
    leases = [pool.use() for _ in range(3)]
    pool.max_sockets = 1
    assert pool.closed() == []  # what is in use is left alone
    pool.free(*leases)
    assert pool.closed() == ["s1", "s2"]
    assert pool.reasons() == {"limit": 2}
    assert pool.free_sockets == {A: ["s3"]}


def test_lowered_max_sockets_is_reached_with_a_queue_too() -> None:
    # ASK-5. Node hands over first (AGT-50 before AGT-52), so that a deep queue keeps the limit away.
    pool = Pool(max_sockets=2)
    first, second, third = pool.use(), pool.use(), pool.get()
    pool.max_sockets = 1
    pool.free(first)
    assert third.state == QUEUED
    pool.free(second)
    assert third.connection == "s2"


def test_lowered_total_closes_what_is_freed() -> None:
    pool = Pool(keep_alive=True)  # ASK-5
    first, second = pool.use(name=A), pool.use(name=B)
    pool.max_total_sockets = 1
    queued = pool.get(name=A)
    pool.free(first)
    assert (pool.closed(), pool.reasons(), queued.state) == (["s1"], {"limit": 1}, QUEUED)
    pool.free(second)
    assert queued.state == OPEN
    assert pool.reasons(B) == {"evicted": 1}


def test_lowered_limits_close_pooled_surplus_oldest_first() -> None:
    pool = warm(4)
    pool.max_free_sockets = 3
    assert pool.closed() == ["s1"]
    pool.max_sockets = 2
    assert pool.closed() == ["s2"]
    pool.max_total_sockets = 1
    assert pool.closed() == ["s3"]
    pool.check_invariants()
    assert pool.reasons() == {"surplus": 1, "limit": 2}


def test_raised_limits_grant_at_once() -> None:
    pool = Pool(max_sockets=1)
    pool.get()
    queued = [pool.get() for _ in range(3)]
    pool.max_sockets = 3
    pool.check_invariants()
    assert [lease.state for lease in queued] == [OPEN, OPEN, QUEUED]
    assert pool.woken() == queued[:2]
    pool.max_sockets = None
    assert pool.woken() == queued[2:]


def test_max_free_sockets_keeps_those_freed_first() -> None:
    pool = Pool(keep_alive=True, max_free_sockets=3)  # AGT-53
    pool.free(*[pool.use() for _ in range(5)])
    assert pool.free_sockets == {A: ["s1", "s2", "s3"]}
    assert pool.closed() == ["s4", "s5"]
    assert pool.reasons() == {"surplus": 2}


def test_keep_socket_alive_decides() -> None:
    class Picky(Pool):
        def keep_socket_alive(self, connection: str) -> bool:
            return connection != "s1"

    pool = Picky(keep_alive=True)  # AGT-54
    pool.free(pool.use(), pool.use())
    pool.free(pool.use())
    assert pool.closed() == ["s1"]
    assert pool.free_sockets == {A: ["s2"]}
    assert pool.reasons() == {"refused": 1}


def test_keep_socket_alive_runs_each_time_a_connection_is_pooled() -> None:
    calls = []

    class Counting(Pool):
        def keep_socket_alive(self, connection: str) -> bool:
            calls.append(connection)
            return True

    pool = Counting(keep_alive=True, max_sockets=1)  # AGT-56
    first, second = pool.use(), pool.get()
    pool.free(first)
    assert calls == []  # handed over, not pooled
    pool.free(second)
    pool.free(pool.use())
    assert calls == ["s1", "s1"]


def test_raising_keep_socket_alive_ends_only_its_connection() -> None:
    class Raising(Pool):
        def keep_socket_alive(self, connection: str) -> bool:
            raise ZeroDivisionError

    pool = Raising(keep_alive=True)  # SEC-40
    lease = pool.use()
    with pytest.raises(ZeroDivisionError):
        pool.free(lease)
    pool.check_invariants()
    assert lease.state == DONE
    assert pool.closed() == ["s1"]


def test_freed_goes_to_the_end_of_free_sockets() -> None:
    pool = warm(2)  # AGT-55
    pool.free(pool.use())
    assert pool.free_sockets == {A: ["s2", "s1"]}


def test_assigned_and_never_touched_is_passed_on() -> None:
    # AGT-58: the aborted one's turn comes, it gives the connection to the next; nothing was written.
    pool = Pool(max_sockets=1)
    first, second, third = pool.use(), pool.get(), pool.get()
    pool.free(first)
    assert second.state == ASSIGNED
    pool.free(second)  # cancelled in the tick in which it was served
    assert (third.state, third.connection) == (ASSIGNED, "s1")


def test_freed_without_a_connection_is_dropped() -> None:
    pool = Pool(max_sockets=1)
    first, second, third = pool.get(), pool.get(), pool.get()
    pool.free(second)
    assert (second.state, pool.requests) == (DONE, {A: ["r"]})
    pool.free(first)
    assert third.state == OPEN


def test_a_done_lease_cannot_touch_the_next_owner() -> None:
    # ASK-13: late reports of the old owner change nothing.
    pool = Pool(max_sockets=1)
    first, second = pool.use(), pool.get()
    pool.free(first)
    pool.take_answers()
    pool.free(first)
    pool.dropped(first)
    pool.retry(first, 0.0)
    assert pool.detach(first) is None
    pool.check_invariants()
    assert (second.state, second.connection) == (ASSIGNED, "s1")
    assert not pool.has_answers


# -- hints, age, idle time ----------------------------------------------------------------------------


def test_idle_timeout_closes() -> None:
    pool = warm(2, timeout=5.0)  # AGT-63
    pool.free(pool.use(now=3.0), now=3.0)  # s1 again, until 8.0
    assert pool.next_expiry() == 5.0
    pool.expire(4.999)
    assert pool.closed() == []
    pool.expire(5.0)
    pool.check_invariants()
    assert pool.closed() == ["s2"]
    assert pool.next_expiry() == 8.0
    pool.expire(8.0)
    assert pool.closed() == ["s1"]
    assert pool.reasons() == {"timeout": 2}
    assert pool.next_expiry() is None


def test_request_does_not_get_an_expired_connection() -> None:
    pool = warm(1, timeout=5.0)  # AGT-63 without a timer
    assert pool.get(now=5.0).state == OPEN
    assert pool.closed() == ["s1"]


def test_no_timer_runs_while_in_use() -> None:
    pool = warm(1, timeout=5.0)  # ASK-21
    lease = pool.use(now=1.0)
    assert pool.next_expiry() is None
    pool.expire(100.0)
    assert lease.state == ASSIGNED
    pool.free(lease, now=100.0)
    assert pool.next_expiry() == 105.0


def test_timeout_is_read_when_a_connection_is_pooled() -> None:
    pool = warm(1, timeout=5.0)  # AGT-55
    pool.timeout = 2.0
    pool.free(pool.use(now=1.0), now=1.0)
    assert pool.next_expiry() == 3.0
    pool.timeout = None
    pool.free(pool.use(now=2.0), now=2.0)
    assert pool.next_expiry() is None


def test_hint_retires_a_margin_before_the_server() -> None:
    # AGT-L4, ASK-2: timeout=5 means retired after 4 s idle, and a later exchange may take 7 s.
    pool = Pool(keep_alive=True)
    pool.free(pool.use(), hint=5.0)
    assert pool.next_expiry() == 4.0
    lease = pool.use(now=3.0)
    pool.expire(10.0)
    assert lease.state == ASSIGNED
    pool.free(lease, now=10.0)  # no hint this time: the last one stands
    assert pool.next_expiry() == 14.0


def test_the_shorter_of_hint_and_timeout_counts() -> None:
    pool = Pool(keep_alive=True, timeout=3.0)
    pool.free(pool.use(), hint=60.0)
    assert pool.next_expiry() == 3.0
    pool.free(pool.use(), hint=2.5)
    assert pool.next_expiry() == 1.5


@pytest.mark.parametrize(("hint", "pooled"), [(0.0, False), (0.5, False), (1.0, False), (1.5, True)])
def test_hint_within_the_margin_is_not_pooled(hint: float, pooled: bool) -> None:
    pool = Pool(keep_alive=True)  # AGT-L4
    pool.free(pool.use(), hint=hint)
    assert pool.closed() == ([] if pooled else ["s1"])


def test_short_hint_still_allows_a_hand_over_at_once_but_zero_does_not() -> None:
    pool = Pool(max_sockets=1)
    first, second, third = pool.use(), pool.get(), pool.get()
    pool.free(first, hint=1.0)
    assert second.connection == "s1"
    pool.free(second, hint=0.0)
    assert third.state == OPEN


def test_max_uses_counted_down_by_the_server() -> None:
    pool = Pool(keep_alive=True)  # ASK-2, Apache's way
    for left in (3, 2):
        pool.free(pool.use(), max_uses=left)
    assert pool.free_sockets == {A: ["s1"]}
    pool.free(pool.use(), max_uses=1)
    assert pool.closed() == ["s1"]
    assert pool.reasons() == {"uses": 1}


@pytest.mark.parametrize("repeated", [True, False])
def test_max_uses_as_a_constant(repeated: bool) -> None:
    pool = Pool(keep_alive=True)  # ASK-2, Node's way: max=3 in each answer, or said once
    for n in range(3):
        pool.free(pool.use(), max_uses=3 if repeated or n == 0 else None)
    assert pool.closed() == ["s1"]


def test_max_uses_binds_the_hand_over_too() -> None:
    pool = Pool(max_sockets=1)
    first, second = pool.use(), pool.get()
    assert first.uses == 1
    pool.free(first, max_uses=1)
    assert second.state == OPEN


def test_max_socket_age_at_hand_out_and_when_freed() -> None:
    pool = Pool(keep_alive=True, max_socket_age=10.0)  # ASK-6
    pool.free(pool.use(now=0.0), now=1.0)
    expiry = pool.next_expiry()
    assert expiry is not None
    assert 9.0 <= expiry <= 10.0
    assert pool.use(now=8.9).connection == "s1"
    assert pool.use(now=8.9).connection == "s2"
    pool.free(*pool._groups[A].used.values(), now=10.0)
    assert pool.closed() == ["s1"]
    assert pool.use(now=18.9).connection == "s3"  # s2, from 8.9, is past 90 % of its age at 18.9
    assert pool.reasons() == {"age": 2}


def test_max_socket_age_binds_the_hand_over() -> None:
    pool = Pool(max_sockets=1, max_socket_age=10.0)
    first, second = pool.use(), pool.get()
    pool.free(first, now=10.0)
    assert second.state == OPEN


def test_max_socket_age_is_spread() -> None:
    pool = Pool(keep_alive=True, max_socket_age=100.0)  # ASK-6: a burst does not reconnect as a burst
    pool.free(*[pool.use() for _ in range(20)])
    ends = []
    while (at := pool.next_expiry()) is not None:
        pool.expire(at)
        ends.append(at)
    assert len(ends) == 20
    assert 90.0 <= min(ends) < 91.0
    assert 99.0 < max(ends) <= 100.0


def test_a_pooled_connection_dies() -> None:
    pool = warm(2)  # AGT-61, AGT-62, AGT-21
    assert pool.idle_closed(A, "s1") is True
    pool.check_invariants()
    assert pool.free_sockets == {A: ["s2"]}
    assert pool.closed() == []  # it is the reporter's to close
    assert pool.idle_closed(A, "s1") is False
    assert pool.use().connection == "s2"
    assert pool.idle_closed(A, "s2") is False  # in use: its owner notices
    assert pool.idle_closed("elsewhere", "s2") is False
    assert pool.reasons() == {"peer": 1}


# -- dropping ------------------------------------------------------------------------------------------


def test_dropped_in_every_state_and_twice() -> None:
    pool = Pool(keep_alive=True, max_sockets=1)
    first, second, third, fourth = pool.get(), pool.get(), pool.get(), pool.get()
    for _ in range(2):
        pool.dropped(second)  # QUEUED
        pool.check_invariants()
    assert second.state == DONE
    for _ in range(2):
        pool.dropped(first)  # OPEN: AGT-73, the next one tries
        pool.check_invariants()
    assert (first.state, third.state) == (DONE, OPEN)
    pool.connect(third)
    for _ in range(2):
        pool.dropped(third)  # ASSIGNED: AGT-71, AGT-75
        pool.check_invariants()
    assert (third.state, third.connection, fourth.state) == (DONE, None, OPEN)
    assert pool.closed() == ["s1"]
    pool.dropped(fourth)
    assert (pool.sockets, pool.requests, pool.free_sockets) == ({}, {}, {})
    assert pool.stats()[A].failed == 2
    assert pool.reasons() == {"dropped": 1}


@pytest.mark.parametrize("how", ["persistent", "closed", "failed"])
def test_a_grant_to_a_cancelled_waiter_goes_on(how: str) -> None:
    # ASK-16: cancelled in the tick in which it was served, before it looked.
    pool = Pool(max_sockets=1)
    first, second, third = pool.get(), pool.get(), pool.get()
    if how != "failed":
        pool.connect(first)
    if how == "failed":
        pool.dropped(first)
    else:
        pool.free(first, persistent=how == "persistent")
    assert second.state == (ASSIGNED if how == "persistent" else OPEN)
    pool.dropped(second)
    pool.check_invariants()
    assert third.state == OPEN
    woken, closed = pool.take_answers()
    assert woken == [second, third]
    assert closed == ([] if how == "failed" else ["s1"])


def test_connection_of_a_lease_dropped_while_connecting_is_closed() -> None:
    pool = Pool()
    lease = pool.get()
    pool.dropped(lease)
    assert pool.opened(lease, "late", 0.0) is False
    assert pool.closed() == ["late"]
    assert pool.sockets == {}
    assert pool.total_stats().created == 0


def test_opened_needs_the_right_to_open() -> None:
    pool = Pool(max_sockets=1)
    first, second = pool.use(), pool.get()
    assert pool.opened(first, "x", 0.0) is False
    assert pool.opened(second, "y", 0.0) is False
    pool.check_invariants()
    assert pool.closed() == ["x", "y"]
    assert (first.connection, second.state) == ("s1", QUEUED)


def test_abandoned_is_dropped_by_the_next_call() -> None:
    pool = Pool(max_sockets=1)
    first, second = pool.use(), pool.get()
    pool.abandon(first)
    pool.abandon(first)
    assert first.state == ASSIGNED
    assert not pool.has_answers
    assert pool.take_answers() == ([second], ["s1"])
    assert (first.state, second.state) == (DONE, OPEN)


@pytest.mark.parametrize(
    "call", ["request", "opened", "retry", "freed", "dropped", "detach", "idle_closed", "expire", "destroy", "limit"]
)
def test_each_call_drains_the_abandoned(call: str) -> None:
    pool = Pool(keep_alive=True)
    lost, other = pool.use(), pool.get(name=B)
    pool.abandon(lost)
    match call:
        case "request":
            pool.request(B, "r", 0.0)
        case "opened":
            pool.opened(other, "s9", 0.0)
        case "retry":
            pool.retry(other, 0.0)
        case "freed":
            pool.freed(other, 0.0, persistent=True)
        case "dropped":
            pool.dropped(other)
        case "detach":
            pool.detach(other)
        case "idle_closed":
            pool.idle_closed(B, "s9")
        case "expire":
            pool.expire(0.0)
        case "destroy":
            pool.destroy()
        case _:
            pool.max_sockets = 9
    assert lost.state == DONE
    pool.check_invariants()


def test_abandon_only_appends() -> None:
    pool = Pool()  # design.md: __del__ touches neither pool nor runtime
    lease = pool.use()
    before = (repr(pool), lease.state)
    pool.abandon(lease)
    assert (repr(pool), lease.state) == before


def test_no_reference_to_a_finished_request_is_kept() -> None:
    class Thing:
        pass

    agent: Agent[Thing, Thing] = Agent(keep_alive=True, timeout=9.0)
    request, connection = Thing(), Thing()
    lease = agent.request(A, request, 0.0)
    agent.opened(lease, connection, 0.0)
    agent.freed(lease, 0.0, persistent=True)
    gone = weakref.ref(request)
    del request, lease
    gc.collect()
    assert gone() is None
    dead = weakref.ref(connection)
    agent.idle_closed(A, connection)  # its expiry entry stays behind
    del connection
    gc.collect()
    assert dead() is None


# -- retry, detach, destroy ----------------------------------------------------------------------------


def test_retry_takes_another_pooled_connection() -> None:
    pool = warm(2, max_sockets=2)
    lease = pool.use()
    assert pool.retry(lease, 0.0) == ASSIGNED
    pool.check_invariants()
    assert (lease.connection, lease.reused) == ("s2", True)
    assert pool.closed() == ["s1"]
    assert pool.reasons() == {"stale": 1}
    assert pool.get().state == OPEN  # the stale one's place is free again


def test_retry_opens_in_the_same_place() -> None:
    pool = warm(1, max_sockets=1)
    lease = pool.use("first")
    second = pool.get("second")
    assert pool.retry(lease, 0.0) == OPEN  # and not behind `second`
    pool.check_invariants()
    assert (lease.connection, lease.reused, lease.uses) == (None, False, 0)
    assert second.state == QUEUED
    assert pool.sockets == {A: [None]}
    assert pool.connect(lease) == "s2"
    assert lease.reused is False


def test_retry_does_not_take_an_expired_one() -> None:
    pool = warm(2, timeout=5.0)
    lease = pool.use(now=1.0)
    assert pool.retry(lease, 6.0) == OPEN
    assert pool.closed() == ["s2", "s1"]


def test_retry_leaves_other_states_alone() -> None:
    pool = Pool(max_sockets=1)
    first, second = pool.get(), pool.get()
    assert pool.retry(first, 0.0) == OPEN
    assert pool.retry(second, 0.0) == QUEUED
    assert not pool.has_answers


def test_retry_goes_on_until_the_pool_is_dry() -> None:
    pool = warm(3)
    lease = pool.use()
    states = [pool.retry(lease, 0.0) for _ in range(3)]
    assert states == [ASSIGNED, ASSIGNED, OPEN]
    assert pool.closed() == ["s1", "s2", "s3"]


def test_detached_connection_is_replaced_for_the_queue() -> None:
    pool = Pool(max_sockets=1)  # AGT-70, AGT-72, AGT-79
    first, second = pool.use(), pool.get()
    assert pool.detach(first) == "s1"
    pool.check_invariants()
    assert second.state == OPEN
    assert pool.take_answers() == ([second], [])  # nobody closes s1
    assert pool.sockets == {A: [None]}
    assert pool.detach(first) is None
    assert pool.detach(second) is None
    assert second.state == DONE
    assert pool.reasons() == {"detached": 1}


def test_connect_failures_in_order() -> None:
    pool = Pool(max_sockets=1)  # AGT-73, AGT-74, AGT-78 (safe: the failed one is out of the queue for good)
    leases = [pool.get() for _ in range(3)]
    order = []
    while any(lease.state == OPEN for lease in leases):
        (failing,) = [lease for lease in leases if lease.state == OPEN]
        order.append(failing)
        pool.dropped(failing)
        pool.check_invariants()
    assert order == leases
    assert pool.sockets == {}


def test_destroy_closes_and_fails_everything() -> None:
    pool = warm(2, max_sockets=4)
    used, other = pool.use(), pool.use()
    pool.free(other)
    opening = [pool.use(), pool.get(), pool.get(), pool.get()]
    queued = pool.get()
    assert queued.state == QUEUED
    pool.idle_closed(A, "none")
    pool.use(name=B)
    pool.free(pool.use(name=B))
    pool.destroy()
    pool.check_invariants()
    woken, closed = pool.take_answers()
    assert closed == ["s4", "s1", "s2", "s3"]  # AGT-82: pooled ones first
    leases = [used, *opening, queued]
    assert {id(lease) for lease in leases} <= {id(lease) for lease in woken}
    assert len(woken) == len({id(lease) for lease in woken}) == 7
    for lease in woken:
        assert lease.state == DONE
        assert lease.connection is None
        assert isinstance(lease.error, ConnectionLost)
        assert (lease.error.code, str(lease.error)) == ("ECONNRESET", "socket hang up")  # AGT-84
    assert queued.error is not None
    assert queued.error.phase == "queue"  # type: ignore[attr-defined]
    assert (pool.sockets, pool.free_sockets, pool.requests) == ({}, {}, {})  # unlike AGT-83: at once


def test_destroy_twice_and_usable_after() -> None:
    pool = warm(1)  # AGT-86
    pool.destroy()
    pool.destroy()
    assert pool.closed() == ["s1"]
    pool.free(pool.use())
    assert pool.free_sockets == {A: ["s2"]}


def test_no_new_connections_after_destroy() -> None:
    pool = Pool(max_sockets=1)  # AGT-85 is a HAZARD: queued ones must not be connected
    pool.get()
    pool.get()
    pool.get(name=B)
    pool.destroy()
    assert pool.stats()[A].connecting == 0


# -- max_total_sockets ------------------------------------------------------------------------------------


def test_total_limit_over_names() -> None:
    pool = Pool(max_total_sockets=2)  # AGT-L1
    assert [pool.get(name=n).state for n in (A, B, "c")] == [OPEN, OPEN, QUEUED]


def test_total_limit_serves_in_order_of_arrival() -> None:
    # ASK-4: max_total_sockets=1, alternating origins, persistent connections.
    pool = Pool(keep_alive=True, max_total_sockets=1)
    leases = [pool.get(str(n), name=B if n % 2 else A) for n in range(6)]
    started = []
    for lease in leases:
        assert lease.state == OPEN
        pool.connect(lease)
        started.append(lease.request)
        pool.free(lease)
    assert started == list("012345")
    assert pool.closed() == ["s1", "s2", "s3", "s4", "s5"]
    assert pool.free_sockets == {B: ["s6"]}


def test_total_limit_reuses_when_the_next_in_order_has_the_same_name() -> None:
    pool = Pool(max_total_sockets=1)
    first, second, third = pool.use(), pool.get(), pool.get(name=B)
    pool.free(first)
    assert second.connection == "s1"
    assert third.state == QUEUED


def test_total_limit_passes_over_a_name_at_its_own_limit() -> None:
    # ASK-4: "the earliest queued request that may now open".
    pool = Pool(max_sockets=1, max_total_sockets=2)
    a1, b1 = pool.use(name=A), pool.use(name=B)
    a2, c1 = pool.get(name=A), pool.get(name="c")
    pool.dropped(b1)
    assert (a2.state, c1.state) == (QUEUED, OPEN)
    pool.free(a1)
    assert a2.connection == "s1"


def test_idle_connection_of_another_name_makes_room() -> None:
    pool = Pool(keep_alive=True, max_total_sockets=2)  # AGT-L1: rather than a deadlock
    pool.free(pool.use(name=A), pool.use(name=B))
    assert pool.get(name="c").state == OPEN
    assert pool.closed() == ["s1"]  # freed longest ago
    assert pool.reasons(A) == {"evicted": 1}
    assert pool.get(name="c").state == OPEN
    assert pool.closed() == ["s2"]
    assert pool.get(name="c").state == QUEUED


def test_freed_connection_is_not_pooled_while_another_name_waits() -> None:
    pool = Pool(keep_alive=True, max_total_sockets=1)
    first, second = pool.use(name=A), pool.get(name=B)
    pool.free(first)
    assert second.state == OPEN
    assert pool.take_answers() == ([second], ["s1"])


def test_waiting_head_dropped_and_the_order_still_holds() -> None:
    pool = Pool(max_total_sockets=1)
    first = pool.use()
    b1, c1, b2 = pool.get(name=B), pool.get(name="c"), pool.get(name=B)
    pool.dropped(b1)  # b's entry is now too early
    pool.dropped(first)
    assert (c1.state, b2.state) == (OPEN, QUEUED)
    pool.dropped(c1)
    assert b2.state == OPEN


def test_raised_total_grants_in_order_of_arrival() -> None:
    pool = Pool(max_total_sockets=1)
    pool.use()
    queued = [pool.get(name=n) for n in (B, A, B)]
    pool.max_total_sockets = 3
    assert pool.woken() == queued[:2]
    pool.max_total_sockets = None
    assert pool.woken() == queued[2:]
    pool.check_invariants()


# -- what can be seen ------------------------------------------------------------------------------------


def test_stats() -> None:
    pool = warm(2, max_sockets=3)  # ASK-50
    pool.use()
    pool.use()
    pool.get()
    pool.get()
    pool.use(name=B)
    a, b = pool.stats()[A], pool.stats()[B]
    assert (a.active, a.connecting, a.idle, a.queued, a.created, a.reused) == (2, 1, 0, 1, 2, 2)
    assert (b.active, b.created, b.reused, b.closed) == (1, 1, 0, {})
    total = pool.total_stats()
    assert (total.active, total.created, total.reused) == (3, 3, 2)
    assert "active=3 connecting=1 idle=0 queued=1" in repr(pool)


def test_forgotten_names_cost_nothing_and_stay_in_the_total() -> None:
    class Short(Pool):
        max_resting_names = 10

    pool = Short()
    for n in range(100):
        pool.free(pool.use(name=f"h{n}"))
    assert len(pool.stats()) == 10
    total = pool.total_stats()
    assert (total.created, total.closed) == (100, {"unpooled": 100})
    assert pool.use(name="h99").state == ASSIGNED  # a resting one wakes
    assert pool.stats()["h99"].created == 2


def test_answers_are_given_once() -> None:
    pool = Pool()
    assert pool.take_answers() == ([], [])
    pool.free(pool.use())
    flags = [pool.has_answers]
    assert pool.take_answers() == ([], ["s1"])
    flags.append(pool.has_answers)
    assert flags == [True, False]
    assert pool.take_answers() == ([], [])


def test_lease_tells_of_its_connection() -> None:
    pool = Pool(keep_alive=True)
    options = object()
    lease = pool.request(A, "r", 0.0, options)
    assert (lease.name, lease.options, lease.request, lease.waiter) == (A, options, "r", None)
    assert (lease.opened_at, lease.uses) == (None, 0)
    pool.connect(lease, now=2.0)
    assert (lease.opened_at, lease.uses) == (2.0, 1)
    pool.free(lease)
    again = pool.use(now=5.0)
    assert (again.opened_at, again.uses) == (2.0, 2)
    assert repr(again) == "<Lease a:80: assigned reused>"
    assert (lease.opened_at, lease.uses) == (None, 0)
