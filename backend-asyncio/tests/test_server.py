"""The server against clients that are scripts of bytes: exchanges, errors, limits."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from asyncio_peers import CLOSE, GET, ask, dial, port_of, serving, turns, until

from anywire.asyncio import http
from anywire.core import AnywireError, ConnectionLost, LocalError, ParseError, StateError, TimedOut, TruncatedError

Request = http.IncomingMessage
Response = http.ServerResponse


async def hello(req: Request, res: Response) -> None:
    res.set_header("Content-Type", "text/plain")
    await res.end("hello")


async def echo(req: Request, res: Response) -> None:
    await res.end(await req.read())


# ---------------------------------------------------------------- exchanges


async def test_one_exchange_to_the_byte() -> None:
    async with serving(hello) as server:
        answer = await ask(port_of(server), CLOSE)
    assert re.sub(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", b"Date: then\r\n", answer) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: then\r\nConnection: close\r\n"
        b"Content-Length: 5\r\n\r\nhello"
    )


async def test_keep_alive_carries_any_number_of_requests() -> None:
    async with serving(echo) as server, dial(port_of(server)) as wire:
        for number in range(20):
            body = b"x" * number
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (number, body))
            head, got = await wire.message()
            assert b"Connection: keep-alive" in head
            assert got == body
        assert len(server.connections) == 1


async def test_http_1_0_closes_unless_it_asks_to_stay() -> None:
    """WIR-30, WIR-66 to WIR-69."""

    async def app(req: Request, res: Response) -> None:
        res.set_header("Content-Length", 5)
        await res.end("hello")

    async with serving(app) as server:
        assert b"Connection: close" in await ask(port_of(server), b"GET / HTTP/1.0\r\n\r\n")
        async with dial(port_of(server)) as wire:
            for _ in range(2):
                await wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                head, body = await wire.message()
                assert b"Connection: keep-alive" in head
                assert body == b"hello"


async def test_a_request_in_single_bytes() -> None:
    async with serving(echo) as server, dial(port_of(server)) as wire:
        for byte in b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await wire.message())[1] == b"abc"


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    """Decision 6 (in place of SRV-11 to SRV-16)."""
    running: list[str] = []
    most = 0

    async def app(req: Request, res: Response) -> None:
        nonlocal most
        running.append(req.url)
        most = max(most, len(running))
        await turns(3)
        running.remove(req.url)
        await res.end(req.url)

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(50)))
        assert [(await wire.message())[1] for _ in range(50)] == [b"/%d" % number for number in range(50)]
    assert most == 1


async def test_what_follows_a_request_that_closes_is_not_answered() -> None:
    """SRV-18 is a hazard: bytes after ``Connection: close`` are ignored."""
    seen: list[str] = []

    async def app(req: Request, res: Response) -> None:
        seen.append(req.url)
        await res.end()

    async with serving(app) as server:
        answer = await ask(port_of(server), CLOSE + b"GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 1
    assert seen == ["/"]


async def test_head_has_no_body() -> None:
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n" + GET)
        await wire.message(no_body=True)
        assert (await wire.message())[1] == b"hello"


async def test_handlers_that_are_plain_functions() -> None:
    def app(req: Request, res: Response) -> None:
        res.end_nowait("plain")

    async with serving(app) as server:
        assert (await ask(port_of(server), CLOSE)).endswith(b"plain")


async def test_a_response_may_be_ended_after_its_handler_returned() -> None:
    """As in Node: the handler's return is not the response's end."""
    tasks: list[asyncio.Task[None]] = []

    async def later(res: Response) -> None:
        await turns()
        await res.end("later")

    def app(req: Request, res: Response) -> None:
        tasks.append(asyncio.ensure_future(later(res)))

    async with serving(app) as server, dial(port_of(server)) as wire:
        for _ in range(3):
            await wire.send(GET)
            assert (await wire.message())[1] == b"later"
    await asyncio.gather(*tasks)


async def test_several_listeners_are_called_in_order() -> None:
    called: list[int] = []

    async def first(req: Request, res: Response) -> None:
        called.append(1)

    async def second(req: Request, res: Response) -> None:
        called.append(2)
        await res.end()

    async with serving(first, setup=lambda server: server.on("request", second)) as server:
        await ask(port_of(server), CLOSE)
    assert called == [1, 2]


async def test_events_of_a_clean_exchange() -> None:
    """RES-83, MSG-46 and decision 2 (3): ``close`` exactly once on both, no ``aborted``."""
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        for name in ("end", "aborted", "close"):
            req.on(name, lambda name=name: events.append(f"req {name}"))
        for name in ("finish", "close"):
            res.on(name, lambda name=name: events.append(f"res {name}"))
        await req.read()
        await res.end("x")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi")
        await wire.message()
        await turns()
        assert sorted(events) == ["req close", "req end", "res close", "res finish"]
        assert events.index("req end") < events.index("res finish") < events.index("res close")
    await turns()
    assert len(events) == 4


async def test_the_sockets_addresses() -> None:
    seen: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        seen.append((req.socket.remote_address, req.socket.remote_port, req.socket.local_port, req.socket.server))
        assert res.socket is req.socket
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(CLOSE)
        await wire.rest()
        assert seen == [("127.0.0.1", wire.writer.get_extra_info("sockname")[1], port_of(server), server)]


async def test_connection_event() -> None:
    """SRV-1: once per connection, before its first request."""
    events: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        events.append(req.socket)
        await res.end()

    async with (
        serving(app, setup=lambda server: server.on("connection", events.append)) as server,
        dial(port_of(server)) as wire,
    ):
        await wire.send(GET)
        await wire.message()
        await wire.send(GET)
        await wire.message()
        assert len(events) == 3
        assert events[0] is events[1] is events[2]


# ---------------------------------------------------------------- what is not read


@pytest.mark.parametrize("size", [1, 65536, 262144])
async def test_a_short_unread_body_is_thrown_away_and_the_connection_kept(size: int) -> None:
    """ASK-32."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        for _ in range(2):
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
            head, body = await wire.message()
            assert b"Connection: keep-alive" in head
            assert body == b"hello"


