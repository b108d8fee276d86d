"""Connecting: happy eyeballs (RFC 8305, ASK-11), ``lookup`` (MOD-52), Unix sockets. No clock, no sockets."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._errors import ArgumentTypeError
from anywire.core._plans import (
    STAGGER,
    UNIX,
    Address,
    Attempt,
    Race,
    Resolve,
    addresses_from_lookup,
    connect_path_plan,
    connect_plan,
    interleave,
)

SIX, FOUR = 10, 2


def address(family: int, name: str) -> Address:
    return Address(family, 1, 6, (name, 80))


class World:
    """Carries out a plan. `fates`: name → None (connects), seconds (connects later), or an OSError."""

    def __init__(self, addresses: list[Address] | OSError, fates: dict[str, Any]) -> None:
        self.addresses = addresses
        self.fates = fates
        self.log: list[str] = []
        self.now = 0.0
        self.started: dict[str, float] = {}

    def run(self, plan: Generator[Any, Any, Any]) -> Any:
        try:
            effect = plan.send(None)
            while True:
                try:
                    answer = self.carry_out(effect)
                except OSError as error:
                    effect = plan.throw(error)
                else:
                    effect = plan.send(answer)
        except StopIteration as stop:
            return stop.value

    def carry_out(self, effect: Any) -> Any:
        if isinstance(effect, Resolve):
            self.log.append(f"resolve {effect.host}:{effect.port} {effect.family}")
            if isinstance(self.addresses, OSError):
                raise self.addresses
            return self.addresses
        if isinstance(effect, Attempt):
            name = effect.address.sockaddr[0]
            self.log.append(f"attempt {name}" + (f" from {effect.local_address}" if effect.local_address else ""))
            if self.fates[name] == "refuse":
                raise OSError(f"{name} refused at once")
            self.started[name] = self.now
            return name
        assert isinstance(effect, Race) and effect.handles
        ends = {name: self.started[name] + self.seconds(name) for name in effect.handles}
        first = min(ends.values())
        if effect.seconds is not None and first > self.now + effect.seconds:
            self.now += effect.seconds
            self.log.append("stagger")
            return []
        self.now = max(self.now, first)
        return [(name, self.problem(name)) for name in effect.handles if ends[name] <= self.now]

    def seconds(self, name: str) -> float:
        fate = self.fates[name]
        return fate[0] if isinstance(fate, tuple) else fate if isinstance(fate, float) else 0.0

    def problem(self, name: str) -> OSError | None:
        fate = self.fates[name]
        return fate[1] if isinstance(fate, tuple) else fate if isinstance(fate, OSError) else None


def test_one_address() -> None:
    world = World([address(FOUR, "a")], {"a": 0.0})
    assert world.run(connect_plan("h", 80, family=4, local_address="l")) == "a"
    assert world.log == ["resolve h:80 4", "attempt a from l"]


def test_the_second_attempt_starts_after_the_stagger_and_the_first_may_still_win_RFC_8305_5() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": 0.4, "b": 9.0})
    assert world.run(connect_plan("h", 80)) == "a"
    assert world.log[1:] == ["attempt a", "stagger", "attempt b"]
    assert world.now == 0.4 and world.started["b"] == STAGGER == 0.25


def test_the_second_wins_while_the_first_hangs() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": 100.0, "b": 0.1})
    assert world.run(connect_plan("h", 80)) == "b"
    assert world.now == pytest.approx(0.35)


def test_a_failure_starts_the_next_at_once() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": OSError("no"), "b": 0.0})
    assert world.run(connect_plan("h", 80)) == "b"
    assert world.now == 0.0 and "stagger" not in world.log


def test_a_refusal_at_once_starts_the_next_at_once() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": "refuse", "b": 0.0})
    assert world.run(connect_plan("h", 80)) == "b"


def test_the_last_error_is_raised() -> None:
    world = World([address(FOUR, "a"), address(FOUR, "b")], {"a": OSError("first"), "b": OSError("last")})
    with pytest.raises(OSError, match="last"):
        world.run(connect_plan("h", 80))
    world = World([address(FOUR, "a")], {"a": "refuse"})
    with pytest.raises(OSError, match="at once"):
        world.run(connect_plan("h", 80))


def test_a_slow_failure_does_not_hide_a_later_success() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": (0.3, OSError("no")), "b": 0.5})
    assert world.run(connect_plan("h", 80)) == "b"


def test_decided_together_the_connected_one_wins() -> None:
    world = World([address(SIX, "a"), address(FOUR, "b")], {"a": (0.25, OSError("no")), "b": 0.0})
    world.fates["a"] = (0.26, OSError("no"))
    world.fates["b"] = 0.01
    assert world.run(connect_plan("h", 80)) == "b"


def test_no_address_and_a_resolver_that_fails() -> None:
    with pytest.raises(OSError, match="no address for h"):
        World([], {}).run(connect_plan("h", 80))
    with pytest.raises(OSError, match="unknown"):
        World(OSError("unknown"), {}).run(connect_plan("h", 80))


@given(fates=st.lists(st.one_of(st.just("refuse"), st.floats(0, 2), st.floats(0, 2).map(lambda s: (s, OSError("no"))))))
def test_whoever_can_connect_is_found_and_every_address_is_tried_once(fates: list[Any]) -> None:
    names = [f"a{index}" for index in range(len(fates))]
    world = World(
        [address((SIX, FOUR)[i % 2], name) for i, name in enumerate(names)], dict(zip(names, fates, strict=True))
    )
    attempts_possible = any(isinstance(fate, float) for fate in fates)
    try:
        winner = world.run(connect_plan("h", 80))
    except OSError:
        assert not attempts_possible
        winner = None
    else:
        assert isinstance(world.fates[winner], float)
    attempts = [line for line in world.log if line.startswith("attempt")]
    assert len(attempts) == len(set(attempts))
    if winner is None:
        assert len(attempts) == len(names)


def test_unix_sockets_MOD_59() -> None:
    plan = connect_path_plan("/s")
    effect = plan.send(None)
    assert isinstance(effect, Attempt) and effect.address == Address(UNIX, 0, 0, "/s")
    race = plan.send("handle")
    assert isinstance(race, Race) and race.seconds is None
    assert isinstance(plan.send([]), Race)  # a spurious answer: look again
    with pytest.raises(StopIteration) as info:
        plan.send([("handle", None)])
    assert info.value.value == "handle"


def test_unix_sockets_that_fail() -> None:
    plan = connect_path_plan("/s")
    plan.send(None)
    plan.send("handle")
    with pytest.raises(OSError, match="no"):
        plan.send([("handle", OSError("no"))])


def test_families_alternate_RFC_8305_4() -> None:
    found = [address(SIX, "1"), address(SIX, "2"), address(SIX, "3"), address(FOUR, "4"), address(FOUR, "5")]
    assert [each.sockaddr[0] for each in interleave(found)] == ["1", "4", "2", "5", "3"]


@given(st.lists(st.tuples(st.sampled_from([SIX, FOUR, 7]), st.integers())))
def test_interleave_loses_nothing_and_keeps_the_order_within_a_family(pairs: list[tuple[int, int]]) -> None:
    found = [address(family, str(number)) for family, number in pairs]
    mixed = interleave(found)
    assert sorted(mixed) == sorted(found)
    assert mixed[:1] == found[:1]
    for family in (SIX, FOUR, 7):
        assert [each for each in mixed if each.family == family] == [each for each in found if each.family == family]


@pytest.mark.parametrize(
    ("found", "addresses"),
    [
        ("1.2.3.4", ["1.2.3.4"]),
        (("1.2.3.4", 4), ["1.2.3.4"]),
        (["1.2.3.4", 4], ["1.2.3.4"]),
        (["1.2.3.4", "::1"], ["1.2.3.4", "::1"]),
        ([("1.2.3.4", 4), ("::1", 6)], ["1.2.3.4", "::1"]),
    ],
)
def test_answers_of_a_lookup_MOD_52(found: Any, addresses: list[str]) -> None:
    assert addresses_from_lookup(found) == addresses


@pytest.mark.parametrize("found", [None, [], (), 5, [5], [()], {"a": 1}, ["a", 5], b"1.2.3.4"])
def test_wrong_answers_of_a_lookup(found: Any) -> None:
    with pytest.raises(ArgumentTypeError):
        addresses_from_lookup(found)
