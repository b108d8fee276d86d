"""ASK-12, ASK-16 to ASK-18, SEC-2: whatever waits is cancelled at each of its suspensions, on every backend.

Exhaustive: a scenario is run again and again, struck at its first suspension, its second, …, until it ended before the
next; early (while it waits) and late (its wake-up was given already). Afterwards nothing is in use, nothing is left,
and the next request gets its own answer. From the cancellation on the victim suspends no more, so there is no place for
a second one.

``make sweep`` does all of it over TLS, too, and tells how many points there were.
"""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from anywire.conformance.backends import installed, settle
from anywire.core import AnywireError, _plans
from anywire.core.facade import _server

from .sweeps import scenarios
from .sweeps.scenarios import CLIENTS, HANDLERS, SERVERS, Handler, Play, entered
from .sweeps.strikers import Strike, Striker, striker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*was forgotten:ResourceWarning"),  # that is what `dropped` is about
]

MOST = 400
"""Suspensions of one scenario; more would be a loop."""


@pytest.fixture(params=installed())
def on(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Striker]:
    monkeypatch.setattr(_plans, "STAGGER", 0.005)  # two_addresses is not to wait for it at every point
    monkeypatch.setattr(_server, "IDLE_GRACE", 0.01)
    made = striker(request.param, monkeypatch.setattr)
    yield made
    made.over()


def sweep(on: Striker, run: Any, how: str) -> int:
    """Strike at 1, 2, … until that is not reached. Returns at how many."""
    for k in range(1, MOST):
        strike = Strike(k, how)
        try:
            on.backend.run(partial(run, strike))
            assert not on.backend.reports, on.backend.reports
        except BaseException as error:
            error.add_note(f"struck {how} at suspension {k}")
            raise
        if not strike.struck:
            return k - 1
    raise AssertionError(f"more than {MOST} suspensions")


async def until(on: Striker, what: Any) -> bool:
    """Wait for it; False if it does not come."""
    for _ in range(2000):
        if what():
            return True
        await on.pause()
    return False


def counts(agent: Any) -> tuple[int, ...]:
    agent.check_invariants()
    stats = list(agent.stats().values())
    return tuple(sum(getattr(each, name) for each in stats) for name in ("active", "connecting", "queued"))


async def same(on: Striker, before: dict[str, int], *, but: str = "") -> None:
    """Nothing is left."""

    def now() -> dict[str, int]:
        return {kind: count for kind, count in on.alive().items() if kind in before and kind != but}

    before = {kind: count for kind, count in before.items() if kind != but}
    assert await until(on, lambda: now() == before), f"left: {now()}, before: {before}"


@asynccontextmanager
async def stage(on: Striker, *, secure: bool) -> AsyncIterator[Play]:
    """What is played here leaves nothing behind, and the next request works."""
    for _ in range(5):  # the runtime begins to do what it does all the time
        await on.turn()
    play = Play(on, secure=secure)
    none = on.alive()
    server = play.server
    await play.listen()
    for _ in range(5):  # it watches its port
        await on.turn()
    before = on.alive()
    yield play
    assert counts(play.agent) == (0, 0, 0)
    port = play.port
    if not server.listening:
        assert await until(on, lambda: not server.connections), server.connections
        await play.listen()
    if (new := server.address()[1]) != port:
        play.port = new
        play.agent.destroy()  # who does not watch pooled connections still has the old one's
    await scenarios.get(play)
    assert counts(play.agent) == (0, 0, 0)
    idle = sum(map(len, play.agent.free_sockets.values()))
    assert idle >= 1
    assert await until(on, lambda: len(server.connections) == idle), (server.connections, idle)
    play.agent.destroy()
    await same(on, before, but="threads")  # a server may take more of them
    await settle(server.close(grace=0.0))
    assert not server.connections
    await same(on, none, but="tasks")  # trio has one clock for all


async def client(on: Striker, work: Any, secure: bool, strike: Strike) -> None:
    """`work` is the victim, against our own server."""
    async with stage(on, secure=secure) as play:
        if not on.cancels:
            strike.action = lambda: play.destroy()
        ended = await on.victim(strike, lambda: work(play))
        if not strike.struck:
            assert ended is None, repr(ended)
        elif on.cancels:
            assert not isinstance(ended, Exception), repr(ended)
            assert strike.after == 0, f"{strike.after} suspensions after the cancellation"
        else:
            assert ended is None or isinstance(ended, AnywireError), repr(ended)
            assert strike.after == 0 or ended is None, f"{strike.after} polls after it was destroyed"
        await play.over()
        if work is scenarios.dropped:
            gc.collect()  # that is what has to come some day
            await scenarios.get(play)


