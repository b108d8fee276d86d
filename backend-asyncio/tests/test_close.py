"""Ending a server: ``close``, ``grace``, ``serve_forever``, what is in flight and what is idle."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

import pytest
from asyncio_peers import GET, dial, port_of, serving, turns, until

from anywire.asyncio import http
from anywire.core import AnywireError, ConnectError, ConnectionLost, StateError

Request = http.IncomingMessage
Response = http.ServerResponse


async def hello(req: Request, res: Response) -> None:
    await res.end("hello")


async def test_what_is_in_flight_is_finished_and_says_close() -> None:
    """ASK-47, SRV-88 (a hazard there): the response is the last of its connection."""
    entered, proceed = asyncio.Event(), asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        entered.set()
        await proceed.wait()
        await res.end("late")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await entered.wait()
        closing = asyncio.ensure_future(server.close(grace=3600))
        await turns()
        assert not server.listening
        assert server.address() is None
        assert not closing.done()
        proceed.set()
        head, body = await wire.message()
        assert b"Connection: close\r\n" in head
        assert body == b"late"
        assert await wire.rest() == b""
        wire.close()
        await closing


async def test_a_late_request_on_an_idle_connection_is_answered() -> None:
    """ASK-47: it was on its way when close() was called."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        closing = asyncio.ensure_future(server.close(grace=3600))
        await turns()
        await wire.send(GET)
        head, body = await wire.message()
        assert b"Connection: close\r\n" in head
        assert body == b"hello"
        assert await wire.rest() == b""
        wire.close()
        await closing


async def test_a_request_on_a_connection_that_never_carried_one_is_answered_too() -> None:
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await until(lambda: server.connections)
        closing = asyncio.ensure_future(server.close(grace=3600))
        await turns()
        await wire.send(GET)
        assert b"Connection: close\r\n" in (await wire.message())[0]
        wire.close()
        await closing


@pytest.mark.slow
async def test_idle_connections_do_not_hold_up_a_close() -> None:
    """ASK-47: they get a moment, not the whole grace."""
    async with (
        serving(hello, keep_alive_timeout=3600.0) as server,
        dial(port_of(server)) as wire,
        dial(port_of(server)) as silent,
    ):
        await wire.send(GET)
        await wire.message()
        await until(lambda: len(server.connections) == 2)
        await server.close(grace=3600)
        assert not server.connections
        assert await wire.gone() == b""
        assert await silent.gone() == b""


async def test_no_grace_at_all() -> None:
    async with serving(hello, keep_alive_timeout=3600.0) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        await server.close(grace=0)
        assert await wire.gone() == b""


async def test_a_response_without_end_is_aborted_when_the_grace_is_over() -> None:
    """ASK-45."""
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: events.append("aborted"))
        try:
            while True:
                await res.write("tick\n")
                await asyncio.sleep(0.005)
        except ConnectionLost:
            events.append("lost")
            raise

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.head()
        await server.close(grace=0.05)
        assert not server.connections
        assert not (await wire.gone()).endswith(b"0\r\n\r\n")
    assert events == ["aborted", "lost"] or events == ["aborted"]


async def test_a_handler_that_waits_for_ever_is_cancelled_when_the_grace_is_over() -> None:
    cancelled: list[bool] = []

    async def app(req: Request, res: Response) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await until(lambda: server.connections)
        await turns()
        await server.close(grace=0.02)
        assert cancelled == [True]
        assert await wire.gone() == b""


async def test_cancelling_a_close_leaves_nothing() -> None:
    """ASK-12: the abort is what remains of a close that may not wait."""

    async def app(req: Request, res: Response) -> None:
        await asyncio.Event().wait()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await until(lambda: server.connections)
        await turns()
        closing = asyncio.ensure_future(server.close(grace=3600))
        await turns()
        closing.cancel()
        await asyncio.wait([closing])
        assert await wire.gone() == b""
        await until(lambda: not server.connections)


async def test_close_without_a_grace_waits_as_long_as_it_takes() -> None:
    """SRV-88, SRV-89, as Node: idle connections end with their own limit."""
    async with serving(hello, keep_alive_timeout=0.05) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        events: list[str] = []
        server.on("close", lambda: events.append("close"))
        await server.close(callback=lambda *args: events.append("callback"))
        assert sorted(events) == ["callback", "close"]
        assert await wire.gone() == b""


async def test_close_is_emitted_once_when_everything_is_gone() -> None:
    """SRV-89."""
    events: list[int] = []
    async with serving(hello) as server, dial(port_of(server)) as wire:
        server.on("close", lambda: events.append(len(server.connections)))
        await wire.send(GET)
        await wire.message()
        await server.close(grace=0)
        await turns()
        assert events == [0]


async def test_closing_twice() -> None:
    """SRV-90."""
    async with serving(hello) as server:
        await server.close(grace=0)
        with pytest.raises(StateError) as caught:
            await server.close(grace=0)
        assert caught.value.code == "ERR_SERVER_NOT_RUNNING"
        told: list[Any] = []
        await server.close(callback=told.append)
        assert [error.code for error in told] == ["ERR_SERVER_NOT_RUNNING"]


