"""What a server does when it has no descriptors left (ASK-44, ASK-48): no case can take them away, so a process does.

This file is that process, too. It gives itself a few descriptors, serves, and tells on its standard
output what happened. Nothing here depends on time: the pause in which nobody is let in is made so
long that it never ends by itself.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter
from anywire.core.facade import SocketRuntime, _door

ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]
pytestmark = pytest.mark.slow

PATIENCE = 20.0
ROOM = 20
"""Descriptors left when it serves."""
CLIENTS = 40
ASKED = 300
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def child(name: str) -> None:
    _door.PAUSE = 3600.0  # type: ignore[misc]
    backend = resolve(name)
    accepts = [0]
    accept = SocketRuntime.accept

    def counting(self: Any, listener: Any) -> Any:
        accepts[0] += 1
        return accept(self, listener)

    SocketRuntime.accept = counting  # type: ignore[method-assign]

    async def scenario() -> None:
        async def app(req: Any, res: Any) -> None:
            await settle(res.end(await settle(req.read())))

        def listening() -> None:
            for line in sys.stdin:
                if line == "count\n":
                    say(accepts=accepts[0], reports=list(backend.reports))
                else:
                    over.set()

        over = backend.flag()
        server = backend.http.create_server(backend.hook(app))
        await settle(_enter(server))
        await settle(server.listen(0, "127.0.0.1"))
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + ROOM, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        threading.Thread(target=listening, daemon=True).start()
        say(port=server.address()[1])
        await settle(over.wait())
        await settle(server.close(grace=5.0))
        await settle(leave(server))
        say(left=server.get_connections(), reports=list(backend.reports))

    backend.run(scenario)


def say(**told: Any) -> None:
    sys.stdout.write(f"{json.dumps(told)}\n")
    sys.stdout.flush()


class Child:
    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())


@pytest.fixture(params=ON_SOCKETS)
def process(request: pytest.FixtureRequest) -> Iterator[Child]:
    made = Child(request.param)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()
        for pipe in (made.process.stdin, made.process.stdout):
            assert pipe is not None
            pipe.close()


def connect(port: int) -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), PATIENCE)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return peer


def ask(peer: socket.socket) -> bytes:
    """One exchange, with a body that comes late, so that the handler has to wait for it."""
    peer.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n")
    peer.sendall(b"ok")
    data = b""
    while not data.endswith(b"\r\n\r\nok"):
        piece = peer.recv(4096)
        assert piece, data
        data += piece
    return data


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_a_server_without_descriptors_serves_those_it_has_and_lets_others_in_as_they_go(process: Child) -> None:
    port = process.hear()["port"]
    peers = [connect(port) for _ in range(CLIENTS)]
    try:
        for peer in peers:
            peer.sendall(GET)
        served = [peer for peer in peers[:8] if peer.recv(4096)]
        assert len(served) == 8
        while not (before := process.ask("count"))["reports"]:
            ask(served[0])
        # The listening socket is readable all the time, and somebody is served beside it: nobody looks again and again.
        for _ in range(ASKED):
            ask(served[1])
        after = process.ask("count")
        assert after["accepts"] - before["accepts"] < 3
        # Who goes makes room, at once, for one who waits.
        for peer in peers[:8]:
            peer.close()
        for peer in peers[8:]:
            assert peer.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
            peer.close()
        with connect(port) as peer:
            ask(peer)
        assert process.ask("count")["accepts"] < ASKED, "one look, or two, for each that came or went"
    finally:
        for peer in peers:
            peer.close()
    told = process.ask("close")
    assert told["left"] == 0
    assert len(told["reports"]) == 1, told["reports"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
def test_a_server_without_descriptors_closes_as_others_do(process: Child) -> None:
    """ASK-47: with every descriptor taken."""
    port = process.hear()["port"]
    peers = [connect(port) for _ in range(CLIENTS)]
    try:
        peers[0].sendall(GET)
        assert peers[0].recv(4096)
        while not process.ask("count")["reports"]:
            ask(peers[0])
        assert process.process.stdin is not None
        process.process.stdin.write("close\n")
        process.process.stdin.flush()
        for peer in peers[:2]:
            while b"Connection: close\r\n" not in ask(peer):
                pass
            assert peer.recv(4096) == b""
        for peer in peers:
            peer.close()
        told = process.hear()
    finally:
        for peer in peers:
            peer.close()
    assert told["left"] == 0
    assert len(told["reports"]) == 1, told["reports"]


if __name__ == "__main__":
    child(sys.argv[1])
