"""What one exchange costs, counted: calls, memory blocks, send calls, timers and tasks (ceilings in hot_path.toml).

Counts do not depend on the machine, so a slide is seen in review where a measurement would drown in noise. They are
about our code and the loop's: the peer is a plain socket in the same thread, told apart by its address.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import tomllib
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from anywire.asyncio import http

HERE = Path(__file__)
CEILINGS = tomllib.loads((HERE.parent / "hot_path.toml").read_text("utf-8"))
OURS = tracemalloc.Filter(True, "*/anywire/*")
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"Hello, World!\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" + BODY


class Costs:
    """Counts while it is entered; send calls of a socket bound to `peer` are not ours."""

    def __init__(self, peer: Any) -> None:
        self.counts: Counter[str] = Counter()
        self.called: list[str] = []
        self._peer = peer
        self._loop: Any = asyncio.get_running_loop()

    def __enter__(self) -> Costs:
        for name in ("call_at", "call_later"):
            setattr(self._loop, name, self._counted("timers", getattr(self._loop, name)))
        self._loop.create_task = self._counted("tasks", self._loop.create_task)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        for name in ("call_at", "call_later", "create_task"):
            delattr(self._loop, name)

    def _counted(self, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            self.counts[what] += 1
            return function(*args, **options)

        return counted

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and "/anywire/" in code.co_filename:
            self.counts["calls"] += 1
            self.called.append(f"{Path(code.co_filename).name}: {code.co_qualname}")
        elif event == "c_call" and getattr(argument, "__name__", "") in ("send", "sendmsg"):
            sock = argument.__self__
            if isinstance(sock, socket.socket) and sock.getsockname() != self._peer:
                self.counts["sends"] += 1


async def _received(peer: socket.socket, end: bytes) -> None:
    data = b""
    while not data.endswith(end):
        data += await asyncio.get_running_loop().sock_recv(peer, 65536)


async def _count(peer: Any, exchange: Callable[[], Awaitable[None]], during: list[Callable[[], None]]) -> Costs:
    """Run `exchange` warm, then once under each kind of counting."""
    for _ in range(3):
        await exchange()
    with Costs(peer) as costs:
        await exchange()
    tracemalloc.start()
    try:
        await exchange()
        before = tracemalloc.take_snapshot()
        after: list[tracemalloc.Snapshot] = []
        during.append(lambda: after.append(tracemalloc.take_snapshot()))
        await exchange()
        during.clear()
        both = (snapshot.filter_traces([OURS]).statistics("filename") for snapshot in (after[0], before))
        now, then = (sum(each.count for each in counted) for counted in both)
        costs.counts["blocks"] = now - then
    finally:
        tracemalloc.stop()
    return costs


def _judge(name: str, costs: Costs) -> None:
    over = {what: costs.counts[what] for what, most in CEILINGS[name].items() if costs.counts[what] > most}
    assert not over, f"{name}: {over}, more than {HERE.parent.name}/hot_path.toml allows:\n" + "\n".join(costs.called)
    assert costs.counts["sends"] == 1
    assert costs.counts["calls"], "nothing was counted"


@pytest.mark.only_asyncio
async def test_server(monkeypatch: pytest.MonkeyPatch) -> None:
    during: list[Callable[[], None]] = []

    async def handler(request: http.IncomingMessage, response: http.ServerResponse) -> None:
        response.set_header("Content-Type", "text/plain")
        for each in during:
            each()
        await response.end(BODY)

    loop = asyncio.get_running_loop()
    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        with socket.create_connection(address) as peer:
            peer.setblocking(False)

            async def exchange() -> None:
                await loop.sock_sendall(peer, REQUEST)
                await _received(peer, BODY)

            _judge("server", await _count(peer.getsockname(), exchange, during))


class _Peer(asyncio.Protocol):
    """Answers each packet."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(RESPONSE)


@pytest.mark.only_asyncio
async def test_client() -> None:
    during: list[Callable[[], None]] = []
    listener = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0)
    address = listener.sockets[0].getsockname()
    url = "http://{}:{}/".format(*address)
    async with listener, http.Agent(keep_alive=True) as agent:

        async def exchange() -> None:
            async with http.get(url, agent=agent) as response:
                for each in during:
                    each()
                assert await response.read() == BODY

        _judge("client", await _count(address, exchange, during))
