"""The client on trio, against servers of bytes."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any

import pytest
import trio
from trio_peers import OK, Wire, counts, peer, pool, serving, until, url_of

from anywire.core import ArgumentTypeError, ConnectError, ConnectionLost, TimedOut, TruncatedError
from anywire.trio import http


async def answer(wire: Wire) -> None:
    while True:
        await wire.message()
        await wire.send(OK)


async def test_requests_share_a_connection() -> None:
    """AGT-48: sequential requests use one connection."""
    async with peer(answer) as there, pool() as agent:
        for _ in range(3):
            async with http.get(there.url, agent=agent) as res:
                assert await res.read() == b"ok"
        assert len(there.wires) == 1
        assert counts(agent) == (0, 0, 1, 0)


async def test_awaiting_a_request_is_waiting_for_its_response() -> None:
    async with peer(answer) as there, pool() as agent:
        res = await http.get(there.url, agent=agent)
        assert (res.status_code, await res.read()) == (200, b"ok")


async def test_queued_requests_are_served_in_turn() -> None:
    """AGT-20: with one socket, one after the other."""
    got: list[int] = []
    async with peer(answer) as there, pool(max_sockets=1) as agent, trio.open_nursery() as nursery:

        async def one(number: int) -> None:
            async with http.get(there.url, agent=agent) as res:
                await res.read()
                got.append(number)

        for number in range(10):
            nursery.start_soon(one, number)
    assert sorted(got) == list(range(10))
    assert len(there.wires) == 1


async def test_a_pooled_connection_that_the_server_closed_is_not_handed_out() -> None:
    """AGT-61; nobody watches it, it is looked at when it is wanted."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)

    async with peer(script) as there, pool() as agent:
        for _ in range(3):
            async with http.get(there.url, agent=agent, replay=False) as res:
                assert await res.read() == b"ok"
            await until(lambda: there.wires[-1].sock.fileno() < 0)
        assert len(there.wires) == 3


async def test_upload_with_back_pressure() -> None:
    """RES-39, and no task of ours is left when it is over."""
    size = 64 << 20
    most = 0

    async def script(wire: Wire) -> None:
        assert len((await wire.message())[1]) == size
        await wire.send(OK)

    async with peer(script) as there, pool() as agent:
        req = http.request(there.url, method="PUT", agent=agent, headers={"Content-Length": size})
        for _ in range(size >> 16):
            assert await req.write(bytes(1 << 16))
            most = max(most, req.writable_length)
        await req.end()
        assert await (await req.response()).read() == b"ok"
        assert most < 16384


@pytest.mark.parametrize("then", ["close", "read nothing", "reset"])
async def test_an_early_answer_during_an_upload_is_heard(then: str) -> None:
    """ASK-28: 413 arrives with its body, whatever the server does with our bytes."""
    done = trio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.exactly(1)
        await wire.send(b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
        if then == "reset":
            wire.reset()  # what we sent before it is there, or the kernel throws it away with the rest
        elif then == "read nothing":
            await done.wait()

    async with peer(script) as there, pool() as agent:
        req = http.request(there.url, method="POST", agent=agent, headers={"Content-Length": 1 << 30})
        try:
            sent = 0
            while sent < 1 << 30 and await req.write(bytes(1 << 16)):
                sent += 1 << 16
            assert sent < 64 << 20
            async with req as res:
                assert (res.status_code, await res.read()) == (413, b"big")
        except ConnectionLost:
            assert then == "reset"
        done.set()


async def test_a_body_cut_short_by_a_reset_is_no_body_until_close() -> None:
    """Decision 18: never silently, also when it is our own send that meets the reset first."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart")
        await answered.wait()
        wire.reset()
        reset.set()

    answered, reset = trio.Event(), trio.Event()
    async with peer(script) as there, pool() as agent:
        req = http.request(there.url, method="POST", agent=agent)
        await req.write(b"x")
        res = await req.response()
        assert await res.read(4) == b"part"
        answered.set()
        await reset.wait()

        async def go_on() -> None:
            while await req.write(bytes(1 << 16)):
                pass
            await res.read()

        with pytest.raises(ConnectionLost):
            await go_on()


async def test_refused() -> None:
    """CLI-53."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with pool() as agent:
        with pytest.raises(ConnectError) as caught:
            await http.get(f"http://127.0.0.1:{port}/", agent=agent)
        assert (caught.value.code, caught.value.syscall, caught.value.port) == ("ECONNREFUSED", "connect", port)
        assert counts(agent) == (0, 0, 0, 0)


async def test_the_second_address_is_tried_when_the_first_refuses() -> None:
    """ASK-11."""
    async with peer(answer) as there, pool() as agent:

        async def lookup(host: str, options: Any) -> list[str]:
            await trio.lowlevel.checkpoint()
            return ["127.0.0.2", "127.0.0.1"] if host == "name" else []

        url = f"http://name:{there.port}/"
        with socket.create_server(("127.0.0.2", 0)):
            async with http.get(url, agent=agent, lookup=lookup) as res:
                assert await res.read() == b"ok"


async def test_a_black_hole_is_raced_after_250_ms(clock: Any) -> None:
    """RFC 8305 section 5: the next attempt starts without waiting for the first to fail."""
    with ExitStack() as sockets:
        listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listening.getsockname()[1]
        hole = sockets.enter_context(socket.socket())
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.3", port))
        hole.listen(0)
        for _ in range(3):  # then the accept queue is full, and the kernel drops what comes
            one = sockets.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.3", port))
        async with pool() as agent:
            req = http.get(f"http://name:{port}/", agent=agent, lookup=lambda *_: ["127.0.0.3", "127.0.0.1"])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_ignore, req)
                await trio.testing.wait_all_tasks_blocked(0.01)
                assert req.socket is None
                clock.jump(0.25)
                await until(lambda: req.socket is not None)
                nursery.cancel_scope.cancel()


