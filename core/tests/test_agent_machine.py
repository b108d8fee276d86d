"""Random histories of the agent against what must always hold (ASK-4, ASK-5, ASK-12, ASK-13, ASK-16).

The checks use what any user can see (leases, maps, answers) and a ledger of our own;
``check_invariants`` is asked as well, and is itself tested by tampering.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from anywire.core._agent import Agent
from anywire.core._lease import ASSIGNED, DONE, OPEN, QUEUED, Lease, Socket

NAMES = ["a", "b", "c"]
LIMITS = st.sampled_from([None, 1, 2, 3, 4, 6])
SECONDS = st.sampled_from([None, 1.0, 2.5, 6.0])
OPTIONS = [
    "keep_alive",
    "max_free_sockets",
    "max_socket_age",
    "max_sockets",
    "max_total_sockets",
    "scheduling",
    "timeout",
]
ACTS = [
    ("requests", 5),
    ("request", 4),
    ("freed", 6),
    ("opened", 3),
    ("freed_somehow", 2),
    ("dropped", 2),
    ("dropped_just_served", 1),
    ("retry", 2),
    ("detach", 1),
    ("abandon", 1),
    ("idle_closed", 1),
    ("time", 2),
    ("expire", 1),
    ("change", 2),
    ("destroy", 1),
]


class Conn:
    """A connection and all its agent is expected to know of it."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.opened_at = now
        self.idle_until = math.inf
        self.hint = math.inf
        self.where = "used"  # used, free, closed, away


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.agent: Agent[Conn, int] = Agent(keep_alive=True)
        self.now = 0.0
        self.leases: list[Lease[Conn, int]] = []  # not DONE at the end of the last step, by arrival
        self.waiting: list[Lease[Conn, int]] = []  # of these, QUEUED then
        self.gone: set[Lease[Conn, int]] = set()  # ended by us in this step
        self.abandoned: set[Lease[Conn, int]] = set()
        self.conns: list[Conn] = []  # open ones, by age: drawing must not depend on hashes
        self.serial = 0
        # A lowered limit is not undershot at once; but from then on the number may only fall.
        self.ceiling: dict[str, float] = dict.fromkeys(NAMES, math.inf)
        self.total_ceiling = math.inf
        self.destroyed = False

    # -- choosing ---------------------------------------------------------------------------------

    def pick(self, data: st.DataObject, *states: str) -> Lease[Conn, int] | None:
        found = [lease for lease in self.leases if lease.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    def live(self, name: str) -> int:
        return len(self.agent.sockets.get(name, ())) + len(self.agent.free_sockets.get(name, ()))

    # -- what can happen ----------------------------------------------------------------------------

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        for which in ("max_sockets", "max_total_sockets", "max_free_sockets", "scheduling", "timeout"):
            self.change(data, which)

    # One rule with weights of our own: left to itself Hypothesis favours histories in which nothing is ever in use.
    @rule(data=st.data(), act=st.sampled_from([act for act, weight in ACTS for _ in range(weight)]))
    def step(self, data: st.DataObject, act: str) -> None:
        if act.startswith("request") and len(self.leases) > 10:
            act = "freed"  # a long queue hides the rest
        match act:
            case "request":
                self.request(data.draw(st.sampled_from(NAMES)))
            case "requests":
                self.requests(data.draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=6)))
            case "freed":
                for _ in range(data.draw(st.integers(1, 4))):
                    self.freed(data, True, None)
            case "freed_somehow":
                self.freed(data, data.draw(st.booleans()), data.draw(st.sampled_from([None, 0.5, 2.0, 4.0])))
            case "abandon":
                self.abandon(data)
                self.requests(data.draw(st.lists(st.sampled_from(NAMES), max_size=2)))
            case "time":
                self.now += data.draw(st.sampled_from([0.1, 0.5, 1.0, 5.0]))
            case "expire":
                self.expire()
            case "change":
                self.change(data, data.draw(st.sampled_from(OPTIONS)))
            case "destroy":
                if data.draw(st.integers(0, 4)) == 4:
                    self.destroy()
            case _:
                getattr(self, act)(data)

    def request(self, name: str) -> None:
        self.agent.expire(self.now)  # so that what is free now is what the decision will see
        agent = self.agent
        free = agent.free_sockets
        room = self.live(name) < agent.max_sockets
        total_room = sum(map(self.live, NAMES)) < agent.max_total_sockets or bool(free)
        due = [free[name][-1 if agent.scheduling == "lifo" else 0]] if name in free else []
        self.serial += 1
        lease = agent.request(name, self.serial, self.now)
        self.leases.append(lease)
        # AGT-20, exactly.
        if due:
            assert (lease.state, lease.connection, lease.reused) == (ASSIGNED, due[0], True)
            due[0].where = "used"
        else:
            assert lease.state == (OPEN if room and total_room else QUEUED)

    def requests(self, names: list[str]) -> None:
        """Many at once; the agent does the expiring, and all that may open do."""
        for name in names:
            self.serial += 1
            lease = self.agent.request(name, self.serial, self.now)
            self.leases.append(lease)
            if lease.connection is not None:
                assert lease.connection.idle_until > self.now
                lease.connection.where = "used"
            elif lease.state == OPEN:
                self.connect(lease)

    def connect(self, lease: Lease[Conn, int]) -> None:
        conn = Conn(lease.name, self.now)
        self.conns.append(conn)
        assert self.agent.opened(lease, conn, self.now)
        assert (lease.state, lease.connection, lease.reused) == (ASSIGNED, conn, False)

    def opened(self, data: st.DataObject) -> None:
        if lease := self.pick(data, OPEN):
            self.connect(lease)

    def freed(self, data: st.DataObject, persistent: bool, hint: float | None) -> None:
        if lease := self.pick(data, ASSIGNED):
            conn = lease.connection
            assert conn is not None
            conn.hint = conn.hint if hint is None else hint
            over = self.live(conn.name) > self.agent.max_sockets
            over = over or sum(map(self.live, NAMES)) > self.agent.max_total_sockets
            queue = self.agent.requests.get(conn.name, [])
            self.agent.freed(lease, self.now, persistent=persistent, hint=hint)
            self.gone.add(lease)
            assert lease.state == DONE
            next_owner = [other.request for other in self.leases if other.connection is conn]
            assert next_owner in ([], queue[:1])
            if over or not persistent:
                assert not next_owner
            for names in self.agent.free_sockets.values():
                if conn in names:
                    assert persistent
                    assert not over
                    assert self.agent.keep_alive
                    conn.where = "free"
                    life = min(self.agent.timeout or math.inf, conn.hint - 1.0)
                    conn.idle_until = self.now + life

    def dropped(self, data: st.DataObject) -> None:
        if lease := self.pick(data, QUEUED, OPEN, ASSIGNED):
            self.agent.dropped(lease)
            self.gone.add(lease)
            assert (lease.state, lease.connection) == (DONE, None)

    def dropped_just_served(self, data: st.DataObject) -> None:
        """ASK-16: those woken go before they look, one after the other."""
        if lease := self.pick(data, OPEN, ASSIGNED):
            before = [other for other in self.waiting if other.state == QUEUED]
            self.agent.dropped(lease)
            self.gone.add(lease)
            for other in before:
                if other.state in (OPEN, ASSIGNED):
                    self.agent.dropped(other)
                    self.gone.add(other)

    def abandon(self, data: st.DataObject) -> None:
        if lease := self.pick(data, QUEUED, OPEN, ASSIGNED):
            self.agent.abandon(lease)
            self.abandoned.add(lease)

    def retry(self, data: st.DataObject) -> None:
        if lease := self.pick(data, OPEN, ASSIGNED):
            had, stale = lease.state, lease.connection
            state = self.agent.retry(lease, self.now)
            assert state == lease.state
            if had == ASSIGNED:
                assert lease.connection is not stale
                assert state == (OPEN if lease.connection is None else ASSIGNED)
            if lease.connection is not None:
                lease.connection.where = "used"

    def detach(self, data: st.DataObject) -> None:
        if lease := self.pick(data, ASSIGNED):
            conn = lease.connection
            assert conn is not None
            assert self.agent.detach(lease) is conn
            conn.where = "away"
            self.gone.add(lease)

    def idle_closed(self, data: st.DataObject) -> None:
        if self.conns:
            conn = data.draw(st.sampled_from(self.conns))
            was_free = conn in self.agent.free_sockets.get(conn.name, [])
            if self.agent.idle_closed(conn.name, conn):
                assert was_free
                conn.where = "away"

    def expire(self) -> None:
        self.agent.expire(self.now)
        due = self.agent.next_expiry()
        assert due is None or due > self.now
        for conns in self.agent.free_sockets.values():
            for conn in conns:
                assert conn.idle_until > self.now
                assert due is None or due <= conn.idle_until
                assert due is not None or conn.idle_until == math.inf

    def change(self, data: st.DataObject, which: str) -> None:
        value: Any
        match which:
            case "keep_alive":
                value = data.draw(st.sampled_from([True, True, False]))
            case "scheduling":
                value = data.draw(st.sampled_from(["fifo", "lifo"]))
            case "timeout" | "max_socket_age":
                value = data.draw(SECONDS)
            case _:
                value = data.draw(LIMITS)
        if which == "max_sockets":
            for name in NAMES:
                self.ceiling[name] = max(self.live(name), value or math.inf)
        if which == "max_total_sockets":
            self.total_ceiling = max(sum(map(self.live, NAMES)), value or math.inf)
        setattr(self.agent, which, value)

    def destroy(self) -> None:
        self.agent.destroy()
        self.destroyed = True
        for lease in self.leases:
            assert lease.state == DONE
        assert (self.agent.sockets, self.agent.free_sockets, self.agent.requests) == ({}, {}, {})

    # -- what must hold after each -------------------------------------------------------------------------

    @invariant()
    def everything(self) -> None:
        agent = self.agent
        woken, closing = agent.take_answers()  # also drains the abandoned
        assert all(lease.state == DONE for lease in self.abandoned)
        self.gone |= self.abandoned
        self.abandoned.clear()
        agent.check_invariants()

        # Connections: each in one place, closed once, never by surprise.
        for conn in closing:
            assert conn.where in ("used", "free"), "closed twice, or not ours any more"
            conn.where = "closed"
        owners: list[Conn] = []
        for lease in self.leases:
            assert (lease.connection is not None) == (lease.state == ASSIGNED)
            if lease.connection is not None:
                assert lease.connection.name == lease.name
                lease.connection.where = "used"
                owners.append(lease.connection)
        idle = [conn for conns in agent.free_sockets.values() for conn in conns]
        assert len(set(owners) | set(idle)) == len(owners) + len(idle), "two owners, or free and used"
        for conn in self.conns:
            expected = "used" if conn in owners else "free" if conn in idle else None
            assert conn.where == expected or (expected is None and conn.where in ("closed", "away")), "leaked"
        self.conns = [conn for conn in self.conns if conn.where in ("used", "free")]
        shown = [conn for conns in agent.sockets.values() for conn in conns if conn is not None]
        assert set(shown) == set(owners)
        assert len(shown) == len(owners)

        # Limits.
        lives = {name: self.live(name) for name in NAMES}
        for name, live in lives.items():
            assert live <= self.ceiling[name]
            self.ceiling[name] = max(agent.max_sockets, min(live, self.ceiling[name]))
            assert len(agent.free_sockets.get(name, ())) <= agent.max_free_sockets
        total = sum(lives.values())
        over = total > agent.max_total_sockets or self.total_ceiling > agent.max_total_sockets
        assert total <= self.total_ceiling
        self.total_ceiling = max(agent.max_total_sockets, min(total, self.total_ceiling))

        # Slots: those in use are exactly the leases that hold one.
        holding = [lease for lease in self.leases if lease.state in (OPEN, ASSIGNED)]
        assert sum(len(conns) for conns in agent.sockets.values()) == len(holding)
        for name in NAMES:  # queue and its order
            queue = [lease.request for lease in self.leases if lease.state == QUEUED and lease.name == name]
            assert agent.requests.get(name, []) == queue

        # Grants: in order of arrival, each woken exactly once.
        served = [lease for lease in self.waiting if lease.state in (OPEN, ASSIGNED)]
        for lease in served:
            for earlier in self.waiting[: self.waiting.index(lease)]:
                if earlier.state == QUEUED:
                    assert earlier.name != lease.name, "overtaken in its own queue"
                    assert over or lives[earlier.name] >= agent.max_sockets, "overtaken under the total"
        assert len(woken) == len(set(woken)), "granted twice"
        ended = [lease for lease in self.leases if lease.state == DONE and lease not in self.gone]
        assert self.destroyed or not ended, "ended by nobody"
        assert all(lease.error is not None for lease in ended)
        assert set(served) | set(ended) <= set(woken)
        assert set(woken) <= set(served) | set(ended) | self.gone

        # Nobody waits while there is room.
        for lease in self.leases:
            if lease.state == QUEUED:
                assert lease.name not in agent.free_sockets
                if lives[lease.name] < agent.max_sockets:
                    assert total >= agent.max_total_sockets
                    assert not idle

        self.leases = [lease for lease in self.leases if lease.state != DONE]
        self.waiting = [lease for lease in self.leases if lease.state == QUEUED]
        self.gone.clear()
        self.destroyed = False

    def teardown(self) -> None:
        for lease in self.leases:  # ASK-12: afterwards active = 0, queued = 0, slots = limit
            self.agent.dropped(lease)
        assert (self.agent.sockets, self.agent.requests) == ({}, {})
        for name, conns in self.agent.free_sockets.items():
            for conn in conns:
                assert self.agent.idle_closed(name, conn)
        self.agent.check_invariants()
        assert self.agent._total == 0
        stats = self.agent.total_stats()
        assert (stats.active, stats.connecting, stats.idle, stats.queued) == (0, 0, 0, 0)
        assert stats.created == sum(stats.closed.values())