async def handler(on: Striker, which: Handler, how: str, secure: bool, strike: Strike) -> None:
    """A handler is the victim, of its server that closes, or of a limit of its own: then it goes on."""
    async with stage(on, secure=secure) as play:
        server = play.server
        if how == "closes":
            strike.action = lambda: play.beside(lambda: settle_all(server.close(grace=0.0)))
        elif not on.cancels:
            strike.action = lambda: play.destroy()

        async def victim(first: Any, second: Any) -> None:
            play.destroy = (first if which.name == "talks" else second).destroy
            came = await on.watch(strike, lambda: which.serve(play, first, second))
            if not came and which.name != "talks" and not second.writable_ended:
                await settle(second.end("given up"))

        play.victim = victim
        server.on("check_continue", on.backend.hook(victim))
        play.beside(lambda: which.ask(play))
        await play.over(strike)
        if on.cancels:
            assert strike.after == 0, f"{strike.after} suspensions after the cancellation"


async def settle_all(value: Any) -> None:
    await settle(value)


async def server(on: Striker, work: Any, secure: bool, strike: Strike) -> None:
    """Who waits for a server is the victim: one connection is idle, one is busy."""
    async with stage(on, secure=secure) as play:

        async def handles(req: Any, res: Any) -> None:
            play.busy.set()
            await settle(play.go.wait())
            await settle(res.end("."))

        async def goes_on() -> None:
            for _ in range(5):
                await on.pause()
            if work is scenarios.closing and strike.struck:
                return  # whoever closes gives up: now the busy one is ended
            play.go.set()
            if work is scenarios.forever:
                await settle(play.server.close(grace=30.0))

        play.victim = handles
        other = play.make_agent()
        await scenarios.get(play)
        if work is not scenarios.listening:
            play.beside(lambda: asks(play, other))
            await settle(play.busy.wait())
            play.beside(goes_on)
        ended = await on.victim(strike, lambda: work(play))
        assert strike.struck or ended is None, repr(ended)
        assert not isinstance(ended, Exception), repr(ended)
        assert strike.after == 0, f"{strike.after} suspensions after the cancellation"
        await play.over(strike)
        other.destroy()
        if work is scenarios.closing:
            assert not play.server.listening
            assert await until(on, lambda: not play.server.connections)


async def asks(play: Play, agent: Any) -> None:
    async with entered(play.ask("/victim", agent=agent)) as res:
        assert await settle(res.read()) == b"."


points: Counter[tuple[str, str]] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _told() -> Iterator[None]:
    yield
    for (name, how), count in sorted(points.items()):
        sys.stdout.write(f"{name}: {count} points, {how}\n")


def swept(on: Striker, run: Any, hows: tuple[str, ...] | None = None) -> int:
    """Returns at how many points was struck."""
    total = 0
    for how in hows or on.hows:
        count = sweep(on, run, how)
        points[on.backend.name, how] += count
        total += count
    return total


ALL = os.environ.get("ANYWIRE_SWEEP") == "all"


def modes(works: list[Any], *also: Any) -> pytest.MarkDecorator:
    """Plain and over TLS; but only `also` over TLS in ``make test``."""
    names = [getattr(each, "name", None) or each.__name__ for each in works]
    made = [pytest.param(each, False, id=f"{name}-plain") for each, name in zip(works, names, strict=True)]
    made += [
        pytest.param(each, True, id=f"{name}-tls")
        for each, name in zip(works, names, strict=True)
        if ALL or each in also
    ]
    return pytest.mark.parametrize(("work", "secure"), made)


@modes(CLIENTS, scenarios.get, scenarios.upload)
def test_clients(on: Striker, work: Any, secure: bool) -> None:
    if work is scenarios.two_addresses and on.backend.virtual:
        pytest.skip("its network has no such address")
    assert swept(on, lambda strike: client(on, work, secure, strike)) >= 2


@modes(HANDLERS)
@pytest.mark.parametrize("how", ["closes", "by itself"])
def test_handlers(on: Striker, work: Handler, how: str, secure: bool) -> None:
    if work.name == "talks" and how == "closes":
        pytest.skip("a server leaves upgraded connections alone")
    hows = tuple(each for each in on.hows if each != "late" or not on.backend.name.endswith("gevent"))
    swept(on, lambda strike: handler(on, work, how, secure, strike), hows)


@modes(SERVERS)
def test_servers(on: Striker, work: Any, secure: bool) -> None:
    if not on.cancels:
        pytest.skip("who waits for a server in a thread cannot be stopped")
    swept(on, lambda strike: server(on, work, secure, strike))
