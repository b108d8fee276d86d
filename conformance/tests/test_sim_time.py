"""Timers at their exact virtual times: the network has no latency, so what happens at 60 s happens at 60.0."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from anywire.conformance import sim
from anywire.conformance.sim import Network, Wire, http

TIMEOUT_408 = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def app(req: Any, res: Any) -> None:
    await req.read()
    await res.end("ok")


def with_client(script: Callable[[Wire], Awaitable[object]], **options: Any) -> Any:
    """A server of ours with default limits, and one scripted client."""

    async def main() -> Any:
        server = http.create_server(app, **options)
        await server.listen(80)
        wire = await sim.dial(80)
        result = await script(wire)
        wire.close()
        await sim.sleep(0.001)
        assert not server.connections
        assert sim.current().next_timer == float("inf"), "a timer outlived its connection"
        return result

    return sim.run(main)


async def gone_at(wire: Wire) -> tuple[bytes, float]:
    return await wire.gone(), sim.now()


# ---------------------------------------------------------------- the server's clocks


def test_a_first_head_has_60_s_from_accept() -> None:
    """SRV-60, SRV-62, decision 5; SEC-28: a byte now and then does not help."""

    async def script(wire: Wire) -> tuple[bytes, float]:
        for byte in GET[:20]:
            await sim.sleep(2.9)
            await wire.send(bytes([byte]))
        return await gone_at(wire)

    answer, when = with_client(script)
    assert (answer, when) == (TIMEOUT_408, 60.0)


def test_a_silent_client_has_60_s_too() -> None:
    """SRV-60, decision 5: counted from accept."""
    assert with_client(gone_at) == (TIMEOUT_408, 60.0)


def test_a_whole_request_has_300_s() -> None:
    """SRV-L1: from where its head began, also if the body never stops coming."""

    async def script(wire: Wire) -> tuple[bytes, float]:
        await sim.sleep(1.0)
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(59):
            await sim.sleep(5.0)
            await wire.send(b"x")
        return await gone_at(wire)

    answer, when = with_client(script)
    assert (answer, when) == (TIMEOUT_408, 300.0)


def test_a_later_head_has_60_s_from_its_first_byte() -> None:
    """SRV-62, decision 5; between requests the keep-alive clock runs instead."""

    async def script(wire: Wire) -> tuple[bytes, float]:
        await wire.send(GET)
        await wire.until(b"ok")
        await sim.sleep(4.0)
        await wire.send(b"G")
        return await gone_at(wire)

    answer, when = with_client(script)
    assert (answer, when) == (TIMEOUT_408, 64.0)


def test_keep_alive_is_5_s_after_the_response() -> None:
    """SRV-49, SRV-50: and again after each response."""

    async def script(wire: Wire) -> tuple[bytes, float]:
        for _ in range(3):
            await wire.send(GET)
            await wire.until(b"ok")
            await sim.sleep(4.5)
        await wire.send(GET)
        await wire.until(b"ok")
        return await gone_at(wire)

    assert with_client(script) == (b"", 13.5 + 5.0)


def test_linger_is_5_s() -> None:
    """SRV-32 and RFC 9112 section 9.6: after the last response we half-close, and wait for the client's FIN."""

    async def script(wire: Wire) -> tuple[bytes, float, float]:
        await wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        rest = await wire.rest()  # FIN came with the response
        first = sim.now()
        while sim.now() < 100:
            await sim.sleep(1.0)
            try:
                await wire.send(b"noise")
            except ConnectionError:
                break
        return rest[-2:], first, sim.now()

    assert with_client(script) == (b"ok", 0.0, 6.0)  # destroyed at 5.0; the noise of 5.0 is answered with a reset


def test_an_idle_timeout_counts_from_the_last_byte() -> None:
    """SRV-47, SRV-56: no byte in or out.

    While a handler waits for something else nobody stamps the moment of the last byte, so the lazy
    timer finds it when it strikes: never early, and late by less than the limit.
    """

    async def slow(req: Any, res: Any) -> None:
        await sim.sleep(7.0)
        await res.write(b"a")
        await sim.sleep(100.0)

    async def main() -> float:
        server = http.create_server(slow)
        server.set_timeout(10.0)
        await server.listen(80)
        wire = await sim.dial(80)
        await wire.send(GET)
        await wire.gone()
        when = sim.now()
        await server.close(grace=0.0)
        return when

    assert 17.0 <= sim.run(main) <= 20.0


# ---------------------------------------------------------------- the client's clocks


def ask(script: Callable[[Wire], Awaitable[object]], network: Network | None = None, **options: Any) -> Any:
    """One GET of ours against a script. Returns what it raised, and when; or the body."""

    async def main() -> Any:
        sim.peer(80, script)
        async with http.Agent(keep_alive=True) as agent:
            try:
                async with http.get("http://10.0.0.1:80/", agent=agent, **options) as res:
                    return await res.read(), sim.now()
            except TimeoutError as error:
                agent.check_invariants()
                assert not any(stats.active or stats.connecting or stats.queued for stats in agent.stats().values())
                return getattr(error, "phase", None), sim.now()

    return sim.run(main, network=network)