async def test_a_long_unread_body_ends_the_connection_and_the_answer_arrives() -> None:
    """ASK-32: the response says so, and is not destroyed by a reset."""
    size = 800_000
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        answer = await wire.rest()
    assert b"Connection: close" in answer
    assert answer.endswith(b"hello")


async def test_a_chunked_body_too_long_to_discard_ends_in_a_close_not_in_confusion() -> None:
    async with serving(hello, max_drain=1000) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await wire.message())[1] == b"hello"
        await wire.send(b"7d0\r\n" + bytes(2000) + b"\r\n0\r\n\r\n" + GET)
        assert await wire.rest() == b""


async def test_an_unread_chunked_body_is_discarded_before_the_next_request() -> None:
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
        assert (await wire.message())[1] == b"hello"
        await wire.send(b"c\r\n0\r\n\r\n" + GET)
        assert (await wire.message())[1] == b"hello"


# ---------------------------------------------------------------- interim responses, trailers, Expect


async def test_100_continue_is_sent_before_the_handler_runs() -> None:
    """SRV-20."""
    async with serving(echo) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"hi")
        head, body = await wire.message()
        assert body == b"hi"
        assert b"Connection: keep-alive" in head


async def test_check_continue_accepts() -> None:
    """SRV-21."""

    async def check(req: Request, res: Response) -> None:
        await res.write_continue()
        await res.end(await req.read())

    async with (
        serving(setup=lambda server: server.on("check_continue", check)) as server,
        dial(port_of(server)) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"hi")
        assert (await wire.message())[1] == b"hi"


async def test_check_continue_refuses() -> None:
    """SRV-21: a final answer without the 100 closes; the body that may follow is nobody's request."""

    async def check(req: Request, res: Response) -> None:
        res.write_head(413)
        await res.end()

    async with (
        serving(setup=lambda server: server.on("check_continue", check)) as server,
        dial(port_of(server)) as wire,
    ):
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in answer


async def test_unknown_expectations() -> None:
    """SRV-23."""

    async def check(req: Request, res: Response) -> None:
        await res.end("expected")

    request = b"GET / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n"
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(request)
        head, _ = await wire.message()
        assert head.startswith(b"HTTP/1.1 417 Expectation Failed\r\n")
        await wire.send(GET)
        assert (await wire.message())[1] == b"hello"
    async with (
        serving(hello, setup=lambda server: server.on("check_expectation", check)) as server,
        dial(port_of(server)) as wire,
    ):
        await wire.send(request)
        assert (await wire.message())[1] == b"expected"