async def test_listening_again_after_a_close() -> None:
    """SRV-84."""
    async with serving(hello) as server:
        with pytest.raises(StateError) as caught:
            await server.listen(0)
        assert caught.value.code == "ERR_SERVER_ALREADY_LISTEN"
        await server.close(grace=0)
        heard: list[str] = []
        server.on("listening", lambda: heard.append("listening"))
        await server.listen(0, "127.0.0.1", callback=lambda: heard.append("callback"))
        assert sorted(heard) == ["callback", "listening"]  # SRV-81
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            head, body = await wire.message()
            assert body == b"hello"
            assert b"keep-alive" in head


async def test_a_port_in_use() -> None:
    """SRV-83: raised, and emitted if anybody listens."""
    emitted: list[Any] = []
    async with serving(hello) as server:
        other = http.create_server(hello)
        for _ in range(2):
            with pytest.raises(ConnectError) as caught:
                await other.listen(port_of(server), "127.0.0.1")
            error = caught.value
            assert (error.code, error.syscall, error.address, error.port) == (
                "EADDRINUSE",
                "listen",
                "127.0.0.1",
                port_of(server),
            )
            other.on("error", emitted.append)
        assert [error.code for error in emitted] == ["EADDRINUSE"]
        assert not other.listening


async def test_all_addresses() -> None:
    """SRV-76: without a host, IPv6 and IPv4 on one port."""
    async with http.create_server(hello) as server:
        server.grace = 0
        await server.listen()
        where = server.address()
        assert isinstance(where, tuple)
        host, port = where
        assert host in ("::", "0.0.0.0")
        for address in ("127.0.0.1", "::1") if host == "::" else ("127.0.0.1",):
            async with dial(port, host=address) as wire:
                await wire.send(GET)
                assert (await wire.message())[1] == b"hello"


async def test_serve_forever_needs_a_listening_server() -> None:
    with pytest.raises(StateError) as caught:
        await http.create_server(hello).serve_forever()
    assert caught.value.code == "ERR_SERVER_NOT_RUNNING"


async def test_serve_forever_returns_when_somebody_else_closes() -> None:
    async with serving(hello) as server:
        serving_task = asyncio.ensure_future(server.serve_forever())
        await turns()
        await server.close(grace=0)
        await serving_task


async def test_under_load_no_accepted_request_is_reset() -> None:
    """ASK-47: clients that send one request after the other while the server closes."""

    async def app(req: Request, res: Response) -> None:
        await asyncio.sleep(0)
        await res.end("x")

    outcomes: list[str] = []

    async def client(port: int) -> None:
        async with dial(port) as wire:
            while True:
                await wire.send(GET)
                try:
                    head, _ = await wire.message()
                except (AnywireError, ConnectionError, asyncio.IncompleteReadError) as error:
                    outcomes.append(repr(error))
                    return
                if b"Connection: close" in head:
                    outcomes.append("told")
                    return

    async with serving(app) as server:
        clients = [asyncio.ensure_future(client(port_of(server))) for _ in range(20)]
        await until(lambda: len(server.connections) == 20)
        await turns(50)
        await server.close(grace=3600)
        await asyncio.gather(*clients)
    assert outcomes == ["told"] * 20


async def test_connection_counts_stay_true() -> None:
    """ASK-46: after a mix of closes by either side."""
    async with serving(hello) as server:
        for how in ("client close", "client reset", "server close", "malformed", "idle") * 3:
            async with dial(port_of(server)) as wire:
                if how == "malformed":
                    await wire.send(b"x\r\n\r\n")
                    await wire.rest()
                elif how == "server close":
                    await wire.send(b"GET / HTTP/1.0\r\n\r\n")
                    await wire.rest()
                elif how != "idle":
                    await wire.send(GET)
                    await wire.message()
                    (wire.reset if how == "client reset" else wire.close)()
        await until(lambda: server.get_connections() == 0)


@pytest.mark.parametrize("how", ["destroyed", "cancelled"])
async def test_a_connection_that_ends_before_its_task_has_begun(how: str) -> None:
    """ASK-46: nothing is left of it, and the server does not wait for it."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    reported: list[Any] = []
    loop.set_exception_handler(lambda loop, context: reported.append(context))
    with theirs:
        async with serving(hello) as server:
            server.emit("connection", ours)
            (connection,) = server.connections
            if how == "destroyed":
                server.close_all_connections()
            else:
                assert connection.cancel is not None
                connection.cancel()
            await until(lambda: not server.connections)
            assert await loop.sock_recv(theirs, 1) == b""
            await server.close(grace=3600)
    assert ours.fileno() == -1
    del connection
    gc.collect()
    assert reported == []


async def test_a_connection_that_is_dropped() -> None:
    """SRV-46, SRV-L7: and still it is known whose it was."""
    dropped: list[Any] = []
    async with serving(hello, max_connections=1) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        server.on("drop", dropped.append)
        async with dial(port_of(server)) as second:
            assert await second.gone() == b""
    assert dropped[0].local_port > 0
    assert dropped[0].remote_address == "127.0.0.1"
