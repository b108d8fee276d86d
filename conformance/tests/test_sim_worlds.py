"""Randomized worlds (see anywire.conformance.sim.worlds for what must hold). A failure prints the seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from anywire.conformance.sim import http, worlds
from anywire.conformance.sim.__main__ import main
from anywire.conformance.sim._kernel import current
from anywire.conformance.sim.worlds import World, WorldError, run_world

WORLDS, BATCH = 2000, 250


@pytest.mark.parametrize("first", range(0, WORLDS, BATCH))
def test_worlds(first: int) -> None:
    outcomes: Counter[str] = Counter()
    strangers = 0
    for seed in range(first, first + BATCH):
        result = run_world(seed)
        outcomes += result.outcomes
        strangers += result.strangers
    assert strangers > BATCH / 10
    # Every kind of end is there, or the worlds do not show what they should.
    assert {"response", "cancelled", "TimedOut", "ConnectionLost", "TruncatedError", "unread"} <= set(outcomes)
    assert {"ConnectError", "408", "500"} <= set(outcomes)


def test_a_failure_names_its_seed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And a wrong answer is one: here every answer says something else."""

    async def liar(self: World, req: Any, res: Any) -> None:
        res.set_header("X-Nonce", "other")
        await res.end("other")

    monkeypatch.setattr(World, "app", liar)
    with pytest.raises(WorldError, match=r"seed 3: \n(.|\n)*says other") as raised:
        run_world(3)
    assert raised.value.kinds["mismatch"] > 0
    assert main(["--seeds", "3"]) == 1
    seen = capsys.readouterr()
    assert "seed 3" in seen.err
    assert "replay: python -m anywire.conformance.sim --seeds 3 --transcript" in seen.err
    assert " 0 mismatches" not in seen.out


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


def test_a_late_end_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """ASK-20: a deadline that strikes late is found out."""
    read = World._read

    async def dozing(self: World, res: Any, nonce: str) -> str:
        await current().sleep(500.0)
        return await read(self, res, nonce)

    monkeypatch.setattr(World, "_read", dozing)
    with pytest.raises(WorldError, match="after its deadline") as raised:
        run_world(1)
    assert raised.value.kinds["late"] > 0


def test_pipelined_answers_in_the_wrong_order_are_seen() -> None:
    world = World(0)
    world.complain = lambda kind, text: world.kinds.update([kind])  # type: ignore[method-assign]
    answer = b"HTTP/1.1 200 OK\r\nX-Nonce: %b\r\nContent-Length: 0\r\n\r\n"
    world.answered(["n1", "n2"], answer % b"n1" + answer % b"n2")
    assert not world.kinds
    world.answered(["n1", "n2"], answer % b"n2" + answer % b"n1")
    world.answered(["n1"], b"no HTTP\r\n")
    assert world.kinds == {"mismatch": 3}


def test_progress_is_told_and_work_is_shared(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter(range(0, 100, 4))
    assert main(["--seeds", "0-5", "--jobs", "2"], clock=lambda: next(ticks)) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line for line in lines if " of 6 worlds" in line]
    assert len(told) > 1
    assert told[-1].startswith("6 of 6 worlds, ")
    assert all("0 failures, 0 mismatches, 0 leaks" in line and "exchanges per minute" in line for line in told)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "5-7", "--transcript"]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 worlds" in out
    assert " #0 > open" in out
    assert worlds.__doc__
