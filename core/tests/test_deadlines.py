"""Deadlines (facade): order, removal, and that the removed neither strike nor are kept."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from anywire.core import FOREVER
from anywire.core.facade import Deadlines


def test_nothing_is_due_for_ever() -> None:
    assert Deadlines().first == FOREVER
    assert Deadlines().due(1e9) == []


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=300), st.floats(0, 100))
def test_due_is_what_was_added_and_not_removed(entries: list[tuple[float, bool]], now: float) -> None:
    deadlines = Deadlines()
    struck: list[int] = []
    for index, (when, removed) in enumerate(entries):

        def call(index: int = index) -> None:
            struck.append(index)

        made = deadlines.add(when, call)
        if removed:
            deadlines.remove(made)
            deadlines.remove(made)  # twice is once
    alive = [(when, index) for index, (when, removed) in enumerate(entries) if not removed]
    assert deadlines.first == min([when for when, _ in alive], default=FOREVER)
    for due in deadlines.due(now):
        due()
    assert struck == [index for when, index in sorted(alive) if when <= now]
    assert deadlines.first == min([when for when, _ in alive if when > now], default=FOREVER)


def test_removing_after_it_struck_does_nothing() -> None:
    deadlines = Deadlines()
    made = deadlines.add(1.0, list)
    deadlines.add(2.0, list)
    assert deadlines.due(1.0) == [list]
    deadlines.remove(made)
    assert deadlines.first == 2.0


class Thing:
    def strike(self) -> None: ...


def test_what_was_removed_is_let_go_and_leaves_no_heap_behind() -> None:
    """60 s of accept deadline on each of many short connections must not pile up."""
    deadlines = Deadlines()
    deadlines.add(1.0, list)  # stays on top, so nothing is cleaned up by looking at the first
    watched: list[weakref.ref[Thing]] = []

    def come_and_go(number: int) -> None:
        thing = Thing()
        watched.append(weakref.ref(thing))
        deadlines.remove(deadlines.add(60.0 + number, thing.strike))

    for number in range(1000):
        come_and_go(number)
    gc.collect()
    assert [each for each in watched if each() is not None] == []
    assert len(deadlines._heap) <= 130
