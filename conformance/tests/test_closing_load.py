"""Closing under load (ASK-47), and with a full backlog: no case can connect while the application is busy."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from conformance.tests.closing_load import ON_SOCKETS, PATIENCE, Server, cycle

from anywire.conformance.backends import leave, resolve, settle
from anywire.conformance.running import _enter

WAITING = 20
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, pytest.param(True, marks=pytest.mark.long)], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "name", [ON_SOCKETS[0], *(pytest.param(each, marks=pytest.mark.long) for each in ON_SOCKETS[1:])]
)
def test_no_request_is_reset_while_a_server_closes_ASK_45_ASK_46_ASK_47(name: str, secure: bool) -> None:
    others = 2
    with Server(name, secure=secure) as server:
        counts, told = cycle(server, secure=secure, steadies=64, storms=8, others=others, grace=1.5)
    assert told["left"] == told["counted"] == 0
    assert told["at_close"] >= 64 + 4 * others
    kinds = ("late requests answered", "silent ones closed", "streams ended", "endless ones cut")
    assert {kind: counts[kind] for kind in kinds} == dict.fromkeys(kinds, others), counts
    assert counts["reset"] == counts["unanswered"] == counts["other"] == 0, counts
    # A client whose handshake is over between the last accept() and close() cannot be helped. It is rare.
    assert counts["refused"] + counts["not let in"] == 64 + 8, counts
    assert counts["not let in"] < 8, counts
    assert server.errors == []


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_who_waits_to_be_accepted_when_the_server_closes_is_answered_ASK_47(name: str) -> None:
    """Nothing suspends between their connecting and the close, so on a loop they are all in the backlog."""
    backend = resolve(name)
    peers: list[socket.socket] = []

    async def scenario() -> None:
        async def app(req: Any, res: Any) -> None:
            await settle(res.end("ok"))

        server = backend.http.create_server(backend.hook(app))
        await settle(_enter(server))
        await settle(server.listen(0, "127.0.0.1"))
        for each in range(WAITING):
            peers.append(socket.create_connection(server.address(), PATIENCE))
            if each:
                peers[-1].sendall(GET)
        await settle(server.close(grace=1.5))
        assert not server.get_connections()
        await settle(leave(server))

    try:
        backend.run(scenario)
        assert peers[0].recv(1) == b"", "a FIN for who asked for nothing"
        for peer in peers[1:]:
            data = b""
            while piece := peer.recv(4096):
                data += piece
            assert data.endswith(b"\r\n\r\nok")
    finally:
        for peer in peers:
            peer.close()
    assert backend.reports == []
