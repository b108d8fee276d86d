"""How long the queue of a listening socket is (SRV-80): no byte and no event tells, only the kernel does."""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance import sim
from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter

ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]
SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
MOST_WAITING = 28
"""Where Linux has it in the ``TCP_INFO`` of a listening socket."""


def longest_queue(address: Any) -> int:
    """The backlog of the socket of this process that listens there."""
    for fd in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(fd)))
        except OSError:
            continue  # no socket
        with sock:
            if sock.family != socket.AF_INET or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                continue
            if sock.getsockname() == address:
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, MOST_WAITING + 4)
                return int(struct.unpack_from("I", info, MOST_WAITING)[0])
    raise AssertionError(f"nothing listens on {address}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux")
@pytest.mark.parametrize("name", ON_SOCKETS)
@pytest.mark.parametrize(("given", "expected"), [({}, 511), ({"backlog": 5}, 5)])
def test_a_server_waits_for_as_many_as_node_does_SRV_80(name: str, given: dict[str, Any], expected: int) -> None:
    backend = resolve(name)

    async def scenario() -> int:
        server = backend.http.create_server()
        await settle(_enter(server))
        try:
            await settle(server.listen(0, "127.0.0.1", **given))
            return longest_queue(server.address())
        finally:
            await settle(leave(server))

    assert backend.run(scenario) == min(expected, int(SOMAXCONN.read_text()))


@pytest.mark.parametrize(("given", "expected"), [({}, 511), ({"backlog": 5}, 5)])
def test_so_does_one_in_the_sim_SRV_80(given: dict[str, Any], expected: int) -> None:
    network = sim.Network()
    asked: list[int] = []
    listen = network.listen

    def noting(name: Any, backlog: int = 0) -> Any:
        asked.append(backlog)
        return listen(name, backlog)

    network.listen = noting  # type: ignore[method-assign]

    async def main() -> None:
        async with sim.http.create_server() as server:
            await server.listen(0, "127.0.0.1", **given)

    sim.run(main, network=network)
    assert asked == [expected]