TestMachine = pytest.mark.slow(Machine.TestCase)
TestMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


# -- the checker itself ---------------------------------------------------------------------------------


def busy() -> Agent[str, str]:
    agent: Agent[str, str] = Agent(keep_alive=True, max_sockets=2, max_total_sockets=3, timeout=5.0)
    leases = [agent.request(name, "r", 0.0) for name in "aabbb"]
    for lease, conn in zip(leases[:2], "xy", strict=True):
        agent.opened(lease, conn, 0.0)
    agent.request("c", "r", 0.0)
    agent.check_invariants()
    return agent


def pooled() -> Agent[str, str]:
    agent: Agent[str, str] = Agent(keep_alive=True, timeout=5.0)
    leases = [agent.request("a", "r", 0.0) for _ in range(2)]
    for lease, conn in zip(leases, "xy", strict=True):
        agent.opened(lease, conn, 0.0)
        agent.freed(lease, 0.0, persistent=True)
    agent.check_invariants()
    return agent


def _lost_alarm(agent: Agent[Any, Any]) -> None:
    agent._expiries.heap.clear()


def _two_owners(agent: Agent[Any, Any]) -> None:
    (one, lease), (other, _) = agent._groups["a"].used.items()
    one.connection = lease.connection = other.connection


def _phantom(agent: Agent[Any, Any]) -> None:
    agent._groups["a"].used[Socket()] = next(iter(agent._groups["a"].used.values()))


