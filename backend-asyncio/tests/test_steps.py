"""Exchanges that are begun in the callback that brought them: to a handler it is its connection's task all the same.

A backend's own tests: nobody else has tasks whose steps it takes itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from asyncio_peers import dial, port_of, until

from anywire.asyncio import http

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Handler = Callable[[http.IncomingMessage, http.ServerResponse], Coroutine[Any, Any, None]]
seen: ContextVar[str] = ContextVar("seen", default="nothing")


async def asked(handler: Handler, times: int = 1) -> list[bytes]:
    """The bodies of so many answers on one connection, each asked for when the server waits."""
    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as wire:
            await until(lambda: any(each.pump._step for each in server.connections))  # type: ignore[attr-defined]
            bodies = []
            for _ in range(times):
                await wire.send(GET)
                bodies.append((await wire.message())[1])
            return bodies


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
async def test_the_task_is_the_connections(waits: bool) -> None:
    tasks: list[Any] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        tasks.append(asyncio.current_task())
        if waits:
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
        await res.end("x")

    assert await asked(handler, 3) == [b"x"] * 3
    assert None not in tasks
    assert len(set(tasks)) == 1


async def test_nobody_is_woken_for_an_exchange_that_waits_for_nothing() -> None:
    woken: list[Any] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        pump: Any = res._connection.pump
        woken.append(pump._loop.loop is asyncio.get_running_loop() and pump._said)
        await res.end("x")

    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as wire:
            await until(lambda: any(each.pump._step for each in server.connections))  # type: ignore[attr-defined]
            (connection,) = server.connections
            pump: Any = connection.pump
            parked = pump._parked
            for _ in range(3):
                await wire.send(GET)
                await wire.message()
            assert pump._parked is parked
            assert not parked.done()
    assert woken == [None] * 3


async def test_a_timeout_around_what_is_begun_so_strikes() -> None:
    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        try:
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        except TimeoutError:
            await res.end("late")

    assert await asked(handler, 2) == [b"late"] * 2


async def test_who_cancels_its_own_task_hears_of_it_where_it_waits() -> None:
    heard: list[str] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel("enough")
        heard.append("not yet")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as error:
            heard.extend((str(error), str(task.cancelling())))
            task.uncancel()
        await res.end("x")

    assert await asked(handler, 2) == [b"x"] * 2
    assert heard == ["not yet", "enough", "1"] * 2


async def test_what_a_connection_listener_sets_its_handlers_see() -> None:
    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        before = seen.get()
        seen.set("by an exchange")
        await res.end(before)

    async with http.create_server(handler) as server:
        server.on("connection", lambda socket: seen.set("by the connection"))
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as wire:
            await until(lambda: any(each.pump._step for each in server.connections))  # type: ignore[attr-defined]
            for _ in range(2):
                await wire.send(GET)
                assert (await wire.message())[1] == b"by the connection"
    assert seen.get() == "nothing"


async def test_a_handler_that_ends_its_task_ends_the_connection() -> None:
    """As in any other task, and nothing else."""

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        raise asyncio.CancelledError

    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))
    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as wire:
            await until(lambda: any(each.pump._step for each in server.connections))  # type: ignore[attr-defined]
            await wire.send(GET)
            assert await wire.gone() == b""
        await until(lambda: not server.connections)
    assert reported == []


async def test_input_for_another_reader_wakes_it_while_the_server_waits() -> None:
    """The handler has returned, and a task of its own reads the body."""
    tasks: list[asyncio.Task[None]] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        async def answer() -> None:
            await res.end(await req.read())

        tasks.append(asyncio.create_task(answer()))

    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as wire:
            await wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
            await until(lambda: bool(tasks))
            await until(lambda: all(each.pump._waiting for each in server.connections))  # type: ignore[attr-defined]
            await wire.send(b"cd")
            assert (await wire.message())[1] == b"abcd"
    await asyncio.gather(*tasks)


# ---------------------------------------------------------------- several in one turn


class Sends:
    """A socket that notes what its pump sends, with those of others."""

    def __init__(self, sock: Any, log: list[tuple[Any, bytes]]) -> None:
        self.sock = sock
        self.log = log

    def send(self, data: bytes) -> int:
        self.log.append((self.sock, bytes(data)))
        return self.sock.send(data)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("ends_with", ["end", "destroy", "half a response"])
async def test_what_is_answered_in_one_turn_is_sent_behind_all_of_it(ends_with: str) -> None:
    log: list[Any] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        log.append("handler")
        res.write_nowait("a")
        if ends_with != "half a response":
            res.end_nowait("b")
        if ends_with != "end":
            req.socket.destroy()

    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as one, dial(port_of(server)) as two:
            await until(lambda: sum(bool(each.pump._step) for each in server.connections) == 2)  # type: ignore[attr-defined]
            for connection in server.connections:
                pump: Any = connection.pump
                pump.sock = Sends(pump.sock, log)
            for wire in one, two:
                wire.writer.write(GET)
            for wire in one, two:
                if ends_with == "end":
                    assert (await wire.message())[1] == b"ab"
                else:
                    assert b"\r\n\r\n1\r\na\r\n" in await wire.gone()
    if ends_with == "end":  # both were ready when the server looked, so both are served before anything is sent
        assert [each for each in log if each == "handler"] == log[:2]
        assert len(log) == 4  # and each answer is one send, though it was written in two


async def test_a_reader_that_stalls_blocks_who_writes_in_such_a_turn_too() -> None:
    said: list[bool] = []

    async def handler(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        while res.write_nowait(bytes(10_000)):
            said.append(True)
        await res.end()

    async with http.create_server(handler) as server:
        await server.listen(0, "127.0.0.1")
        async with dial(port_of(server)) as one, dial(port_of(server)) as two:
            await until(lambda: sum(bool(each.pump._step) for each in server.connections) == 2)  # type: ignore[attr-defined]
            for wire in one, two:
                wire.writer.write(GET)
            for wire in one, two:
                assert len((await wire.message())[1]) > 10_000
    assert said
