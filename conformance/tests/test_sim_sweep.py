"""ASK-12, ASK-16: a request may be cancelled wherever it waits. Exhaustive: every suspension, early, late, twice.

After each: the clean-up made no suspension, the pool is exact, no task is left, the next request works.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from anywire.conformance import sim
from anywire.conformance.sim import Network, Wire, http
from anywire.conformance.sim.sweep import Stage, check_empty, sweep

Work = Callable[[http.Agent], Coroutine[Any, Any, None]]
URL = "http://server.test:80"


async def app(req: Any, res: Any) -> None:
    """Answers with what it was sent; slowly if asked so."""
    if req.url == "/slow":
        await sim.sleep(0.5)
    res.write_head(200, {"X-Url": req.url})
    async for piece in req:
        await res.write(piece)
    if req.url == "/stream":
        for _ in range(3):
            await res.write(b"some" * 300)
            await sim.sleep(0.01)
    await res.end(b".", trailers={"X-Trailer": "t"})


async def get(agent: http.Agent) -> None:
    async with http.get(f"{URL}/get", agent=agent) as res:
        assert (await res.read(), res.headers["x-url"]) == (b".", "/get")


async def again(agent: http.Agent) -> None:
    """Over a connection that was pooled, then over the same once more."""
    await get(agent)
    await get(agent)


async def by_hand(agent: http.Agent) -> None:
    """Without a context manager: nobody cleans up but the call that was cancelled."""
    res = await http.get(f"{URL}/stream", agent=agent).response()
    assert await res.read() == b"some" * 900 + b"."


async def stream(agent: http.Agent) -> None:
    async with http.get(f"{URL}/stream", agent=agent) as res:
        assert b"".join([piece async for piece in res]) == b"some" * 900 + b"."


async def unread(agent: http.Agent) -> None:
    """Leaves a rest that the context manager reads for the sake of the connection (ASK-7)."""
    async with http.get(f"{URL}/slow", agent=agent) as res:
        assert res.status_code == 200


async def upload(agent: http.Agent) -> None:
    """More than buffers hold, so writing has to wait."""
    req = http.request(f"{URL}/upload", method="POST", agent=agent)
    for _ in range(2):
        if not await req.write(b"u" * 12000):
            break
    await req.end(b"end", trailers={"X-Sum": "1"})
    res = await req.response()
    assert await res.read() == b"u" * 24000 + b"end."


async def expect(agent: http.Agent) -> None:
    req = http.request(f"{URL}/expect", method="PUT", agent=agent, headers={"Expect": "100-continue"})
    await req.flush_headers()
    await req.end(b"body")
    assert await (await req.response()).read() == b"body."


async def queued(agent: http.Agent) -> None:
    """Behind another that has the only connection, and before a third. The scenario waits for those."""
    others.append(sim.spawn(unread(agent), "first"))
    await sim.sleep(0)

    async def later() -> None:
        await sim.sleep(0.01)
        await get(agent)

    others.append(sim.spawn(later(), "third"))
    await get(agent)


others: list[sim.Task] = []


async def happy_eyeballs(agent: http.Agent) -> None:
    """Two addresses, the first of which never answers (ASK-11)."""
    async with http.get("http://two.test:80/get", agent=agent) as res:
        assert await res.read() == b"."


async def lookup(agent: http.Agent) -> None:
    """A resolver that takes its time."""

    async def resolver(host: str, options: Any) -> str:
        await sim.sleep(0.05)
        return "10.0.0.1"

    async with http.get("http://nobody.test:80/get", agent=agent, lookup=resolver) as res:
        assert await res.read() == b"."


async def limited(agent: http.Agent) -> None:
    """Every limit is armed; none strikes."""
    limits: Any = dict.fromkeys(("deadline", "timeout", "connect_timeout", "head_timeout", "idle_timeout"), 30.0)
    async with http.get(f"{URL}/stream", agent=agent, queue_timeout=30.0, **limits) as res:
        await res.read()


def network(pieces: int) -> Callable[[], Network]:
    hosts = {"server.test": ["10.0.0.1"], "two.test": ["10.0.0.9", "10.0.0.1"]}
    return lambda: Network(latency=0.005, pieces=pieces, buffer=4096, hosts=hosts, silent=frozenset({"10.0.0.9"}))


WORKS = [get, again, by_hand, stream, unread, upload, expect, queued, happy_eyeballs, lookup, limited]
total: dict[str, int] = {}


async def around(stage: Stage, work: Work, **options: Any) -> None:
    """`work` as the victim, against our own server."""
    others.clear()
    kernel = sim.current()
    async with http.create_server(app) as server, http.Agent(keep_alive=True, max_sockets=1, **options) as agent:
        server.grace = 0.0
        await server.listen(80)
        error = await stage.strike(work(agent))
        if stage.struck:
            assert error is None or isinstance(error, sim.Cancelled), repr(error)
        else:
            assert error is None, repr(error)
        while others:
            await others.pop().join()
        check_empty(agent)
        await get(agent)
        check_empty(agent)
        assert agent.stats()["server.test:80:"].idle == 1
        agent.destroy()
        check_empty(agent, idle=0)
        await server.close(grace=0.0)
        assert not server.connections
    await sim.sleep(1.0)  # what was on its way
    assert kernel.next_timer == float("inf"), "a timer outlived its exchange"


@pytest.mark.parametrize("pieces", [0, 3000])
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_cancelled_at_every_suspension(work: Work, pieces: int) -> None:
    points = sweep(lambda stage: around(stage, work), network=network(pieces))
    assert points >= 8, points  # one of each kind at least, else nothing was swept
    total[f"{work.__name__} {pieces}"] = points


async def a_destroyed_agent(stage: Stage, work: Work) -> None:
    """AGT-82 to AGT-86: destroy() may come at any time; the request fails, the agent stays usable."""
    async with http.create_server(app) as server:
        server.grace = 0.0
        await server.listen(80)
        agent = http.Agent(keep_alive=True, max_sockets=1)
        stage.agent = agent  # type: ignore[attr-defined]
        others.clear()
        error = await stage.strike(work(agent))
        assert error is None or isinstance(error, http_errors), repr(error)
        while others:
            try:
                await others.pop().join()
            except http_errors:
                pass
        check_empty(agent)
        await get(agent)
        check_empty(agent)
        assert agent.stats()["server.test:80:"].idle == 1
        agent.destroy()
        check_empty(agent, idle=0)


http_errors = (ConnectionError, OSError)


@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_agent_destroyed_at_every_suspension(work: Work) -> None:
    def destroy(stage: Any) -> None:
        stage.agent.destroy()

    sweep(lambda stage: a_destroyed_agent(stage, work), network=network(0), action=destroy, times=(1,))


@pytest.mark.parametrize("how", ["destroy", "abort"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_request_destroyed_at_every_suspension(how: str, method: str) -> None:
    """CLI-26, CLI-68, ASK-18: whoever waits gets the error, at once, and nothing is left."""
    made: list[Any] = []

    async def work(agent: http.Agent) -> None:
        made[:] = [req := http.request(f"{URL}/stream", method=method, agent=agent)]
        events: list[str] = []
        for name in ("close", "error", "abort"):
            req.on(name, lambda *_, name=name: events.append(name))
        try:
            if method == "POST":
                await req.write(b"u" * 12000)
            await req.end()
            res = await req.response()
            await res.read()
        finally:
            assert events.count("close") == 1, events
            assert events.count("error") <= 1, events

    async def scenario(stage: Stage) -> None:
        async with http.create_server(app) as server, http.Agent(keep_alive=True, max_sockets=1) as agent:
            server.grace = 0.0
            await server.listen(80)
            error = await stage.strike(work(agent))
            # What had come may still be read to its end (CLI-82).
            assert error is None or (stage.struck and isinstance(error, ConnectionResetError)), repr(error)
            check_empty(agent)
            await get(agent)

    points = sweep(scenario, network=network(0), action=lambda stage: getattr(made[0], how)())
    assert points >= 8, points


def test_server_handlers_are_cancelled_with_their_server() -> None:
    """ASK-47: close(grace=0) at every suspension of a handler: it ends, the client hears of it, nothing is left."""

    async def scenario(stage: Stage) -> None:
        server = http.create_server()
        victims: list[sim.Task] = []

        async def handler(req: Any, res: Any) -> None:
            # The handler's task is the connection's: the sweep looks for it here, and strikes by closing.
            task = sim.current().task
            victims.append(task)
            start = task.suspensions
            closing: list[sim.Task] = []

            def close() -> None:
                stage.struck = True
                closing.append(sim.spawn(server.close(grace=0.0), "close"))

            task.act_at(start + stage.k, close, late=stage.late)
            await app(req, res)

        server.on("request", handler)
        await server.listen(80)
        wire = await sim.dial(80)
        await wire.send(b"POST /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nfive")
        await sim.sleep(0.1)
        try:
            await wire.send(b" and")
        except ConnectionError:
            pass
        got = await wire.gone()
        if not stage.struck:
            assert got.endswith(b"0\r\nX-Trailer: t\r\n\r\n")
            await server.close(grace=0.0)
        await sim.sleep(1.0)
        assert not server.connections
        assert not server.listening
        assert victims[0].done

    assert sweep(scenario, network=lambda: Network(latency=0.005, pieces=3), times=(1,)) >= 8


def test_a_peer_that_dies_at_every_byte() -> None:
    """Reset and FIN after every byte of request and response: an error or an answer, and the pool is exact."""
    wholes = {}

    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    async def main() -> str:
        async with http.Agent(keep_alive=True, max_sockets=1) as agent:
            sim.peer(80, script)
            outcome = "answered"
            try:
                req = http.request("http://10.0.0.1:80/", method="POST", agent=agent, deadline=9.0)
                await req.end(b"body")
                res = await req.response()
                assert await res.read() == b"ok"
            except (OSError, EOFError) as error:
                outcome = type(error).__name__
            check_empty(agent)
            for last in (False, True):
                try:
                    async with http.get("http://10.0.0.1:80/", agent=agent, deadline=9.0) as res:
                        assert await res.read() == b"ok"
                except OSError:
                    assert outcome == "answered" and not last  # it was only the second exchange that was struck
            return outcome

    for arrow in "><":
        for kind in ("rst", "fin", "stall"):
            outcomes: list[str] = []
            for at in range(1000):
                faults = sim.Faults(streams={(0, arrow): [sim.Fault(kind, at)]})
                outcomes.append(sim.run(main, network=Network(latency=0.001, faults=faults)))
                if outcomes[-3:] == ["answered"] * 3:
                    break
            wholes[arrow, kind] = len(outcomes) - 3
            assert {"answered"} < set(outcomes), (arrow, kind, outcomes)
            failures = {each for each in outcomes if each != "answered"}
            wanted = {"TimedOut"} if kind == "stall" else {"ConnectionLost", "TruncatedError", "ConnectError"}
            assert failures <= wanted, (arrow, kind, failures)
    # The message itself: after all of its bytes nothing of it can be lost.
    assert wholes["<", "fin"] == len(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")


@pytest.mark.parametrize("how", ["deadline", "destroy", "cancel"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_given_up_after_each_byte_of_an_answer(how: str, framing: str) -> None:
    """SEC-2: the next request on this pool never gets the old answer, however much of it had come."""

    def answer(nonce: bytes) -> bytes:
        if framing == "chunked":
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n0\r\n\r\n" % nonce
        return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n%b" % nonce

    whole = len(answer(b"first"))
    outcomes: list[bytes | str] = []

    async def script(wire: Wire) -> None:
        while (message := await wire.message())[0]:
            nonce = message[0].split(b" ")[1][1:]
            for byte in answer(nonce):  # one byte each second, the first at once; nobody is there when it is given up
                await wire.send(bytes([byte]))
                if nonce == b"first":
                    await sim.sleep(1.0)

    async def exchange(agent: http.Agent, path: str, **options: Any) -> bytes:
        req = http.get(f"http://10.0.0.1:80/{path}", agent=agent, **options)
        if how == "destroy" and path == "first":
            sim.current().at(sim.now() + at + 0.5, req.destroy)
        return await (await req.response()).read()

    async def main() -> None:
        sim.peer(80, script)
        async with http.Agent(keep_alive=True, max_sockets=1) as agent:
            options = {"deadline": at + 0.5} if how == "deadline" else {}
            task = sim.spawn(exchange(agent, "first", **options), "first")
            if how == "cancel":
                sim.current().at(sim.now() + at + 0.5, task.cancel)
            try:
                outcomes.append(await task.join())
            except (OSError, EOFError, sim.Cancelled) as error:
                outcomes.append(type(error).__name__)
            check_empty(agent)
            for _ in range(2):
                assert await exchange(agent, "other") == b"other"

    at = 0
    while at <= whole:
        sim.run(main)
        at += 1
    assert outcomes.count(b"first") == 2  # with its last byte here, and a second later
    assert len(outcomes) == whole + 1