@pytest.mark.parametrize(
    ("make", "tamper"),
    [
        (busy, lambda agent: setattr(agent, "_total", 4)),
        (busy, lambda agent: setattr(agent._groups["a"], "count", 1)),
        (busy, lambda agent: setattr(agent, "_max_total", 9)),
        (busy, lambda agent: setattr(agent._groups["c"], "enlisted", False)),
        (busy, lambda agent: agent._groups["b"].queue.move_to_end(next(iter(agent._groups["b"].queue)), last=True)),
        (busy, lambda agent: setattr(next(iter(agent._groups["b"].queue)), "state", DONE)),
        (busy, lambda agent: setattr(next(iter(agent._groups["a"].used.values())), "connection", "z")),
        (busy, lambda agent: setattr(next(iter(agent._groups["a"].used.values())), "state", OPEN)),
        (busy, _two_owners),
        (busy, _phantom),
        (pooled, _lost_alarm),
        (pooled, lambda agent: agent._idle.popitem()),
        (pooled, lambda agent: agent._groups["a"].free.popitem()),
        (pooled, lambda agent: setattr(agent._groups["a"].free["x"], "alarm", 9.0)),
        (pooled, lambda agent: setattr(agent._groups["a"], "resting", True)),
    ],
)
def test_check_invariants_notices(make: Any, tamper: Any) -> None:
    agent = make()
    tamper(agent)
    with pytest.raises(AssertionError):
        agent.check_invariants()
