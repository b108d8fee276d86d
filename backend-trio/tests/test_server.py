"""The server on trio, against clients of bytes."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_peers import GET, Certificates, dial, pool, port_of, quiet, serving, until, url_of

from anywire.core import ConnectError, ConnectionLost
from anywire.trio import http
from anywire.trio._clock import Clock


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200, {"Content-Type": "text/plain"})
    await res.end("hello")


async def echo(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200)
    async for chunk in req:
        await res.write(chunk)
    await res.end()


async def test_keep_alive_serves_one_request_after_the_other() -> None:
    async with serving(hello) as server, dial(port_of(server)) as wire:
        for _ in range(3):
            await wire.send(GET)
            assert (await wire.message())[1] == b"hello"
        assert len(server.connections) == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    """SRV-11: the order of the responses is that of the requests."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await quiet()
        await res.end(req.url)

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % n for n in range(5)))
        assert [(await wire.message())[1] for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


@pytest.mark.parametrize("checkpoint", [True, False])
async def test_a_request_that_came_while_others_ran_is_not_polled_for(
    checkpoint: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only trio's: a wait for the poller costs as much as a small exchange. Who never lets others run has to wait."""
    waits: list[socket.socket] = []

    async def counted(sock: Any) -> None:
        waits.append(sock)
        await trio.lowlevel.wait_readable(sock)

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        served.append(req)
        if len(served) < 5:
            peer.sendall(GET)
        if checkpoint:
            await res.end("x")
        else:
            res.end_nowait("x")

    served: list[http.IncomingMessage] = []
    async with serving(app) as server:
        with socket.create_connection(("127.0.0.1", port_of(server))) as peer:
            monkeypatch.setattr("anywire.trio._pump.wait_readable", counted)
            peer.sendall(GET)
            await until(lambda: len(served) == 5 and len(waits) == (2 if checkpoint else 6))


async def test_a_handler_that_raises_is_reported_and_answered(reports: list[logging.LogRecord]) -> None:
    """SRV-10."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        raise ValueError("mine")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        assert (await wire.head()).startswith(b"HTTP/1.1 500 ")
    (record,) = reports
    assert record.exc_info is not None and repr(record.exc_info[1]) == "ValueError('mine')"


async def test_back_pressure_bounds_what_we_hold_of_a_response_nobody_reads() -> None:
    """RES-39: ``write`` returns once the queue is below its high-water mark."""
    written = 0
    most = 0

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        nonlocal written, most
        res.write_head(200)
        for _ in range(1024):
            await res.write(bytes(65536))
            written += 65536
            most = max(most, res.writable_length)
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await until(lambda: written)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert written < 32 << 20, "the handler is stuck, for nobody reads"
        _, body = await wire.message()
        assert len(body) == 64 << 20
        assert most < 16384, "nothing is left over once write() has returned"


@pytest.mark.parametrize("watched", [False, True])
async def test_what_a_handler_does_not_read_is_not_taken_in(watched: bool) -> None:
    """Read-ahead is bounded (``max_buffered``), also when somebody listens for the client's end."""
    proceed = trio.Event()
    size = 64 << 20

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        if watched:
            req.on("aborted", lambda: None)
        assert await req.read(1)
        await proceed.wait()
        got = 1
        async for chunk in req:
            got += len(chunk)
        await res.end(str(got))

    async with serving(app) as server, dial(port_of(server)) as wire:
        sent = 0

        async def send() -> None:
            nonlocal sent
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size)
            while sent < size:
                await wire.send(bytes(1 << 16))
                sent += 1 << 16

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await until(lambda: sent)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert sent < size
            (connection,) = server.connections
            assert connection._parser.buffered <= 2 * 65536
            proceed.set()
            assert (await wire.message())[1] == b"%d" % size


async def test_a_slow_reader_is_written_to_by_no_lasting_task() -> None:
    async with serving(echo, max_drain=1 << 30) as server, dial(port_of(server)) as wire:
        body = os.urandom(8 << 20)

        async def send() -> None:
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body))
            for at in range(0, len(body), 1 << 20):
                await wire.send(body[at : at + (1 << 20)])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert (await wire.message())[1] == body
        await quiet()
        before = trio.lowlevel.current_statistics().tasks_living
        await wire.send(GET)
        await wire.message()
        assert trio.lowlevel.current_statistics().tasks_living == before