async def test_interim_responses() -> None:
    """RES-69, RES-L4; not to a 1.0 client, which would take them for the answer."""

    async def app(req: Request, res: Response) -> None:
        await res.write_processing()
        await res.write_early_hints({"Link": "</a.css>; rel=preload"})
        await res.end("done")

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            assert await wire.head() == b"HTTP/1.1 102 Processing\r\n\r\n"
            assert await wire.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
            assert (await wire.message())[1] == b"done"
        assert (await ask(port_of(server), b"GET / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_trailers_both_ways() -> None:
    """MSG-22, RES-60 to RES-64, ASK-33."""

    async def app(req: Request, res: Response) -> None:
        await req.read()
        res.write_head(200, {"Trailer": "X-Sum"})
        await res.write("body")
        await res.end(trailers={"X-Sum": str(req.trailers["x-in"])})

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-In: 42\r\n\r\n")
        assert b"Trailer: X-Sum\r\n" in await wire.head()
        assert await wire.chunks() == (b"body", b"X-Sum: 42\r\n")


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),  # a TLS hello
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host: RFC 9112 section 3.2
        (b"GET / HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"y" * 20000 + b"\r\n\r\n", 431),  # SRV-34
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: rot13, chunked\r\n\r\n", 501),  # decision 5
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
    ids=["nonsense", "tls", "no-host", "bad-name", "too-long", "coding", "version", "smuggling"],
)
async def test_malformed_input_is_answered_and_the_server_goes_on(request_bytes: bytes, status: int) -> None:
    """SRV-32 to SRV-34, ASK-48, decision 5."""
    seen: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        seen.append(req)
        await res.end("fine")

    async with serving(app) as server:
        answer = await ask(port_of(server), request_bytes)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"Connection: close\r\n" in answer
        assert not seen
        assert (await ask(port_of(server), CLOSE)).endswith(b"fine")


async def test_malformed_input_behind_a_good_request() -> None:
    """The good one is answered first; then the error."""
    async with serving(hello) as server:
        answer = await ask(port_of(server), GET + b"nonsense\r\n\r\n")
    first, _, second = answer.partition(b"hello")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 400 ")


async def test_a_malformed_body_before_anything_was_answered() -> None:
    """The reader hears of it; what it lets pass is answered as what it is."""
    seen: list[AnywireError] = []

    async def app(req: Request, res: Response) -> None:
        try:
            await req.read()
        except ParseError as error:
            seen.append(error)
            raise

    async with serving(app) as server:
        answer = await ask(port_of(server), b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert [error.code for error in seen] == ["HPE_INVALID_CHUNK_SIZE"]
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


async def test_nothing_is_appended_to_a_response_that_began() -> None:
    """SRV-35 is a hazard."""

    async def app(req: Request, res: Response) -> None:
        await res.write("part")
        await req.read()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.head()
        assert await wire.line() == b"4\r\n"
        await wire.send(b"zz\r\n")
        assert await wire.gone() == b"part\r\n"


async def test_client_error_listener_decides() -> None:
    """SRV-31, SRV-37 to SRV-40."""
    seen: list[tuple[str, bytes]] = []

    async def listener(error: Any, socket: http.Socket) -> None:
        seen.append((error.code, error.raw_packet))
        await socket.end(b"HTTP/1.1 400 Mine\r\n\r\n")
        await socket.close()

    async with serving(hello, setup=lambda server: server.on("client_error", listener)) as server:
        assert await ask(port_of(server), b"nonsense\r\n\r\n") == b"HTTP/1.1 400 Mine\r\n\r\n"
    assert seen == [("HPE_INVALID_METHOD", b"nonsense\r\n\r\n")]


async def test_fin_on_an_idle_connection_or_after_blank_lines_is_quiet() -> None:
    """SRV-29."""
    errors: list[Any] = []
    async with serving(hello) as server:
        server.on("client_error", lambda *args: errors.append(args))
        for data in (b"", b"\r\n"):
            async with dial(port_of(server)) as wire:
                await wire.send(data)
                wire.eof()
                assert await wire.rest() == b""
    assert not errors


async def test_fin_inside_a_head() -> None:
    """SRV-30, SRV-32: the client may still be reading."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        await wire.send(b"GET / HT")
        wire.eof()
        assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")


# ---------------------------------------------------------------- failing handlers


async def test_a_handler_that_raises_before_the_head_is_a_500(reports: list[dict[str, Any]]) -> None:
    """SRV-10, ASK-48: its headers are gone, the connection is not, and somebody hears of it."""

    async def app(req: Request, res: Response) -> None:
        if req.url == "/fine":
            await res.end("fine")
            return
        res.set_header("X-Secret", "1")
        raise ZeroDivisionError("oops")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        head, body = await wire.message()
        assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b"X-Secret" not in head
        assert body == b"Internal Server Error"
        await wire.send(b"GET /fine HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await wire.message())[1] == b"fine"
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


async def test_a_handler_that_raises_in_the_middle_destroys_the_connection(reports: list[dict[str, Any]]) -> None:
    """SRV-10."""

    async def app(req: Request, res: Response) -> None:
        await res.write("part")
        raise ZeroDivisionError("oops")

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        assert not (await wire.gone()).endswith(b"0\r\n\r\n")
    assert len(reports) == 1


async def test_a_plain_function_that_raises(reports: list[dict[str, Any]]) -> None:
    def app(req: Request, res: Response) -> None:
        raise ZeroDivisionError("oops")

    async with serving(app) as server:
        assert (await ask(port_of(server), CLOSE)).startswith(b"HTTP/1.1 500 ")
    assert len(reports) == 1


@pytest.mark.parametrize("event", ["finish", "close"])
async def test_an_observer_of_the_response_that_raises_ends_only_its_own_exchange(
    event: str, reports: list[dict[str, Any]]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("observer")

    async def app(req: Request, res: Response) -> None:
        if req.url == "/broken":
            res.on(event, broken)
        await res.end("x")

    async with serving(app) as server:
        async with dial(port_of(server)) as other:
            await other.send(GET)
            await other.message()
            async with dial(port_of(server)) as wire:
                await wire.send(b"GET /broken HTTP/1.1\r\nHost: h\r\n\r\n")
                await wire.head()
            await other.send(GET)
            assert (await other.message())[1] == b"x"
        await until(lambda: not server.connections)
    assert {type(report["exception"]) for report in reports} == {ZeroDivisionError}


async def test_an_observer_of_aborted_that_raises(reports: list[dict[str, Any]]) -> None:
    """The pump calls it from the loop; the connection must be gone all the same."""
    entered = asyncio.Event()

    def broken() -> None:
        raise ZeroDivisionError("observer")

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", broken)
        entered.set()
        await until(lambda: req.aborted)

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            await entered.wait()
        await until(lambda: not server.connections)
        assert (await ask(port_of(server), b"BAD\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert ZeroDivisionError in {type(report["exception"]) for report in reports}


async def test_a_connection_observer_that_raises(reports: list[dict[str, Any]]) -> None:
    def broken(socket: Any) -> None:
        raise ZeroDivisionError("observer")

    async with serving(hello, setup=lambda server: server.once("connection", broken)) as server:
        async with dial(port_of(server)) as wire:
            assert await wire.gone() == b""
        assert (await ask(port_of(server), CLOSE)).endswith(b"hello")
    assert len(reports) == 1


async def test_misuse_of_the_response_raises_at_the_call() -> None:
    codes: list[str] = []

    async def app(req: Request, res: Response) -> None:
        misuses: list[Callable[[], object]] = [
            lambda: res.write_head(99),
            lambda: res.set_header("bad name", "x"),
            lambda: res.set_header("x", "a\r\nb"),
        ]
        for misuse in misuses:
            with pytest.raises(LocalError) as caught:
                misuse()
            codes.append(caught.value.code)
        await res.end("x")
        with pytest.raises(StateError) as caught:
            await res.write("y")
        codes.append(caught.value.code)

    async with serving(app) as server:
        assert (await ask(port_of(server), CLOSE)).endswith(b"x")
    assert codes == [  # RES-9 to RES-12, RES-20
        "ERR_HTTP_INVALID_STATUS_CODE",
        "ERR_INVALID_HTTP_TOKEN",
        "ERR_INVALID_CHAR",
        "ERR_STREAM_WRITE_AFTER_END",
    ]


# ---------------------------------------------------------------- clients that leave


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_the_client_leaves_while_the_handler_waits_for_something_else(how: str) -> None:
    """SRV-25, SRV-27, ASK-14: exactly one ``aborted``, then ``close`` on both, no ``finish``."""
    events: list[str] = []
    entered, noticed, proceed = asyncio.Event(), asyncio.Event(), asyncio.Event()
    reasons: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        for name in ("aborted", "end", "close"):
            req.on(name, lambda name=name: events.append(f"req {name}"))
        res.on("finish", lambda: events.append("res finish"))

        def closed() -> None:
            events.append("res close")
            noticed.set()

        res.on("close", closed)
        entered.set()
        await proceed.wait()  # neither reads nor writes meanwhile
        assert res.write_nowait("x") is False  # SRV-26
        with pytest.raises(ConnectionLost) as caught:
            await res.write("x")
        reasons.append(caught.value.code)
        await res.end("nobody hears")
        assert res.writable_ended

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            await entered.wait()
            if how == "fin":
                wire.eof()
            else:
                wire.reset()
            await noticed.wait()
            proceed.set()
        await until(lambda: not server.connections)
    assert events == ["req aborted", "req close", "res close"]
    assert reasons == ["ECONNRESET"]


async def test_a_client_that_leaves_after_the_answer_aborts_nothing() -> None:
    """ASK-14: none after a clean end."""
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: events.append("aborted"))
        req.on("close", lambda: events.append("close"))
        await res.end("x")

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            await wire.message()
        await until(lambda: not server.connections)
    assert events == ["close"]


async def test_half_open_clients_are_answered_if_the_server_allows_it() -> None:
    """SRV-28."""
    entered, proceed = asyncio.Event(), asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: pytest.fail("aborted"))
        entered.set()
        await proceed.wait()
        await res.end("answer")

    async with serving(app, http_allow_half_open=True) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        wire.eof()
        await entered.wait()
        await turns()
        proceed.set()
        assert (await wire.rest()).endswith(b"answer")


async def test_request_and_fin_in_one_go() -> None:
    """SRV-27 for a handler that answers at once: a response written in the same turn is not lost."""
    async with serving(hello, http_allow_half_open=True) as server, dial(port_of(server)) as wire:
        await wire.send(GET + GET)
        wire.eof()
        assert (await wire.rest()).count(b"hello") == 2


async def test_a_fin_that_comes_with_the_request_is_noticed() -> None:
    """SRV-27, ASK-14: nothing more will arrive to wake anybody."""
    aborted = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", aborted.set)
        await aborted.wait()

    async with serving(app) as server, dial(port_of(server)) as wire:
        wire.writer.write(GET)
        wire.eof()
        assert await wire.gone() == b""
    assert aborted.is_set()


async def test_a_handler_that_neither_reads_nor_answers_before_the_client_leaves() -> None:
    """Once the transport is gone, whoever serves it ends (and does not spin)."""
    entered = asyncio.Event()

    def app(req: Request, res: Response) -> None:
        entered.set()

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\npart")
            await entered.wait()
            await turns()
            wire.reset()
        await until(lambda: not server.connections)


async def test_what_is_answered_at_once_goes_out_even_to_a_client_that_half_closed() -> None:
    """As in Node, where the answer is written before the FIN is looked at."""
    async with serving(hello) as server, dial(port_of(server)) as wire:
        wire.writer.write(GET)
        wire.eof()
        assert (await wire.rest()).endswith(b"hello")


async def test_the_client_leaves_in_the_middle_of_its_body() -> None:
    """SRV-30, decision 18: reading raises, with what was received attached."""
    caught: list[Any] = []
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: events.append("aborted"))
        try:
            await req.read()
        except AnywireError as error:
            caught.append(error)
            raise

    async with serving(app) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\npart")
            await turns()
            wire.close()
        await until(lambda: caught and not server.connections)
    assert isinstance(caught[0], TruncatedError)
    assert caught[0].partial == b"part"
    assert events == ["aborted"]


# ---------------------------------------------------------------- slow clients


async def test_a_client_that_never_finishes_its_head_gets_408() -> None:
    """Decision 5 (SRV-60 to SRV-62), ASK-24: a timer, not a check at the next byte."""
    async with serving(hello, headers_timeout=0.05) as server:
        assert (await ask(port_of(server), b"GET / HTTP/1.1\r\nHo")).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert (await ask(port_of(server), b"")).startswith(b"HTTP/1.1 408 ")


async def test_a_dripping_head_is_cut_all_the_same() -> None:
    async with serving(hello, headers_timeout=0.05) as server, dial(port_of(server)) as wire:

        async def drip() -> None:
            for byte in b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 1000:
                await wire.send(bytes([byte]))
                await asyncio.sleep(0.002)

        dripping = asyncio.ensure_future(drip())
        answer = await wire.rest()
        dripping.cancel()
        await asyncio.wait([dripping])
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_the_second_head_has_its_own_clock() -> None:
    """SRV-62 (decision 5): from its first byte; ASK-23."""
    async with serving(hello, headers_timeout=0.05, keep_alive_timeout=3600.0) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.message()
        await asyncio.sleep(0.1)  # idle longer than a head may take: that is another limit's affair
        await wire.send(GET)
        await wire.message()
        await wire.send(b"GET /")
        assert (await wire.rest()).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_never_finishes_its_body_gets_408() -> None:
    """SRV-L1, decision 5."""
    caught: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        try:
            await req.read()
        except AnywireError as error:
            caught.append(error)
            raise

    async with serving(app, request_timeout=0.05) as server:
        answer = await ask(port_of(server), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\npart")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert isinstance(caught[0], TimedOut)
    assert caught[0].phase == "body"


async def test_a_slow_body_that_nobody_reads_ends_too() -> None:
    """The clock runs while the handler waits for something else."""
    aborted = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", aborted.set)
        await aborted.wait()

    async with serving(app, request_timeout=0.05) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\npart")
        assert (await wire.rest()).startswith(b"HTTP/1.1 408 ")


async def test_keep_alive_timeout_closes_idle_connections_only() -> None:
    """SRV-49, SRV-50."""
    async with serving(hello, keep_alive_timeout=0.05) as server, dial(port_of(server)) as fresh:
        async with dial(port_of(server)) as used:
            await used.send(GET)
            await used.message()
            assert await used.rest() == b""
        await fresh.send(GET)
        assert (await fresh.message())[1] == b"hello"


async def test_the_idle_timeout_reaches_the_nearest_listener() -> None:
    """SRV-56, SRV-58: with a listener nothing is destroyed."""
    heard: list[str] = []
    struck = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        def timeout(socket: Any) -> None:
            heard.append("response")
            struck.set()

        res.on("timeout", timeout)
        await struck.wait()
        await res.end("still here")

    async with serving(app, timeout=0.05) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        assert (await wire.message())[1] == b"still here"
    assert heard == ["response"]


async def test_the_idle_timeout_without_a_listener_destroys() -> None:
    """SRV-57: nothing is sent."""
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: events.append("aborted"))
        res.on("close", lambda: events.append("close"))
        await until(lambda: res.destroyed)

    async with serving(app, timeout=0.05) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        assert await wire.gone() == b""
        await until(lambda: not server.connections)
    assert events == ["aborted", "close"]


async def test_response_set_timeout() -> None:
    """RES-72."""
    struck = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        res.set_timeout(0.05, lambda socket: struck.set())
        await struck.wait()
        await res.end("slow")

    async with serving(app) as server:
        assert (await ask(port_of(server), CLOSE)).endswith(b"slow")


# ---------------------------------------------------------------- limits


async def test_max_connections_drops_what_is_too_many() -> None:
    """SRV-46, SRV-L7, ASK-44."""
    dropped: list[Any] = []
    async with serving(hello, max_connections=1, setup=lambda server: server.on("drop", dropped.append)) as server:
        async with dial(port_of(server)) as first:
            await first.send(GET)
            await first.message()
            async with dial(port_of(server)) as second:
                assert await second.gone() == b""
            assert len(dropped) == 1
            assert server.get_connections() == 1
        await until(lambda: not server.connections)
        assert (await ask(port_of(server), CLOSE)).endswith(b"hello")  # recovery is immediate


async def test_max_requests_per_socket() -> None:
    """SRV-L3."""
    async with serving(hello, max_requests_per_socket=2) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        assert b"Connection: keep-alive" in (await wire.message())[0]
        await wire.send(GET)
        assert b"Connection: close" in (await wire.message())[0]
        assert await wire.rest() == b""


async def test_get_connections() -> None:
    """SRV-92."""
    counted: list[Any] = []
    async with serving(hello) as server, dial(port_of(server)), dial(port_of(server)):
        await until(lambda: server.get_connections() == 2)
        server.get_connections(lambda error, count: counted.append((error, count)))
    assert counted == [(None, 2)]