async def dripping(wire: Wire) -> None:
    """A byte per second, for ever."""
    await wire.until()
    await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await sim.sleep(1.0)
        await wire.send(b"x")


async def dripping_head(wire: Wire) -> None:
    await wire.until()
    await wire.send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await sim.sleep(1.0)
        await wire.send(b"x")


async def mute(wire: Wire) -> None:
    await wire.gone()


def test_a_deadline_is_not_stretched_by_a_dripping_server() -> None:
    """ASK-20."""
    assert ask(dripping, deadline=10.5) == ("body", 10.5)
    assert ask(dripping_head, deadline=10.5) == ("head", 10.5)
    # An idle limit would never strike here.
    assert ask(dripping, deadline=10.5, idle_timeout=2.0, timeout=2.0) == ("body", 10.5)


@pytest.mark.parametrize(
    ("script", "options", "expected"),
    [
        (mute, {"head_timeout": 3.0}, ("head", 3.0)),
        (dripping_head, {"head_timeout": 3.5}, ("head", 3.5)),
        (dripping, {"idle_timeout": 0.5}, ("body", 0.5)),
        (mute, {"timeout": 4.0}, ("head", 4.0)),
        (mute, {"deadline": 2.0, "head_timeout": 3.0}, ("head", 2.0)),
    ],
)
def test_each_limit_strikes_at_its_time(script: Any, options: dict[str, Any], expected: Any) -> None:
    """ASK-19."""
    assert ask(script, **options) == expected


def test_a_connect_that_nobody_answers() -> None:
    """ASK-19: by its own limit, by the deadline, or when the network gives up."""

    def silent() -> Network:
        return Network(silent=frozenset({"10.0.0.1"}))

    assert ask(mute, silent(), connect_timeout=7.0) == ("connect", 7.0)
    assert ask(mute, silent(), deadline=3.0) == ("connect", 3.0)
    assert ask(mute, silent()) == ("connect", 130.0)


def test_the_queue_has_a_limit_of_its_own() -> None:
    """ASK-19: and the place in it is free again."""

    async def main() -> None:
        sim.peer(80, mute)
        async with http.Agent(keep_alive=True, max_sockets=1) as agent:
            url = "http://10.0.0.1:80/"
            first = http.get(url, agent=agent)
            waiting = sim.spawn(first.response())
            await sim.sleep(1.0)
            with pytest.raises(TimeoutError) as caught:
                await http.get(url, agent=agent, queue_timeout=2.0).response()
            assert (getattr(caught.value, "phase", None), sim.now()) == ("queue", 3.0)
            (stats,) = agent.stats().values()
            assert (stats.active, stats.queued) == (1, 0)
            first.destroy()
            with pytest.raises(ConnectionResetError):
                await waiting.join()

    sim.run(main)


def test_happy_eyeballs_starts_the_next_attempt_after_250_ms() -> None:
    """ASK-11, RFC 8305 section 5."""

    async def script(wire: Wire) -> None:
        await wire.until()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def main() -> float:
        sim.peer(80, script)
        async with http.get("http://two.test:80/") as res:
            await res.read()
        return sim.now()

    network = Network(hosts={"two.test": ["10.0.0.9", "10.0.0.1"]}, silent=frozenset({"10.0.0.9"}))
    assert sim.run(main, network=network) == 0.25


def test_pooled_connections_expire() -> None:
    """AGT-63, AGT-L4, ASK-2: the Agent's timeout, and the server's hint less a second."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.until()
            await wire.send(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=3\r\nContent-Length: 0\r\n\r\n")

    async def main(**options: Any) -> float:
        sim.peer(80, script)
        async with http.Agent(keep_alive=True, **options) as agent:
            async with http.get("http://10.0.0.1:80/", agent=agent) as res:
                await res.read()
            while sum(stats.idle for stats in agent.stats().values()):
                await sim.sleep(0.25)
            return sim.now()

    assert sim.run(main) == 2.0
    assert sim.run(lambda: main(timeout=1.5)) == 1.5


def test_tcp_keep_alive_is_asked_for() -> None:
    """ASK-22, AGT-56."""

    async def main() -> None:
        sim.peer(80, mute)
        async with http.Agent(keep_alive=True, keep_alive_delay=7.0) as agent:
            req = http.get("http://10.0.0.1:80/", agent=agent)
            seen: list[Any] = []
            req.on("socket", lambda socket: seen.append(socket._pump.info("keep_alive")))
            waiting = sim.spawn(req.response())
            await sim.sleep(1.0)
            req.destroy()
            with pytest.raises(ConnectionResetError):
                await waiting.join()
            assert seen == [7.0]

    sim.run(main)