@pytest.mark.parametrize("event", ["aborted", "close"])
@pytest.mark.parametrize("end", ["eof", "reset"])
async def test_a_client_that_goes_away_is_noticed_while_the_handler_waits_elsewhere(event: str, end: str) -> None:
    """SRV-25, SRV-27: no byte is waited for, no time passes."""
    heard = trio.Event()
    entered = trio.Event()
    ended = trio.Event()

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        (req if event == "aborted" else res).on(event, heard.set)
        entered.set()
        await heard.wait()
        assert res.destroyed
        with pytest.raises(ConnectionLost):
            await res.write("x")
        ended.set()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await entered.wait()
        getattr(wire, end)()
        await ended.wait()
        await until(lambda: not server.connections)


async def test_without_listeners_there_is_one_task_per_connection_and_none_per_request() -> None:
    entered, proceed = trio.Event(), trio.Event()

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        await proceed.wait()
        await res.end()

    async with serving(app) as server:
        await quiet()
        before = trio.lowlevel.current_statistics().tasks_living
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            await entered.wait()
            await quiet()
            assert trio.lowlevel.current_statistics().tasks_living == before + 1
            proceed.set()
            await wire.message()


async def test_keep_alive_requests_arm_no_timer_and_start_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design section 6: the deadline that is armed strikes early and is put off; nothing is armed per request."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await res.end(b"ok")

    async with serving(app) as server, dial(port_of(server)) as wire, http.Agent(keep_alive=True) as agent:
        url = f"http://127.0.0.1:{port_of(server)}/"

        async def both() -> None:
            await wire.send(GET)
            await wire.message()
            async with http.get(url, agent=agent) as res:
                await res.read()

        await both()
        armed: list[float] = []
        arm = Clock.arm

        def noted(self: Clock, when: float, *rest: Any) -> Any:
            armed.append(when)
            return arm(self, when, *rest)

        monkeypatch.setattr(Clock, "arm", noted)
        await quiet()
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(20):
            await both()
        await quiet()
        assert armed == []
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_a_handler_may_read_in_one_task_and_write_in_another() -> None:
    """Both park on one pump; the one that does not poll is woken all the same."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        res.write_head(200)
        got = bytearray()

        async def read() -> None:
            async for chunk in req:
                got.extend(chunk)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for _ in range(128):
                await res.write(bytes(65536))
        await res.end(len(got).to_bytes(8, "big"))

    async with serving(app) as server, dial(port_of(server)) as wire:
        body = bytes(1 << 16)

        async def send() -> None:
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (len(body) * 64))
            for _ in range(64):
                await wire.send(body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            _, got = await wire.message()
        assert len(got) == 128 * 65536 + 8
        assert int.from_bytes(got[-8:], "big") == len(body) * 64


async def test_the_waiter_behind_a_cancelled_one_polls_on() -> None:
    """The reader of two parked tasks is cancelled: the other takes over the descriptor."""
    got: list[bytes] = []
    waiting = trio.Event()

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        scope = trio.CancelScope()

        async def first() -> None:
            with scope:
                await req.read(1)

        async def second() -> None:
            got.append(await req.read(1))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            waiting.set()
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n")
        await waiting.wait()
        await wire.send(b"x")
        await wire.head()
    assert got == [b"x"]


# -------------------------------------------------------------------- where it listens


async def test_all_addresses_are_dual_stack() -> None:
    """SRV-76."""
    async with http.create_server(hello) as server:
        await server.listen(0)
        port = port_of(server)
        for host in ["127.0.0.1", "::1"] if socket.has_dualstack_ipv6() else ["127.0.0.1"]:
            async with http.get({"host": host, "port": port}) as res:
                assert await res.read() == b"hello"


async def test_a_unix_socket_is_removed_on_close_and_an_existing_file_is_an_error() -> None:
    """SRV-75, SRV-86."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "s")
        async with http.create_server(hello) as server:
            await server.listen(path)
            assert server.address() == path
            async with dial(path=path) as wire:
                await wire.send(GET)
                assert (await wire.message())[1] == b"hello"
            async with http.get({"socket_path": path}) as res:
                assert await res.read() == b"hello"
            async with http.create_server(hello) as other:
                with pytest.raises(ConnectError) as caught:
                    await other.listen(path=path)
            assert caught.value.code == "EADDRINUSE"
        assert "s" not in os.listdir(folder)