async def _ignore(req: Any) -> None:
    await req.response()


async def test_deadlines(clock: Any) -> None:
    """A ``deadline`` ends a request wherever it is, on trio's clock."""
    silent = trio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await silent.wait()

    async with peer(script) as there, pool(max_sockets=1) as agent:
        start = trio.current_time()
        ended: list[tuple[str, str, float]] = []

        async def one(name: str, **options: Any) -> None:
            with pytest.raises(TimedOut) as caught:
                await http.get(there.url, agent=agent, **options)
            ended.append((name, str(caught.value.phase), trio.current_time() - start))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: one("first", deadline=10.0))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(lambda: one("queued", deadline=4.0))
            for _ in range(10):
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(1.0)
        assert ended == [("queued", "queue", 4.0), ("first", "head", 10.0)]
        assert counts(agent) == (0, 0, 0, 0)
        silent.set()


async def test_an_idle_timeout_within_a_body(clock: Any) -> None:
    silent = trio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await silent.wait()

    async with peer(script) as there, pool() as agent:
        async with http.get(there.url, agent=agent, timeout=2.0) as res:
            assert await res.read(4) == b"half"
            async with trio.open_nursery() as nursery:

                async def rest() -> None:
                    with pytest.raises(TimedOut):
                        await res.read()

                nursery.start_soon(rest)
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(2.1)
        silent.set()


async def test_destroy_wakes_whoever_waits() -> None:
    silent = trio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await silent.wait()

    async with peer(script) as there, pool() as agent, trio.open_nursery() as nursery:
        req = http.get(there.url, agent=agent)

        async def wait() -> None:
            with pytest.raises(ConnectionLost):
                await req.response()

        nursery.start_soon(wait)
        await until(lambda: there.wires)
        await trio.testing.wait_all_tasks_blocked()
        req.destroy()
        silent.set()


async def test_upgrade_gives_a_stream() -> None:
    """CLI-41: what follows is the caller's."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhead")
        await wire.send(await wire.exactly(1 << 22))
        assert await wire.gone() == b""

    async with peer(script) as there, pool() as agent:
        req = http.request(there.url, agent=agent, headers={"Connection": "upgrade", "Upgrade": "x"})
        message, stream, head = await req.upgraded()
        assert message.status_code == 101
        async with stream:
            got = bytearray(head)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send, bytes(1 << 22))
                while len(got) < (1 << 22) + 4:
                    got += await stream.receive()
            assert got == b"head" + bytes(1 << 22)
            await stream.send_eof()
            assert await stream.receive() == b""


async def test_a_raw_stream_that_is_idle_too_long_ends(clock: Any) -> None:
    done = trio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
        await done.wait()

    async with peer(script) as there, pool() as agent:
        req = http.request(there.url, agent=agent, headers={"Connection": "upgrade", "Upgrade": "x"})
        _, stream, _ = await req.upgraded()
        stream.set_timeout(3.0)
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                assert await stream.receive() == b""
                assert stream.destroyed

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            clock.jump(3.1)
        done.set()


async def test_create_connection() -> None:
    """AGT-31: a socket of the caller's."""
    async with peer(answer) as there:
        made: list[socket.socket] = []

        def create(options: Any) -> socket.socket:
            made.append(socket.create_connection((options["host"], options["port"])))
            return made[-1]

        async with pool(create_connection=create) as agent, http.get(there.url, agent=agent) as res:
            assert await res.read() == b"ok"
        async with pool(create_connection=lambda options: 1) as agent:
            with pytest.raises(ArgumentTypeError):
                await http.get(there.url, agent=agent)
        assert len(made) == 1


async def test_truncated() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    async with peer(script) as there, pool() as agent, http.get(there.url, agent=agent) as res:
        with pytest.raises(TruncatedError) as caught:
            await res.read()
        assert caught.value.partial == b"half"


def test_outside_of_trio() -> None:
    with pytest.raises(RuntimeError):
        http.get("http://127.0.0.1:1/")


def test_an_agent_outlives_a_run() -> None:
    """ASK-10: connections of a run that is over are of no use to the next."""
    agent = http.Agent(keep_alive=True)

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await res.end("ok")

    async def once() -> None:
        async with serving(app) as server:
            async with http.get(url_of(server), agent=agent) as res:
                assert await res.read() == b"ok"
            assert counts(agent) == (0, 0, 1, 0)

    for _ in range(3):
        trio.run(once)
    agent.destroy()  # outside of any run
    assert counts(agent) == (0, 0, 0, 0)
