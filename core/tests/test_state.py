"""The tables of ``_state``: every pair of state and input is a transition or none, and docs show them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from anywire.core import _state
from anywire.core._state import (
    BODY,
    CLOSED,
    CYCLE,
    DONE,
    END,
    FAIL,
    FAILED,
    FINISH,
    HALF,
    HEAD,
    IDLE,
    JOINT,
    MESSAGE,
    SWITCH,
    SWITCHED,
    joint,
)

STATES = [IDLE, BODY, DONE, SWITCHED, CLOSED, FAILED]
INPUTS = [HEAD, MESSAGE, FINISH, SWITCH, CYCLE, END, FAIL]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("what", INPUTS)
def test_every_pair_is_a_transition_to_a_state_or_none(state: str, what: str) -> None:
    assert HALF[state].get(what) in (*STATES, None)


def test_nothing_else_is_in_the_tables() -> None:
    assert list(HALF) == STATES
    assert {what for row in HALF.values() for what in row} == set(INPUTS)
    assert set(JOINT.values()) <= set(INPUTS)


def test_every_state_can_fail_and_none_comes_back_from_the_end() -> None:
    """destroy() and a reset may come at any time; CLOSED and FAILED are final."""
    for state in STATES:
        assert HALF[state][FAIL] in (FAILED, CLOSED)
    for state in (CLOSED, FAILED):
        assert set(HALF[state].values()) == {state}


def test_a_body_cannot_end_cleanly_in_the_middle() -> None:
    """FIN inside a message is never a clean end (decision 18, SRV-30)."""
    assert END not in HALF[BODY]


def test_every_state_is_reachable_from_idle() -> None:
    seen = {IDLE}
    while more := {after for state in seen for after in HALF[state].values()} - seen:
        seen |= more
    assert seen == set(STATES)


@pytest.mark.parametrize("receiving", STATES)
@pytest.mark.parametrize("sending", STATES)
@pytest.mark.parametrize("keep_alive", [True, False])
def test_joint(receiving: str, sending: str, keep_alive: bool) -> None:
    """Only when both messages are complete is the exchange over; the flag decides what then (RFC 9112 section 9.3)."""
    both = receiving == sending == DONE
    assert joint(receiving, sending, keep_alive) == ((CYCLE if keep_alive else END) if both else None)


def test_what_joint_says_both_halves_can_do() -> None:
    for (receiving, sending, _), what in JOINT.items():
        assert HALF[receiving][what] == HALF[sending][what]


def test_the_document_is_what_the_script_draws() -> None:
    path = ROOT / "docs" / "make_state_diagrams.py"
    spec = importlib.util.spec_from_file_location("make_state_diagrams", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert (ROOT / "docs" / "states.md").read_text(encoding="utf-8") == script.document(), (
        "docs/states.md is out of date: run docs/make_state_diagrams.py"
    )


def test_the_document_names_every_state_and_transition() -> None:
    text = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    for state, row in HALF.items():
        for what, after in row.items():
            assert f"{state} --> {after}: " in text and what in text
    assert set(_state.__all__) >= {"HALF", "JOINT"}