async def test_a_descriptor_or_a_socket_that_is_bound_already() -> None:
    """SRV-75."""
    for by in ("fd", "sock"):
        bound = socket.create_server(("127.0.0.1", 0))
        given: Any = bound.detach() if by == "fd" else bound
        async with http.create_server(hello) as server:
            await server.listen(**{by: given})
            async with dial(port_of(server)) as wire:
                await wire.send(GET)
                assert (await wire.message())[1] == b"hello"


async def test_listen_again_after_close() -> None:
    async with http.create_server(hello) as server:
        for _ in range(2):
            await server.listen(0, "127.0.0.1")
            async with http.get(url_of(server)) as res:
                assert await res.read() == b"hello"
            await server.close(grace=1.0)
            assert not server.listening


# -------------------------------------------------------------------- structure


async def test_a_server_without_async_with_ends_with_close() -> None:
    server = http.create_server(hello)
    await server.listen(0, "127.0.0.1")
    async with pool() as agent:
        async with http.get(url_of(server), agent=agent) as res:
            assert await res.read() == b"hello"
        await server.close(grace=0.0)
    assert not server.connections


async def test_what_the_block_raises_comes_out_as_it_was() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serving(hello):
            raise KeyError("mine")


async def test_what_a_handler_raises_that_is_no_exception_ends_the_block() -> None:
    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        raise SystemExit(3)

    async def main() -> None:
        async with serving(app) as server, dial(port_of(server)) as wire:
            await wire.send(GET)
            await server.serve_forever()

    with pytest.raises(SystemExit):
        await main()


async def test_cancelling_the_block_ends_connections_and_handlers_at_once() -> None:
    entered = trio.Event()
    ended: list[str] = []

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append("handler")

    servers: list[Any] = []
    ports: list[int] = []

    async def main() -> None:
        async with http.create_server(app) as server:
            servers.append(server)
            await server.listen(0, "127.0.0.1")
            ports.append(port_of(server))
            await server.serve_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(main)
        await until(lambda: ports)
        async with dial(ports[0]) as wire:
            await wire.send(GET)
            await entered.wait()
            nursery.cancel_scope.cancel()
    assert ended == ["handler"]
    assert not servers[0].connections and not servers[0].listening


async def test_close_with_grace_cancels_the_handler_that_does_not_end(clock: Any) -> None:
    """ASK-47: what is left after the grace is cut off, and nothing outlives close()."""
    entered = trio.Event()
    ended: list[float] = []

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await entered.wait()
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close, 5.0)
            for seconds in (1.0, 3.0, 0.5):
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(seconds)
            await trio.testing.wait_all_tasks_blocked()
            assert ended == []
            clock.jump(0.5)
        assert ended == [start + 5.0]
        assert await wire.gone() == b""


async def test_close_lets_an_exchange_finish_and_says_that_it_is_the_last() -> None:
    """SRV-88."""
    entered, proceed = trio.Event(), trio.Event()

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        await proceed.wait()
        await res.end("late")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await entered.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.close, 10.0)
            await quiet()
            proceed.set()
            head, body = await wire.message()
            assert b"Connection: close" in head and body == b"late"
            wire.eof()


# -------------------------------------------------------------------- time, on a clock that stands still


async def test_an_idle_connection_is_closed_after_keep_alive_timeout(clock: Any) -> None:
    """SRV-49: 5 seconds, counted from the end of the response."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(3.0)
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(GET)
        await wire.message()
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(4.9)
        await trio.testing.wait_all_tasks_blocked()
        assert len(server.connections) == 1
        clock.jump(0.2)
        assert await wire.gone() == b""
        await until(lambda: not server.connections)


async def test_a_slow_head_is_answered_with_408(clock: Any) -> None:
    """SRV-60, decision 5: 60 seconds."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(b"GET / HTTP/1.1\r\n")
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(59.9)
        await trio.testing.wait_all_tasks_blocked()
        await wire.send(b"Host: h\r\n")
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(0.2)
        assert (await wire.head()).startswith(b"HTTP/1.1 408 ")
        wire.eof()
        await wire.gone()


