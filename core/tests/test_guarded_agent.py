"""On threads every decision of an Agent holds its lock; what does not is listed with its reason."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from anywire.core import Agent, request_options
from anywire.core.facade.blocking import GuardedAgent, GuardedRequest

UNGUARDED = {
    "abandon": "__del__ may call it inside any line: it touches nothing but a deque",
    "get_name": "reads nothing of the agent",
    "keep_socket_alive": "a hook, called inside a decision",
    "reuse_socket": "a hook, called inside a decision",
    "max_free_sockets": "one assignment, then limits_changed()",
    "max_sockets": "one assignment, then limits_changed()",
    "max_total_sockets": "one assignment, then limits_changed()",
    "scheduling": "one assignment",
}


class Lock:
    """Counts how often it is held."""

    def __init__(self) -> None:
        self.held = 0
        self.depth = 0

    def __enter__(self) -> None:
        self.held += 1
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1


class Clock:
    """All that a request which never connects wants of a runtime."""

    def now(self) -> float:
        return 0.0


class Guarded(GuardedAgent):
    def __init__(self) -> None:
        self._lock = Lock()
        super().__init__(keep_alive=True)


def calls() -> list[str]:
    """What can be called or read of the policy."""
    names = [name for name in dir(Agent) if not name.startswith("_")]
    members = {name: inspect.getattr_static(Agent, name) for name in names}
    return [name for name, member in members.items() if inspect.isfunction(member) or isinstance(member, property)]


@pytest.mark.parametrize("name", calls())
def test_it_is_guarded_or_listed(name: str) -> None:
    own = inspect.getattr_static(GuardedAgent, name) is not inspect.getattr_static(Agent, name)
    assert own is (name not in UNGUARDED)


def test_what_is_listed_exists() -> None:
    assert set(UNGUARDED) <= set(calls())


def test_the_lock_is_held_around_a_decision_and_released() -> None:
    agent = Guarded()
    lock: Any = agent._lock
    seen: list[int] = []
    agent.keep_socket_alive = lambda connection: not seen.append(lock.depth)  # type: ignore[method-assign, func-returns-value]
    lease = agent.request("h", "request", 0.0)
    assert agent.opened(lease, "connection", 0.0)
    before = lock.held
    agent.freed(lease, 1.0, persistent=True)
    assert (lock.held, lock.depth, seen) == (before + 1, 0, [1])
    assert agent.free_sockets == {"h": ["connection"]}
    assert lock.held == before + 2


def test_who_comes_second_ends_nothing() -> None:
    """ASK-10: between a look at the state and a change of it another thread may do both."""
    told: list[str] = []

    def made() -> GuardedRequest:
        request = GuardedRequest(request_options("http://h/", {}), None, Clock())
        for event in ("error", "close"):
            request.on(event, lambda *_, event=event: told.append(event))
        return request

    request = made()
    assert request._claim()  # by another thread, which has not come further yet
    request.destroy()
    assert told == []
    made().destroy()
    assert told == ["error", "close"]
