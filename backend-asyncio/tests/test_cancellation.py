"""ASK-12: a request may be cancelled wherever it waits, and nothing of it is left.

For each place: the task is cancelled there (once, or twice in a row), and afterwards the pool
is empty, the next request works, and (looked at after every test of this folder) no task
and no descriptor is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asyncio_peers import OK, Peer, Wire, counts, peer, pool, turns, unanswered_port, until

from anywire.asyncio import http


def hang_until(release: asyncio.Event, stage: str) -> Callable[[Wire], Awaitable[object]]:
    """A server that stops at `stage` until released; from then on it answers."""

    async def script(wire: Wire) -> None:
        while True:
            if stage == "write" and not release.is_set():
                wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
                await release.wait()
                return
            await wire.message()
            if release.is_set():
                await wire.send(OK)
                continue
            if stage == "head in part":
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-")
            elif stage == "interim":
                await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            elif stage == "body":
                await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
            await wire.gone()
            return

    return script


async def get(server: Peer, agent: http.Agent) -> None:
    async with http.get(server.url, agent=agent) as res:
        await res.read()


async def upload(server: Peer, agent: http.Agent) -> None:
    req = http.request(server.url, method="POST", agent=agent)
    while await req.write(bytes(1 << 20)):
        pass


async def by_hand(server: Peer, agent: http.Agent) -> None:
    """Without a context manager: nobody cleans up but the call that was cancelled."""
    res = await http.get(server.url, agent=agent).response()
    await res.read()


STAGES = [
    ("head", get),
    ("head in part", get),
    ("interim", get),
    ("body", get),
    ("head", by_hand),
    ("body", by_hand),
    ("write", upload),
]


REACHED: dict[str, Callable[[Any], object]] = {
    "head": lambda connection: connection.bytes_sent,
    "head in part": lambda connection: connection._parser.started,
    "interim": lambda connection: connection._informational,
    "body": lambda connection: connection.receiving == "body",
    "write": lambda connection: connection.pump.blocked,
}


def waits(agent: http.Agent, stage: str) -> bool:
    """The only connection in use has got to `stage`, and its request waits there."""
    used = [socket.connection for sockets in agent.sockets.values() for socket in sockets if socket is not None]
    return len(used) == 1 and bool(used[0].pump._waiting and REACHED[stage](used[0]))


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize(("stage", "work"), STAGES, ids=[f"{stage}-{work.__name__}" for stage, work in STAGES])
async def test_while_the_connection_is_ours(stage: str, work: Any, twice: bool) -> None:
    release = asyncio.Event()
    async with peer(hang_until(release, stage)) as server, pool(max_sockets=1) as agent:
        task = asyncio.ensure_future(work(server, agent))
        waiting = asyncio.ensure_future(get(server, agent))
        await until(lambda: waits(agent, stage))  # earlier moments are tests of their own
        await turns()
        release.set()
        task.cancel()
        if twice:
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await waiting  # the next in the queue got the place
        await get(server, agent)
        assert counts(agent) == (0, 0, 1, 0)


@pytest.mark.parametrize("after", range(12))
async def test_after_any_number_of_turns(after: int) -> None:
    """Wherever that is: resolving, connecting, sending, waiting, reading."""
    release = asyncio.Event()
    release.set()
    async with peer(hang_until(release, "")) as server, pool(max_sockets=1) as agent:
        task = asyncio.ensure_future(get(server, agent))
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        active, connecting, _, queued = counts(agent)
        assert (active, connecting, queued) == (0, 0, 0)
        await get(server, agent)
        assert counts(agent) == (0, 0, 1, 0)


async def test_in_the_queue() -> None:
    release = asyncio.Event()
    async with peer(hang_until(release, "head")) as server, pool(max_sockets=1) as agent:
        holder = asyncio.ensure_future(get(server, agent))
        await until(lambda: server.wires)
        tasks = [asyncio.ensure_future(get(server, agent)) for _ in range(3)]
        await turns()
        assert counts(agent)[3] == 3
        tasks[1].cancel()
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        assert counts(agent)[3] == 2
        release.set()
        holder.cancel()
        await asyncio.wait([holder])
        await tasks[0]
        await tasks[2]
        assert counts(agent) == (0, 0, 1, 0)


async def test_in_the_very_turn_in_which_the_place_is_granted() -> None:
    """ASK-16: the grant is not lost with the one who got it."""
    release = asyncio.Event()
    async with peer(hang_until(release, "head")) as server, pool(max_sockets=1) as agent:
        holder = http.get(server.url, agent=agent)
        answer = asyncio.ensure_future(holder.response())
        await until(lambda: server.wires)
        second = asyncio.ensure_future(get(server, agent))
        third = asyncio.ensure_future(get(server, agent))
        await turns()
        release.set()
        holder.destroy()  # grants to the second, which has been woken and has not run yet
        second.cancel()
        await asyncio.wait([answer, second])
        assert answer.exception() is not None
        assert second.cancelled()
        await third
        assert counts(agent) == (0, 0, 1, 0)


async def test_while_resolving() -> None:
    """Also with a lookup that is slow to be cancelled."""
    entered = asyncio.Event()

    async def lookup(host: str, options: Any) -> str:
        entered.set()
        await asyncio.Event().wait()
        return host

    async with pool(max_sockets=1) as agent:
        task = asyncio.ensure_future(http.get("http://example.test/", agent=agent, lookup=lookup).response())
        await entered.wait()
        assert counts(agent) == (0, 1, 0, 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(agent) == (0, 0, 0, 0)


async def test_while_connecting() -> None:
    """A listener whose backlog is full: the kernel lets us wait."""
    async with unanswered_port() as port, pool(max_sockets=1) as agent:
        task = asyncio.ensure_future(http.get(f"http://127.0.0.1:{port}/", agent=agent).response())
        await turns(20)
        assert counts(agent) == (0, 1, 0, 0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(agent) == (0, 0, 0, 0)


async def test_destroy_while_connecting_does_not_wait_for_the_peer() -> None:
    """ASK-17: so does ``agent.destroy()``."""
    async with unanswered_port() as port, pool() as agent:
        for how in ("request", "agent"):
            req = http.get(f"http://127.0.0.1:{port}/", agent=agent)
            task = asyncio.ensure_future(req.response())
            await turns(20)
            assert counts(agent) == (0, 1, 0, 0)
            if how == "request":
                req.destroy()
            else:
                agent.destroy()
            await asyncio.wait([task])
            error = task.exception()
            assert getattr(error, "code", None) == "ECONNRESET"
            assert counts(agent) == (0, 0, 0, 0)


@pytest.mark.parametrize("limit", ["wait_for", "timeout"])
async def test_the_usual_time_limits(limit: str) -> None:
    async with peer(hang_until(asyncio.Event(), "head")) as server, pool() as agent:
        with pytest.raises(TimeoutError):  # noqa: PT012
            if limit == "wait_for":
                await asyncio.wait_for(get(server, agent), 0.05)
            else:
                async with asyncio.timeout(0.05):
                    await get(server, agent)
        assert counts(agent) == (0, 0, 0, 0)


async def test_a_timeout_around_a_write_inside_a_handler_or_an_upload() -> None:
    """A cancelled write ends the exchange: what went out is unknown, so the connection is not used again."""
    release = asyncio.Event()
    async with peer(hang_until(release, "write")) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)

        async def upload() -> None:
            while True:
                await req.write(bytes(1 << 20))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(upload(), 0.05)
        assert req.destroyed
        assert counts(agent) == (0, 0, 0, 0)


async def test_a_task_group_that_fails_takes_its_requests_along() -> None:
    async with peer(hang_until(asyncio.Event(), "head")) as server, pool() as agent:

        async def failing() -> None:
            await until(lambda: len(server.wires) == 5)
            raise ZeroDivisionError

        async def everything() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(get(server, agent))
                group.create_task(failing())

        with pytest.raises(ExceptionGroup):
            await everything()
        assert counts(agent) == (0, 0, 0, 0)


async def test_clean_up_never_suspends() -> None:
    """ASK-17: after the cancellation arrived, the request's task does not wait for anything again."""
    release = asyncio.Event()
    async with peer(hang_until(release, "body")) as server, pool() as agent:
        task = asyncio.ensure_future(get(server, agent))
        await until(lambda: waits(agent, "body"))
        task.cancel()
        await asyncio.sleep(0)  # one turn delivers the cancellation
        await asyncio.sleep(0)
        assert task.cancelled()
        assert counts(agent) == (0, 0, 0, 0)
