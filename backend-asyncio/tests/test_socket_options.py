"""Names of Node that reach the socket, and the cancellation option."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from asyncio_peers import OK, Wire, peer, pool, until

from anywire.asyncio import http
from anywire.core import ConnectionLost, Emitter


async def answer(wire: Wire) -> None:
    while True:
        await wire.message()
        await wire.send(OK)


def option(res: Any, level: int, name: int) -> int:
    sock = res.socket.connection.pump.info("socket")
    return int(sock.getsockopt(level, name))


async def test_socket_options_before_there_is_a_socket() -> None:
    """CLI-24: applied once the socket is assigned and connected."""
    async with peer(answer) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        req.set_no_delay(False)
        req.set_socket_keep_alive(False)
        async with req as res:
            assert option(res, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
            assert option(res, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
            await res.read()


async def test_socket_options_on_a_socket() -> None:
    """CLI-24; probes are on by default (ASK-22), and so is TCP_NODELAY (ASK-54)."""
    async with peer(answer) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        assert option(res, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert option(res, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        res.req.set_socket_keep_alive(True, 7.0)
        assert option(res, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        await res.read()


class Signal(Emitter):
    aborted = False


async def test_a_signal_destroys_the_request() -> None:
    """MOD-L2."""
    signal = Signal()

    async def silent(wire: Wire) -> None:
        await wire.gone()

    async with peer(silent) as server, pool() as agent:
        req = http.get(server.url, agent=agent, signal=signal)
        await req.end()
        await until(lambda: server.wires)
        signal.emit("abort")
        with pytest.raises(ConnectionLost):
            await req.response()


async def test_a_signal_that_was_given_already() -> None:
    """MOD-L2: the request never takes a place in the agent."""
    signal = Signal()
    signal.aborted = True
    async with pool() as agent:
        req = http.get("http://127.0.0.1:1/", agent=agent, signal=signal)
        assert agent.sockets == {} and agent.requests == {}
        with pytest.raises(ConnectionLost):
            await req.response()


async def test_pause_ends_a_resume() -> None:
    """MSG-23: what a paused message has left is still there."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
        await wire.gone()

    async with peer(script) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        seen: list[bytes] = []

        def once(chunk: bytes) -> None:
            seen.append(chunk)
            res.pause()

        res.on("data", once)
        await res.resume()
        assert (seen, res.is_paused()) == ([b"a"], True)
        assert await res.read() == b"b"


async def test_ref_and_unref_are_there() -> None:
    """SRV-92."""
    server = http.create_server()
    assert server.ref() is server and server.unref() is server


async def test_upgraded_closes_the_request_once() -> None:
    """CLI-42: the request's close follows, whoever takes the socket."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhead")
        await wire.gone()

    closed: list[str] = []
    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent, headers={"Connection": "upgrade", "Upgrade": "x"})
        req.on("close", lambda: closed.append("close"))
        message, stream, head = await req.upgraded()
        assert (message.status_code, head, closed) == (101, b"head", ["close"])
        stream.destroy()
