"""The events of the transport, ``readable``, and a response that changes its socket."""

from __future__ import annotations

from typing import Any

import pytest
from asyncio_peers import OK, Wire, peer, pool, until

from anywire.asyncio import http
from anywire.core import StateError


async def answer(wire: Wire) -> None:
    while True:
        await wire.message()
        await wire.send(OK)


async def test_free_and_close_of_a_pooled_socket() -> None:
    """AGT-46, AGT-61: free when it goes back, close when it dies; each once."""
    seen: list[str] = []
    async with peer(answer) as server, pool() as agent:
        async with http.get(server.url, agent=agent) as res:
            for event in ("free", "close", "agent_remove"):
                res.socket.on(event, lambda event=event: seen.append(event))
            await res.read()
        assert seen == ["free"]
        agent.destroy()
        await until(lambda: len(seen) > 1)
        assert seen == ["free", "close"]


async def test_agent_remove_takes_the_socket_from_its_agent() -> None:
    """AGT-70, AGT-72: a queued request gets the place at once."""
    async with peer(answer) as server, pool(max_sockets=1) as agent:
        first = http.get(server.url, agent=agent)
        second = http.get(server.url, agent=agent)
        await first.end()
        assert agent.total_stats().queued == 1
        socket = first.socket
        socket.emit("agent_remove")
        assert agent.total_stats().queued == 0
        for each in (first, second):
            async with each as res:
                assert await res.read() == b"ok"
        assert first.socket is not second.socket
        assert not socket.destroyed  # it belongs to the user now
        socket.destroy()


async def test_agent_remove_of_a_pooled_socket() -> None:
    """AGT-69: it leaves the pool and stays open."""
    async with peer(answer) as server, pool() as agent:
        async with http.get(server.url, agent=agent) as res:
            await res.read()
        assert agent.total_stats().idle == 1
        res.socket.emit("agent_remove")
        assert agent.total_stats().idle == 0
        assert not res.socket.destroyed
        res.socket.destroy()


async def test_timeout_of_the_socket() -> None:
    """AGT-66: the socket says so too."""

    async def silent(wire: Wire) -> None:
        await wire.gone()

    seen: list[str] = []
    async with peer(silent) as server, pool() as agent:
        req = http.get(server.url, agent=agent, timeout=0.05)

        def struck() -> None:
            seen.append("request")
            req.destroy()

        req.on("timeout", struck)
        req.on("socket", lambda socket: socket.on("timeout", lambda: seen.append("socket")))
        with pytest.raises(ConnectionError):
            await req.response()
        assert seen == ["socket", "request"]


async def test_readable_when_nobody_waits() -> None:
    """MSG-23: readable, then read_nowait."""
    got: list[Any] = []

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        req.on("readable", lambda: got.append(req.read_nowait()))
        await until(lambda: got)
        await res.end()

    async with http.create_server(app) as server:
        server.grace = 0.0
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        async with pool() as agent:
            req = http.request(f"http://127.0.0.1:{address[1]}/", method="POST", agent=agent)
            await req.flush_headers()
            await until(lambda: server.connections and next(iter(server.connections)).message is not None)
            await req.write(b"piece")
            await req.end()
            async with req as res:
                await res.read()
    assert got[0] == b"piece"


async def test_assign_and_detach_socket() -> None:
    """RES-77: a response without a socket keeps what is written; a socket has one response."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        socket = req.socket
        other = type(res)(req)
        with pytest.raises(StateError) as caught:
            other.assign_socket(socket)
        assert caught.value.code == "ERR_INTERNAL_ASSERTION"
        res.detach_socket(socket)
        res.write_nowait(b"kept ")
        res.assign_socket(socket)
        await res.end(b"and sent")

    async with http.create_server(app) as server:
        server.grace = 0.0
        await server.listen(0, "127.0.0.1")
        address = server.address()
        assert isinstance(address, tuple)
        async with pool() as agent, http.get(f"http://127.0.0.1:{address[1]}/", agent=agent) as res:
            assert await res.read() == b"kept and sent"
