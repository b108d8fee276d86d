"""ASK-9: what a decision costs does not depend on how many connections and requests there are.

Cost is counted in executed bytecodes, which are the same on every run and machine. What C
code does inside one bytecode is not seen by that, so the containers are checked by type.
"""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import FrameType
from typing import Any

from anywire.core._agent import Agent
from anywire.core._lease import ASSIGNED, OPEN, QUEUED, Lease

MANY = 5_000


class Conn:
    __slots__ = ()


Pool = Agent[Conn, None]


def cost(call: Callable[[], Any]) -> int:
    """Bytecodes executed by ``call`` in code of the agent and its containers."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
        return trace

    before = sys.gettrace()
    gc.collect()  # what other tests left behind must not be finalized, and counted, in here
    gc.disable()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()
    return count


def open_all(pool: Pool, leases: list[Lease[Conn, None]]) -> None:
    for lease in leases:
        assert pool.opened(lease, Conn(), 0.0)


def pooled(sockets: int, names: int = 1, **options: Any) -> Pool:
    pool = Pool(keep_alive=True, max_free_sockets=sockets, timeout=60.0, **options)
    leases = [pool.request(f"h{n % names}", None, 0.0) for n in range(sockets)]
    open_all(pool, leases)
    for lease in leases:
        pool.freed(lease, 0.0, persistent=True)
    return pool


def queued(sockets: int, waiting: int, **options: Any) -> tuple[Pool, list[Lease[Conn, None]], list[Lease[Conn, None]]]:
    pool = Pool(max_sockets=sockets, **options)
    used = [pool.request("h0", None, 0.0) for _ in range(sockets)]
    open_all(pool, used)
    return pool, used, [pool.request("h0", None, 0.0) for _ in range(waiting)]


def test_the_counter_counts() -> None:
    assert cost(lambda: [n for n in range(1000)]) > 1000  # noqa: C416  (a loop to be seen)


def test_checkout_and_release() -> None:
    def cycle(sockets: int, scheduling: str) -> int:
        pool = pooled(sockets, scheduling=scheduling)
        return cost(lambda: pool.freed(pool.request("h0", None, 1.0), 1.0, persistent=True))

    for scheduling in ("fifo", "lifo"):
        assert cycle(10, scheduling) == cycle(MANY, scheduling)


def test_queueing_and_hand_over() -> None:
    def cycle(sockets: int, waiting: int) -> tuple[int, int]:
        pool, used, _ = queued(sockets, waiting)
        joining = cost(lambda: pool.request("h0", None, 1.0))
        return joining, cost(lambda: pool.freed(used[0], 1.0, persistent=True))

    assert cycle(10, 10) == cycle(MANY, MANY)


def test_replacement_for_the_queue() -> None:
    def cycle(sockets: int, waiting: int) -> tuple[int, int]:
        pool, used, _ = queued(sockets, waiting)
        closing = cost(lambda: pool.freed(used[0], 1.0, persistent=False))
        return closing, cost(lambda: pool.dropped(used[1]))

    assert cycle(10, 10) == cycle(MANY, MANY)


def test_leaving_the_queue_anywhere() -> None:
    def leave(waiting: int, where: float) -> int:
        pool, _, leases = queued(2, waiting)
        lease = leases[int(where * (waiting - 1))]
        assert lease.state == QUEUED
        return cost(lambda: pool.dropped(lease))

    assert len({leave(waiting, where) for waiting in (10, MANY) for where in (0.0, 0.5, 1.0)}) == 1


def test_death_of_a_pooled_connection_anywhere() -> None:
    def die(sockets: int, where: float) -> int:
        pool = pooled(sockets)
        conn = pool.free_sockets["h0"][int(where * (sockets - 1))]
        return cost(lambda: pool.idle_closed("h0", conn))

    assert len({die(sockets, where) for sockets in (10, MANY) for where in (0.0, 0.5, 1.0)}) == 1


def test_making_room_under_the_total() -> None:
    def evict(sockets: int) -> int:
        pool = pooled(sockets, max_total_sockets=sockets)
        return cost(lambda: pool.request("other", None, 1.0))

    assert evict(10) == evict(MANY)


def test_serving_in_order_of_arrival_over_names() -> None:
    """Whole histories, since the heap pays in instalments: per request it is O(log names)."""

    def history(names: int, each: int) -> float:
        pool = Pool(max_total_sockets=1, max_sockets=1)
        first = pool.request("first", None, 0.0)
        leases = [pool.request(f"h{n % names}", None, 0.0) for n in range(names * each)]
        current = first

        def run() -> None:
            nonlocal current
            for lease in leases:
                pool.dropped(current)
                assert lease.state == OPEN
                current = lease

        return cost(run) / len(leases)

    assert history(500, 2) < 1.3 * history(5, 200)


def test_expiry_pays_per_connection() -> None:
    def run(sockets: int) -> float:
        pool = pooled(sockets)
        return cost(lambda: pool.expire(100.0)) / sockets

    assert run(MANY) < 1.1 * run(50)


def test_expiry_heap_stays_small() -> None:
    pool = pooled(10)
    for n in range(2_000):  # taken and given back, each time with a later deadline: no entry is added
        pool.freed(pool.request("h0", None, n / 1000), n / 1000, persistent=True)
    assert len(pool._expiries.heap) == 10
    pooled_and_dead(pool, 5_000)
    assert len(pool._expiries.heap) < 200
    pool.check_invariants()


def test_expiry_heap_with_deadlines_that_come_closer() -> None:
    pool = pooled(10)
    for n in range(2_000):  # each hint shorter than the last: the entry must be replaced by an earlier one
        pool.freed(pool.request("h0", None, 0.0), 0.0, persistent=True, hint=50 - n / 100)
    assert len(pool._expiries.heap) < 200
    pool.check_invariants()
    assert pool.next_expiry() == 50 - 1999 / 100 - 1


def test_connection_in_use_while_the_heap_is_swept() -> None:
    pool = pooled(1)
    lease = pool.request("h0", None, 1.0)  # its entry is still in the heap
    churn = pooled_and_dead(pool)
    assert churn > len(pool._expiries.heap)  # swept
    pool.freed(lease, 2.0, persistent=True)
    pool.check_invariants()
    assert pool.next_expiry() == 62.0
    pool.expire(62.0)
    assert pool.free_sockets == {}


def pooled_and_dead(pool: Pool, count: int = 500) -> int:
    """Connections that come, are pooled once, and die long before they would expire."""
    for _ in range(count):
        lease, conn = pool.request("h1", None, 2.0), Conn()
        pool.opened(lease, conn, 2.0)
        pool.freed(lease, 2.0, persistent=True)
        assert pool.idle_closed("h1", conn)
    return count


def test_heap_of_waiting_names_stays_small() -> None:
    class Short(Pool):
        max_resting_names = 10

    pool = Short(max_total_sockets=1)
    used = pool.request("used", None, 0.0)
    for n in range(5_000):  # names that come, wait for the total, and give up
        pool.dropped(pool.request(f"h{n}", None, 0.0))
    assert len(pool._ready.heap) < 200
    assert len(pool._groups) <= 11
    last = pool.request("last", None, 0.0)
    pool.dropped(used)
    assert last.state == OPEN
    pool.check_invariants()


def test_containers_are_constant_time_at_both_ends() -> None:
    """A plain dict popped from the front is quadratic, a list's front linear: no bytecode shows it."""
    pool, _, _ = queued(2, 2)
    group = pool._groups["h0"]
    for container in (group.queue, group.free, pool._idle, pool._resting):
        assert type(container) is OrderedDict


def test_many_sockets_are_all_served() -> None:
    pool, used, waiting = queued(100, MANY)
    busy = list(used)
    for number, lease in enumerate(waiting):
        pool.freed(busy[number], 1.0, persistent=True)
        assert (lease.state, lease.reused) == (ASSIGNED, True)
        busy.append(lease)
    assert pool.stats()["h0"].created == 100
