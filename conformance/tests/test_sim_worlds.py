"""Randomized worlds (see anywire.conformance.sim.worlds for what must hold). A failure prints the seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from anywire.conformance.sim import http, worlds
from anywire.conformance.sim.__main__ import main
from anywire.conformance.sim.worlds import World, WorldError, run_world

WORLDS, BATCH = 300, 50


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds(first: int) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + BATCH):
        outcomes += run_world(seed).outcomes
    # Every kind of end is there, or the worlds do not show what they should.
    assert {"response", "cancelled", "TimedOut", "ConnectionLost", "TruncatedError", "unread"} <= set(outcomes)


def test_a_failure_names_its_seed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And a wrong answer is one: here every answer says something else."""

    async def liar(self: World, req: Any, res: Any) -> None:
        res.set_header("X-Nonce", "other")
        await res.end("other")

    monkeypatch.setattr(World, "app", liar)
    with pytest.raises(WorldError, match=r"seed 3:\n(.|\n)*says other"):
        run_world(3)
    assert main(["--seeds", "3"]) == 1
    assert "seed 3" in capsys.readouterr().err


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that forgets to give a place back is found out by its first worlds."""
    dropped = http.Agent.dropped
    count = 0

    def forgetful(self: Any, lease: Any) -> None:
        nonlocal count
        count += 1
        if count % 3:
            dropped(self, lease)

    monkeypatch.setattr(http.Agent, "dropped", forgetful)

    def some() -> None:
        for seed in range(20):
            run_world(seed)

    with pytest.raises(WorldError):
        some()


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "5-7", "--transcript"]) == 0
    out = capsys.readouterr().out
    assert "3 worlds" in out
    assert " #0 > open" in out
    assert worlds.__doc__
