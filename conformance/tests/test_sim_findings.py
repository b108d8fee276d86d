"""What the sim found, each with the shortest scenario that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from anywire.conformance import sim
from anywire.conformance.sim import Network, http


def test_close_in_the_step_in_which_a_connection_was_accepted() -> None:
    """ASK-47: a task that is cancelled before it began never runs its clean-up; close() must not wait for that."""

    async def app(req: Any, res: Any) -> None:
        await res.end()

    async def main() -> None:
        server = http.create_server(app)
        await server.listen(80)
        dialling = sim.spawn(sim.dial(80))
        while not server.connections:
            await sim.sleep(0)
        await server.close(grace=0.0)
        assert not server.connections
        wire = await dialling.join()
        assert await wire.gone() == b""

    sim.run(main)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_slow_reader_gets_the_whole_response(connection: str) -> None:
    """SRV-49, RFC 9112 section 9.6: no clock of idleness strikes while the response is still going out."""
    whole = b"x" * 12_000

    async def app(req: Any, res: Any) -> None:
        await res.end(whole)

    async def main() -> None:
        server = http.create_server(app)
        await server.listen(80)
        wire = await sim.dial(80)
        await wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: %b\r\n\r\n" % connection.encode())
        assert (await wire.message())[1] == whole
        done = sim.now()
        assert 12.0 < done < 14.0
        assert await wire.gone() == b""
        assert sim.now() < done + 11.0
        wire.close()
        await sim.sleep(1.0)
        assert not server.connections

    sim.run(main, network=Network(bandwidth=1000.0, buffer=1000))


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_a_reader_that_stopped_reading_is_given_up(connection: str) -> None:
    """SEC-28: but who takes nothing at all keeps no connection."""

    async def app(req: Any, res: Any) -> None:
        await res.end(b"x" * 12_000)

    async def main() -> None:
        server = http.create_server(app)
        await server.listen(80)
        wire = await sim.dial(80)
        await wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: %b\r\n\r\n" % connection.encode())
        await sim.sleep(80.0)
        assert not server.connections
        assert b"200 OK" in await wire.gone()

    sim.run(main, network=Network(buffer=1000))


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False),
        # Complete with its head, while the upload went on (world 1004570).
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
    ids=["with a body", "without a body"],
)
def test_a_failed_request_has_no_complete_answer(answer: bytes, complete: bool) -> None:
    """One outcome: after `error` was emitted nobody reads the answer to its end, though it is here (CLI-86)."""

    async def script(wire: sim.Wire) -> None:
        await wire.until()
        await wire.send(answer)
        await sim.sleep(100.0)

    async def main() -> None:
        sim.peer(80, script)
        async with http.Agent(keep_alive=True) as agent:
            req = http.request("http://10.0.0.1:80/", method="POST", agent=agent, timeout=3.0)
            errors: list[BaseException] = []
            req.on("error", errors.append)
            await req.flush_headers()
            res = await req.response()
            await sim.sleep(10.0)
            assert [type(error).__name__ for error in errors] == ["TimedOut"]
            assert (res.complete and not res.aborted) is complete
            with pytest.raises(TimeoutError):
                await res.read()
            agent.check_invariants()

    sim.run(main)


def test_a_debugging_agent_checks_its_books() -> None:
    """ASK-50."""

    class Debugging(http.Agent):
        debug = True

    async def script(wire: sim.Wire) -> None:
        while await wire.message():
            await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async def main() -> None:
        sim.peer(80, script)
        async with Debugging(keep_alive=True) as agent:
            await http.get("http://10.0.0.1:80/", agent=agent).response()
            agent._total += 1
            with pytest.raises(AssertionError, match="miscounted"):
                await http.get("http://10.0.0.1:80/", agent=agent).response()
            agent._total -= 1

    sim.run(main)
