"""What the sim found, each with the shortest scenario that shows it."""

from __future__ import annotations

from typing import Any

from anywire.conformance import sim
from anywire.conformance.sim import http


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