async def test_a_body_that_does_not_come_while_the_handler_waits_elsewhere(clock: Any) -> None:
    """SRV-L1: the clock of a request runs although nobody waits for its body."""
    entered, proceed = trio.Event(), trio.Event()
    errors: list[str | None] = []

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        await proceed.wait()
        try:
            await req.read()
        except Exception as error:
            errors.append(getattr(error, "code", None))
            raise

    async with serving(app) as server, dial(port_of(server)) as wire:
        server.request_timeout = 7.0
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
        await entered.wait()
        await trio.testing.wait_all_tasks_blocked()
        clock.jump(7.1)
        await trio.testing.wait_all_tasks_blocked()
        proceed.set()
        assert (await wire.head()).startswith(b"HTTP/1.1 408 ")
        wire.eof()
        await wire.gone()
    assert errors == ["ERR_HTTP_REQUEST_TIMEOUT"]


async def test_many_deadlines_and_connections(clock: Any) -> None:
    """Fifty connections, each idle since another moment, each closed at its own time."""
    async with serving(hello) as server:
        async with trio.open_nursery() as nursery:
            closed: list[tuple[int, float]] = []

            async def one(number: int) -> None:
                async with dial(port_of(server)) as wire:
                    await wire.send(GET)
                    await wire.message()
                    started = trio.current_time()
                    assert await wire.gone() == b""
                    closed.append((number, trio.current_time() - started))

            for number in range(50):
                nursery.start_soon(one, number)
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(0.0625)
            for _ in range(200):
                await trio.testing.wait_all_tasks_blocked()
                clock.jump(0.0625)
        assert [number for number, _ in closed] == list(range(50))
        assert {after for _, after in closed} == {5.0}


# -------------------------------------------------------------------- TLS


def secure(certificates: Certificates) -> dict[str, Any]:
    return {"secure": True, "cert": certificates.cert, "key": certificates.key}


async def test_tls_echo_of_more_than_fits_anywhere(certificates: Certificates) -> None:
    async with (
        serving(echo, **secure(certificates)) as server,
        dial(port_of(server), tls=certificates.client_side()) as wire,
    ):
        body = os.urandom(4 << 20)

        async def send() -> None:
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body))
            await wire.send(body)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert (await wire.message())[1] == body


# -------------------------------------------------------------------- checkpoints


async def test_every_call_is_a_checkpoint() -> None:
    """Trio's rule: what may suspend and does not raise always lets others run and can be cancelled."""
    checked: list[str] = []

    async def check(name: str, call: Any) -> Any:
        with trio.testing.assert_checkpoints():
            result = await call
        checked.append(name)
        return result

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await check("req.read(n)", req.read(1))
        async for _ in req:
            pass
        await check("req.read at the end", req.read())
        await check("res.flush_headers", res.flush_headers())
        await check("res.write", res.write("x"))
        await check("res.end", res.end())

    async with serving(app) as server, pool() as agent:
        for _ in range(2):
            req = http.request(url_of(server), method="POST", agent=agent)
            await check("write", req.write("ab"))
            await check("write", req.write("cd"))
            await check("end", req.end())
            res = await check("response", req.response())
            assert res is await check("response again", req.response())
            assert await check("read(n)", res.read(1)) == b"x"
            assert await check("read(n) at the end", res.read(1)) == b""
            assert await check("read", res.read()) == b""
    assert len(checked) == 2 * (5 + 8)


async def test_every_call_of_a_raw_stream_is_a_checkpoint() -> None:
    async def upgrade(req: http.IncomingMessage, socket: http.Socket, head: bytes) -> None:
        with trio.testing.assert_checkpoints():
            await socket.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello")
        for expected in (b"a", b"b", b"c", b""):
            with trio.testing.assert_checkpoints():
                assert await socket.receive(1) == expected
        with trio.testing.assert_checkpoints():
            await socket.send_eof()
        with trio.testing.assert_checkpoints():
            await socket.close()

    async with (
        serving(setup=lambda server: server.on("upgrade", upgrade)) as server,
        dial(port_of(server)) as wire,
    ):
        await wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        assert (await wire.head()).startswith(b"HTTP/1.1 101 ")
        await wire.send(b"abc")
        wire.eof()
        assert await wire.gone() == b"hello"
