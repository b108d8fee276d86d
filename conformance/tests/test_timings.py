"""Where the time of an exchange went (ASK-49): exact on a virtual clock, complete on a real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from anywire.conformance import sim
from anywire.conformance.backends import Backend, resolve
from anywire.conformance.sim import Network, Wire, http
from anywire.core import RemoteError

URL = "http://h:80/"
REAL = ("anywire.asyncio", "anywire.trio", "anywire.sync", "anywire.gevent")


async def answer(wire: Wire) -> None:
    """Twice, a second after the request; the body takes two more."""
    for _ in range(2):
        await wire.until(b"end")
        await sim.sleep(1.0)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await sim.sleep(2.0)
        await wire.send(b"b")


async def lookup(host: str, options: object) -> str:
    await sim.sleep(0.25)
    return "10.0.0.1"


async def fetch(request: Any) -> None:
    await request.end("end")
    async with request as res:
        await res.read()


def run(main: Callable[[], Coroutine[Any, Any, None]], **network: Any) -> Any:
    return sim.run(main, network=Network(**network))


def test_each_phase_has_its_time() -> None:
    async def main() -> None:
        sim.peer(80, answer)
        async with http.Agent(keep_alive=True, max_sockets=1) as agent:
            made: Any = [http.request(URL, method="POST", agent=agent, lookup=lookup) for _ in range(2)]
            first, second = made
            queued = sim.spawn(second.response())
            await sim.sleep(0.5)
            assert sum(second.timings) == second.timings.queue == 0.5, "still counting"
            await first.write("begin")
            await sim.sleep(4.0)
            await first.end("end")
            async with first as res:
                await res.read()
            # From end to end a byte takes an eighth of a second, and connecting is there and back.
            assert first.timings == res.timings == (0.5, 0.25, 0.25, 0, 4.0, 1.25, 2.0)
            await sim.sleep(9.0)
            assert first.timings.total == 0.5 + 0.25 + 0.25 + 4.0 + 1.25 + 2.0, "it is over"
            second.destroy()
            with pytest.raises(ConnectionResetError):
                await queued.join()

    run(main, latency=0.125)


def test_a_pooled_connection_takes_no_time() -> None:
    async def main() -> None:
        sim.peer(80, answer)
        async with http.Agent(keep_alive=True) as agent:
            for opening in ((0, 0.25, 0.25), (0, 0, 0)):
                request = http.request(URL, method="POST", agent=agent, lookup=lookup)
                await fetch(request)
                assert request.timings == (*opening, 0, 0, 1.25, 2.0)

    run(main, latency=0.125)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"connect_timeout": 0.25}, (0, 0.25, 0, 0, 0, 0, 0)),
        ({"connect_timeout": 0.75}, (0, 0.5, 0.25, 0, 0, 0, 0)),
        ({"head_timeout": 0.25}, (0, 0.5, 1.0, 0, 0, 0.25, 0)),
        ({"idle_timeout": 1.5}, (0, 0.5, 1.0, 0, 0, 2.0, 1.5)),
        ({"deadline": 4.0}, (0, 0.5, 1.0, 0, 0, 2.0, 0.5)),
    ],
)
def test_so_has_an_error(options: dict[str, Any], expected: tuple[float, ...]) -> None:
    async def slow(host: str, options: object) -> str:
        await sim.sleep(0.5)
        return "10.0.0.1"

    async def main() -> None:
        sim.peer(80, answer)
        with pytest.raises(RemoteError) as caught:
            await fetch(http.request(URL, method="POST", lookup=slow, agent=False, **options))
        assert caught.value.timings == expected
        assert caught.value.timings.total == sim.now()

    run(main, latency=0.5)


def test_what_was_opened_for_somebody_else_is_waiting() -> None:
    async def main() -> None:
        sim.peer(80, answer)
        async with http.Agent(keep_alive=True, max_sockets=1) as agent:
            first, second = (http.request(URL, method="POST", agent=agent, lookup=lookup) for _ in range(2))
            given_up = sim.spawn(first.response())
            queued = sim.spawn(second.end("end"))
            await sim.sleep(0.25)  # resolved, and connecting
            first.destroy()
            with pytest.raises(ConnectionResetError):
                await given_up.join()
            await queued.join()
            async with second as res:
                await res.read()
            assert sum(second.timings) == pytest.approx(sim.now())
            assert second.timings.queue == 0.25

    run(main, latency=0.125)


@pytest.mark.parametrize("name", REAL)
def test_nothing_is_missing(name: str) -> None:
    """On real clocks: all phases together are what passed from the call to the last byte, within a millisecond."""
    backend: Backend = resolve(name)
    lead: list[float] = []

    async def app(req: Any, res: Any) -> None:
        body = await call(req.read())
        await call(res.end(body))

    async def call(value: Any) -> Any:
        return await value if hasattr(value, "__await__") else value

    async def scenario() -> None:
        server = backend.http.create_server(backend.hook(app))
        await call(server.listen(0, "127.0.0.1"))
        agent = backend.http.Agent(keep_alive=True)
        for _ in range(3):
            begun = time.monotonic()
            request = backend.http.request(f"http://127.0.0.1:{server.address()[1]}/", method="POST", agent=agent)
            await call(request.end(b"x" * 100_000))
            res = await call(request.response())
            assert len(await call(res.read())) == 100_000
            ended = time.monotonic()
            timings = res.timings
            assert min(timings) >= 0.0
            lead.append(ended - begun - timings.total)
            assert res.timings is not timings and res.timings == timings, "the clock has stopped"
        agent.destroy()
        await call(server.close(0.0))

    backend.run(scenario)
    assert min(lead) >= 0.0
    assert min(lead) < 0.001
