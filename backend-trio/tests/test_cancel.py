"""Cancellation at every suspension (ASK-12): nothing is left, and nothing is waited for.

An instrument counts the suspensions of the task under test and cancels its scope at the k-th,
for every k until the scenario ends before the k-th. After each: the pool is empty, no connection
and no task is left, the next request works. From the cancellation to the end of the scope the
task must not suspend again: cleaning up waits for nobody (ASK-17).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio_peers import Certificates, counts, pool, quiet, serving, until, url_of

from anywire.trio import http, https

BODY = bytes(1 << 18)


class CancelAt(trio.abc.Instrument):
    """Cancels `scope` when the current task suspends for the k-th time."""

    def __init__(self, scope: trio.CancelScope, k: int) -> None:
        self.task = trio.lowlevel.current_task()
        self.scope = scope
        self.k = k
        self.count = 0
        self.later = 0
        self.over = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is not self.task or self.over:
            return
        self.count += 1
        if self.scope.cancel_called:
            self.later += 1
        elif self.count == self.k:
            if task._abort_func is None:
                # A schedule point: trio itself suspends once more to deliver the cancellation.
                self.later -= 1
            self.scope.cancel()


async def echo(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200)
    async for chunk in req:
        await res.write(chunk)
    await res.end("end")


async def get(url: str, agent: Any) -> None:
    async with _module(agent).get(url, agent=agent) as res:
        assert await res.read() == b"end"


async def post(url: str, agent: Any) -> None:
    req = _module(agent).request(url, method="POST", agent=agent)
    for at in range(0, len(BODY), 1 << 16):
        await req.write(BODY[at : at + (1 << 16)])
    await req.end()
    res = await req.response()
    got = 0
    async for chunk in res:
        got += len(chunk)
    assert got == len(BODY) + 3


async def by_name(url: str, agent: Any) -> None:
    """Name resolution, and two addresses of which the first refuses."""

    async def lookup(host: str, options: Any) -> list[str]:
        await trio.lowlevel.checkpoint()
        return ["127.0.0.2", "127.0.0.1"]

    async with http.get(url.replace("127.0.0.1", "name"), agent=agent, lookup=lookup, deadline=60.0) as res:
        assert await res.read() == b"end"


def _module(agent: Any) -> Any:
    return https if agent.protocol == "https:" else http


Scenario = Callable[[str, Any], Awaitable[None]]


async def sweep(
    scenario: Scenario, url: str, agent: Any, connections: Any, *, most: int = 0, warm: bool = False
) -> int:
    """Cancel `scenario` at its k-th suspension, for k = 1, 2, … Returns how many there are."""
    await quiet()
    before = trio.lowlevel.current_statistics().tasks_living
    k = 0
    while True:
        k += 1
        if warm:  # the next exchange works, and the scenario uses its connection
            async with _module(agent).get(url, agent=agent) as res:
                assert await res.read() == b"end"
        await quiet()
        with trio.CancelScope() as scope:
            instrument = CancelAt(scope, k)
            trio.lowlevel.add_instrument(instrument)
            try:
                await scenario(url, agent)
            finally:
                instrument.over = True
                trio.lowlevel.remove_instrument(instrument)
        active, connecting, idle, queued = counts(agent)
        assert (active, connecting, queued) == (0, 0, 0), f"cancelled at suspension {k}"
        assert instrument.later <= most, f"suspended {instrument.later} times after the cancellation at {k}"
        if not scope.cancelled_caught:
            return k - 1
        assert idle == 0, "what was cancelled in the middle is not used again"
        await until(lambda: not connections)
        await quiet()
        assert trio.lowlevel.current_statistics().tasks_living == before, f"tasks left after {k}"


@pytest.mark.parametrize("scenario", [get, post])
async def test_every_suspension_of_a_client(scenario: Scenario) -> None:
    async with serving(echo) as server, pool(max_sockets=1) as agent:
        assert await sweep(scenario, url_of(server), agent, server.connections) >= 2
        agent.destroy()
        await until(lambda: not server.connections)
        assert await sweep(scenario, url_of(server), agent, server.connections, warm=True) >= 1


async def test_every_suspension_of_a_race() -> None:
    """Two attempts run side by side, in a nursery of ours, which takes a moment to unwind, but no time."""
    async with serving(echo) as server, pool(max_sockets=1) as agent:
        assert await sweep(by_name, url_of(server), agent, server.connections, most=2) >= 4


@pytest.mark.parametrize("scenario", [get, post])
async def test_every_suspension_over_tls(scenario: Scenario, certificates: Certificates) -> None:
    """ASK-17: no goodbye is waited for."""
    async with serving(echo, secure=True, cert=certificates.cert, key=certificates.key) as server:
        agent = https.Agent(keep_alive=True, max_sockets=1, ca=certificates.ca)
        assert await sweep(scenario, url_of(server), agent, server.connections) >= 3
        agent.destroy()


async def test_the_one_behind_in_the_queue_gets_the_place() -> None:
    """A grant is never lost: the first is cancelled at each of its suspensions while another is queued."""
    async with serving(echo) as server, pool(max_sockets=1, keep_alive=False) as agent:
        served = 0

        async def both(url: str, agent: Any) -> None:
            nonlocal served

            async def second() -> None:
                nonlocal served
                with trio.CancelScope(shield=True):
                    await get(url, agent)
                served += 1

            request = http.get(url, agent=agent)
            outer.start_soon(second)
            async with request as res:
                await res.read()

        rounds = 0
        async with trio.open_nursery() as outer:
            k = 0
            while True:
                k += 1
                rounds += 1
                with trio.CancelScope() as scope:
                    instrument = CancelAt(scope, k)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        await both(url_of(server), agent)
                    finally:
                        instrument.over = True
                        trio.lowlevel.remove_instrument(instrument)
                while served < rounds:
                    await trio.lowlevel.checkpoint()
                if not scope.cancelled_caught:
                    break
        assert rounds > 2


async def test_every_suspension_of_a_handler() -> None:
    """A handler that is cancelled by a scope of its own may go on, and its connection is whole."""
    rounds: list[int] = []

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        k = int(req.headers["x-k"])  # type: ignore[arg-type]
        with trio.CancelScope() as scope:
            instrument = CancelAt(scope, k)
            trio.lowlevel.add_instrument(instrument)
            try:
                got = await req.read()
                res.write_head(200, {"Content-Length": len(BODY)})
                await res.write(got)
            finally:
                instrument.over = True
                trio.lowlevel.remove_instrument(instrument)
        assert instrument.later <= 0
        if not scope.cancelled_caught:
            rounds.append(k)
        elif not res.headers_sent:
            # What was read before was this read()'s; the rest is still there to be read.
            async for _ in req:
                pass
            res.write_head(200, {"Content-Length": len(BODY)})
            await res.write(BODY)
        await res.end()

    async with serving(app) as server, pool(max_sockets=1) as agent:
        k = 0
        while not rounds:
            k += 1
            headers = {"Content-Length": len(BODY), "X-K": k}
            req = http.request(url_of(server), method="POST", agent=agent, headers=headers)
            await req.end(BODY)
            async with req as res:
                assert await res.read() == BODY
        assert k > 2


async def test_a_mute_tls_peer_does_not_hold_up_a_cancelled_request(certificates: Certificates) -> None:
    """ASK-17: the handshake of a peer that never answers ends with its request, in no time."""
    listening = trio.socket.socket()
    await listening.bind(("127.0.0.1", 0))
    listening.listen()
    agent = https.Agent(keep_alive=True, ca=certificates.ca)
    with listening:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                await https.get(f"https://127.0.0.1:{listening.getsockname()[1]}/", agent=agent)

            nursery.start_soon(ask)
            mute, _ = await listening.accept()
            await trio.testing.wait_all_tasks_blocked()
            assert counts(agent) == (0, 1, 0, 0)
            nursery.cancel_scope.cancel()
        assert counts(agent) == (0, 0, 0, 0)
        with mute:
            while await mute.recv(65536):
                pass
