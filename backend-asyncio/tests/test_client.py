"""The client against servers that are scripts of bytes: exchanges, events, errors, time limits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncio_peers import OK, Wire, counts, peer, pool, turns, until

from anywire.asyncio import http
from anywire.core import (
    AnywireError,
    ArgumentTypeError,
    ConnectionLost,
    LocalError,
    ParseError,
    StateError,
    TimedOut,
    TruncatedError,
)


def answers(*responses: bytes) -> Any:
    """A script: one response per request of a connection, in turn; the last one again and again."""

    async def script(wire: Wire) -> None:
        left = list(responses)
        while True:
            await wire.message()
            await wire.send(left.pop(0) if len(left) > 1 else left[0])

    return script


async def silence(wire: Wire) -> None:
    """Accepts, reads, says nothing."""
    await wire.gone()


# ---------------------------------------------------------------- exchanges


async def test_a_get_to_the_byte() -> None:
    """CLI-17, WIR-27, AGT-39."""
    async with peer(answers(OK)) as server, pool() as agent:
        heads: list[bytes] = []

        async def script(wire: Wire) -> None:
            heads.append(await wire.head())
            await wire.send(OK)

        async with peer(script) as server, http.get(server.url + "a?b=1", agent=agent, headers={"X-A": "1"}) as res:
            assert (res.status_code, res.status_message, res.http_version) == (200, "OK", "1.1")
            assert res.headers == {"content-length": "2"}
            assert await res.read() == b"ok"
            assert res.complete
            assert heads == [
                b"GET /a?b=1 HTTP/1.1\r\nX-A: 1\r\nHost: 127.0.0.1:%d\r\nConnection: keep-alive\r\n\r\n" % server.port
            ]


async def test_the_global_agent_closes_after_each_exchange() -> None:
    """AGT-38, AGT-91."""
    ended: list[bytes] = []

    async def script(wire: Wire) -> None:
        assert b"\r\nConnection: close\r\n" in await wire.head()
        await wire.send(OK)
        ended.append(await wire.rest())

    async with peer(script) as server:
        for _ in range(2):
            async with http.get(server.url) as res:
                assert await res.read() == b"ok"
        await until(lambda: len(ended) == 2)
        assert counts(http.global_agent) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    ],
    ids=["length", "chunked", "204", "304", "empty"],
)
async def test_framings_whole_and_in_single_bytes(response: bytes, body: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(response)
        await wire.message()
        for byte in response:
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)

    async with peer(script) as server, pool() as agent:
        for reused in (False, True):
            req = http.get(server.url, agent=agent)
            async with req as res:
                assert await res.read() == body
                assert req.reused_socket is reused


async def test_a_body_that_ends_with_the_connection() -> None:
    """MSG-43; and the connection is not pooled."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        await wire.send(b" again")

    async with peer(script) as server, pool() as agent:
        async with http.get(server.url, agent=agent) as res:
            assert await res.read() == b"hello again"
        assert counts(agent)[2] == 0


async def test_head_requests() -> None:
    async with peer(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")) as server, pool() as agent:
        for _ in range(2):
            async with http.request(server.url, method="HEAD", agent=agent) as res:
                assert await res.read() == b""
        assert len(server.wires) == 1


async def test_body_forms() -> None:
    """RES-52, CLI-11: one end() has a length, more than that is chunked."""
    got: list[tuple[bytes, bytes]] = []

    async def script(wire: Wire) -> None:
        while True:
            got.append(await wire.message())
            await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        await req.end("grüß")
        await (await req.response()).read()
        req = http.request(server.url, method="POST", agent=agent)
        await req.write(b"one ")
        await req.write(bytearray(b"two "))
        await req.end(memoryview(b"three"))
        await (await req.response()).read()
        req = http.request(server.url, method="POST", agent=agent, headers={"Content-Length": 4})
        await req.write("fo")
        await req.end("ur")
        await (await req.response()).read()
    assert b"\r\nContent-Length: 6\r\n" in got[0][0]
    assert got[0][1] == "grüß".encode()
    assert b"\r\nTransfer-Encoding: chunked\r\n" in got[1][0]
    assert got[1][1] == b"one two three"
    assert b"\r\nContent-Length: 4\r\n" in got[2][0]
    assert got[2][1] == b"four"


async def test_iteration_keeps_chunks_apart() -> None:
    """MSG-24."""
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    async with peer(answers(response)) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        assert [piece async for piece in res] == [b"a", b"bc"]


async def test_reading_in_pieces() -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
    async with peer(answers(response)) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        assert await res.read(4) == b"0123"
        assert await res.read(0) == b""
        assert await res.read(4) == b"4567"
        assert await res.read() == b"89"
        assert await res.read(1) == b""


async def test_set_encoding() -> None:
    """MSG-25: a character split between pieces stays whole."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na\xc3")
        await turns()
        await wire.send(b"\xa9")

    async with peer(script) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        text: Any = await res.set_encoding("utf-8").read()
        assert text == "aé"


async def test_pipe() -> None:
    class Sink:
        def __init__(self) -> None:
            self.pieces: list[bytes] = []
            self.ended = False

        async def write(self, piece: bytes) -> None:
            self.pieces.append(piece)

        async def end(self) -> None:
            self.ended = True

    async with peer(answers(OK)) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        sink = await res.pipe(Sink())
    assert (sink.pieces, sink.ended) == ([b"ok"], True)


async def test_the_events_of_a_clean_exchange() -> None:
    """CLI-51, with decision 2 (3): ``close`` once, also when the connection persists."""
    events: list[str] = []
    async with peer(answers(OK)) as server, pool() as agent:
        req = http.request(server.url, lambda res: events.append("callback"), agent=agent)
        for name in ("socket", "finish", "response", "close", "error", "abort"):
            req.on(name, lambda *_, name=name: events.append(name))
        await req.end()
        res = await req.response()
        for name in ("data", "end", "close", "aborted"):
            res.on(name, lambda *_, name=name: events.append(f"res {name}"))
        await res.resume()
        await turns()
    assert events == ["socket", "finish", "callback", "response", "res data", "res end", "close", "res close"]


async def test_a_slow_reader_is_not_read_ahead_for() -> None:
    """Design section 3: input read ahead stops at a bound."""
    total = 32 << 20
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.message()
        wire.writer.transport.set_write_buffer_limits(high=65536)
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        piece = bytes(65536)
        while sent < total:
            await wire.send(piece)
            sent += len(piece)

    async with peer(script) as server, pool() as agent, http.get(server.url, agent=agent) as res:
        before = -1
        while before != sent:  # until the peer makes no progress any more
            before = sent
            await asyncio.sleep(0.05)
        assert sent < total
        assert res._connection._parser.buffered <= 65536 + 262144  # the bound, and one read of the loop
        size = 0
        async for piece in res:
            size += len(piece)
        assert size == total


# ---------------------------------------------------------------- interim responses, trailers, early answers


async def test_interim_responses_are_events() -> None:
    """CLI-33 to CLI-35."""
    events: list[Any] = []

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        req.on("continue", lambda: events.append("continue"))
        req.on("information", lambda info: events.append((info.status_code, info.headers)))
        async with req as res:
            assert res.status_code == 200
    assert events == ["continue", (100, {}), (102, {}), (103, {"link": "</a>"})]


async def test_expect_100_continue_accepted() -> None:
    """CLI-18: the head goes out at once; the body when the caller has heard."""
    body: list[bytes] = []

    async def script(wire: Wire) -> None:
        head = await wire.head()
        assert b"Expect: 100-continue" in head
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body.append((await wire.chunks())[0])
        await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent, headers={"Expect": "100-continue"})
        told = asyncio.Event()
        req.on("continue", told.set)
        await req.flush_headers()
        answer = asyncio.ensure_future(req.response())
        await told.wait()
        await req.end(b"body")
        assert await (await answer).read() == b"ok"
    assert body == [b"body"]


async def test_expect_100_continue_refused() -> None:
    """CLI-65: a final answer instead; what was not sent is not sent."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert await wire.rest() == b""

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent, headers={"Expect": "100-continue"})
        req.on("continue", lambda: pytest.fail("continue"))
        await req.flush_headers()
        answer = asyncio.ensure_future(req.response())
        async with await answer as res:
            assert res.status_code == 417
        assert await req.write(b"body") is False
        assert counts(agent) == (0, 0, 0, 0)


async def test_trailers_both_ways() -> None:
    """MSG-7, ASK-33."""
    got: list[Any] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        got.append(await wire.chunks())
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n")

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="PUT", agent=agent)
        await req.write("body")
        await req.end(trailers={"Content-MD5": "abc"})
        async with req as res:
            assert await res.read() == b""
            assert res.trailers == {"x-sum": "1, 2"}
            assert res.raw_trailers == ["X-Sum", "1", "X-Sum", "2"]
    assert got == [(b"body", b"Content-MD5: abc\r\n")]


async def test_an_early_answer_on_a_persistent_connection_waits_for_the_request_to_end() -> None:
    """CLI-65, CLI-66."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(OK)
        await wire.chunks()
        await wire.message()
        await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        await req.write(b"part")
        res = await req.response()
        assert await res.read() == b"ok"
        assert counts(agent)[0] == 1
        await req.end(b"rest")
        assert counts(agent) == (0, 0, 1, 0)
        async with http.get(server.url, agent=agent) as res:
            assert await res.read() == b"ok"
        assert len(server.wires) == 1


# ---------------------------------------------------------------- errors


async def test_the_server_closes_without_an_answer() -> None:
    """CLI-54, ASK-15."""
    events: list[Any] = []

    async def script(wire: Wire) -> None:
        await wire.message()

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        req.on("error", lambda error: events.append(error.code))
        req.on("close", lambda: events.append("close"))
        with pytest.raises(ConnectionLost, match="socket hang up") as caught:
            await req.response()
        error = caught.value
        assert (error.code, error.syscall, error.reused, error.response_started) == ("ECONNRESET", None, False, False)
        assert error.bytes_written
        assert error.replay_safe == "yes"  # GET
        assert events == ["ECONNRESET", "close"]
        with pytest.raises(ConnectionLost):
            await req.response()


async def test_the_server_resets_before_an_answer() -> None:
    """CLI-55."""

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.reset()

    async with peer(script) as server, pool() as agent:
        with pytest.raises(ConnectionLost, match="read ECONNRESET") as caught:
            await http.get(server.url, agent=agent)
        assert caught.value.syscall == "read"


async def test_a_post_that_got_no_answer_is_not_known_to_be_safe() -> None:
    """ASK-15."""

    async def script(wire: Wire) -> None:
        await wire.message()

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        await req.end(b"body")
        with pytest.raises(ConnectionLost) as caught:
            await req.response()
        assert caught.value.replay_safe == "unknown"


async def test_only_interim_responses_and_then_the_end() -> None:
    """CLI-36."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    async with peer(script) as server, pool() as agent:
        with pytest.raises(ConnectionLost, match="socket hang up") as caught:
            await http.get(server.url, agent=agent)
        assert caught.value.response_started


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (b"nonsense\r\n\r\n", "HPE_INVALID_CONSTANT"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HPE_INVALID_CONTENT_LENGTH"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000, "HPE_HEADER_OVERFLOW"),
    ],
)
async def test_an_answer_that_is_no_http(response: bytes, code: str) -> None:
    """CLI-58."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(response)
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        with pytest.raises(ParseError) as caught:
            await http.get(server.url, agent=agent)
        assert caught.value.code == code
        assert counts(agent) == (0, 0, 0, 0)


async def test_endless_interim_responses_end() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        while True:
            await wire.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    async with peer(script) as server, pool() as agent:
        with pytest.raises(ParseError):
            await http.get(server.url, agent=agent)


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
    ],
    ids=["length", "chunked"],
)
async def test_a_truncated_body_raises_with_what_came(start: bytes, how: str) -> None:
    """CLI-56, CLI-57, ASK-30, decision 18."""
    events: list[str] = []
    received = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(start)
        await received.wait()
        if how == "reset":
            wire.reset()

    async with peer(script) as server, pool() as agent:
        res = await http.get(server.url, agent=agent)
        res.on("aborted", lambda: events.append("aborted"))
        res.on("close", lambda: events.append("close"))
        assert await res.read(1) == b"p"
        received.set()
        with pytest.raises(TruncatedError) as caught:
            await res.read()
        assert caught.value.partial == b"art"
        assert caught.value.response_started
        assert (res.complete, res.aborted) == (False, True)
        assert events == ["aborted", "close"]
        with pytest.raises(TruncatedError):
            await res.read()
        assert counts(agent) == (0, 0, 0, 0)


async def test_bytes_behind_a_complete_response_spoil_the_connection() -> None:
    """CLI-59, CLI-60, SEC-1."""
    async with peer(answers(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK)) as server, pool() as agent:
        for _ in range(2):
            async with http.get(server.url, agent=agent) as res:
                assert await res.read() == b"ok"
        assert len(server.wires) == 2


async def test_misuse_raises_at_the_call_and_leaves_nothing() -> None:
    async with pool() as agent:
        with pytest.raises(ArgumentTypeError):
            http.request("http://h/", agent=agent, timeuot=5)  # type: ignore[call-arg]
        with pytest.raises(LocalError) as caught:
            http.request("http://h/", agent=agent, headers={"bad name": "x"})
        assert caught.value.code == "ERR_INVALID_HTTP_TOKEN"
        with pytest.raises(LocalError) as caught:
            http.request("https://h/", agent=agent)
        assert caught.value.code == "ERR_INVALID_PROTOCOL"
        assert counts(agent) == (0, 0, 0, 0)


def test_a_request_outside_of_a_loop() -> None:
    with pytest.raises(RuntimeError):
        http.get("http://127.0.0.1:1/")


async def test_write_after_end() -> None:
    """CLI-29."""
    async with peer(answers(OK)) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        await req.end("x")
        with pytest.raises(StateError) as caught:
            await req.write("y")
        assert caught.value.code == "ERR_STREAM_WRITE_AFTER_END"
        async with req as res:
            assert await res.read() == b"ok"


async def test_a_body_shorter_than_announced_never_passes_for_complete() -> None:
    """WIR: Content-Length and the body must agree; the peer sees an abort, not a short message."""
    seen: list[bytes] = []

    async def script(wire: Wire) -> None:
        await wire.head()
        seen.append(await wire.gone())

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent, headers={"Content-Length": 10})
        await req.write("part")
        with pytest.raises(StateError) as caught:
            await req.end("!")
        assert caught.value.code == "ERR_HTTP_CONTENT_LENGTH_MISMATCH"
        await until(lambda: seen)
        assert len(seen[0]) < 10
        assert counts(agent) == (0, 0, 0, 0)


@pytest.mark.parametrize("event", ["socket", "response", "information", "finish", "close"])
async def test_an_observer_that_raises_ends_only_its_own_exchange(event: str, reports: list[Any]) -> None:
    reports.append({})  # an exception may also come out of the call that emits

    def broken(*args: Any) -> None:
        raise ZeroDivisionError("observer")

    async with peer(answers(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)) as server, pool(max_sockets=1) as agent:
        req = http.get(server.url, agent=agent)
        req.on(event, broken)
        waiting = http.get(server.url, agent=agent)
        with pytest.raises(ZeroDivisionError):
            async with req as res:
                await res.read()
        async with waiting as res:
            assert await res.read() == b"ok"


# ---------------------------------------------------------------- destroy and abort


async def test_abort_while_waiting_for_the_answer() -> None:
    """CLI-74: ``abort``, ``error``, ``close``; the waiting call raises."""
    events: list[str] = []
    async with peer(silence) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        for name in ("abort", "error", "close"):
            req.on(name, lambda *_, name=name: events.append(name))
        answer = asyncio.ensure_future(req.response())
        await until(lambda: server.wires)
        req.abort()
        req.abort()
        with pytest.raises(ConnectionLost, match="socket hang up"):
            await answer
        assert events == ["abort", "error", "close"]
        assert (req.aborted, req.destroyed) == (True, True)


async def test_destroy_with_an_error() -> None:
    """CLI-83."""
    async with peer(silence) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        answer = asyncio.ensure_future(req.response())
        await until(lambda: server.wires)
        problem = ValueError("enough")
        req.destroy(problem)
        with pytest.raises(ValueError, match="enough") as caught:
            await answer
        assert caught.value is problem


async def test_destroy_in_the_middle_of_the_body() -> None:
    """CLI-82."""
    events: list[str] = []

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        req.on("error", lambda error: events.append("error"))
        req.on("close", lambda: events.append("close"))
        res = await req.response()
        res.on("aborted", lambda: events.append("res aborted"))
        res.on("close", lambda: events.append("res close"))
        assert await res.read(4) == b"part"
        reading = asyncio.ensure_future(res.read())
        await turns()
        req.destroy()
        with pytest.raises(ConnectionLost):
            await reading
        assert events == ["res aborted", "close", "res close"]


@pytest.mark.parametrize("before", ["at once", "queued", "connecting"])
async def test_destroy_before_there_is_a_connection(before: str) -> None:
    """CLI-72, CLI-79 with decision 4; nothing is connected for it."""
    async with peer(silence) as server, pool(max_sockets=1) as agent:
        holder = http.get(server.url, agent=agent) if before == "queued" else None
        req = http.get(server.url, agent=agent)
        waiting = None
        if before != "at once":
            waiting = asyncio.ensure_future(req.response())
            if before == "queued":
                await turns()
                assert counts(agent)[3] == 1
            else:
                await asyncio.sleep(0)
        req.destroy()
        with pytest.raises(ConnectionLost):
            await (waiting if waiting is not None else req.response())
        assert counts(agent)[3] == 0
        if holder is not None:
            holder.destroy()


async def test_destroy_after_the_end_leaves_the_pooled_connection_alone() -> None:
    """CLI-70 is a hazard (decision 4)."""
    async with peer(answers(OK)) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        async with req as res:
            await res.read()
        req.destroy()
        req.abort()
        assert counts(agent) == (0, 0, 1, 0)
        async with http.get(server.url, agent=agent) as res:
            assert await res.read() == b"ok"
        assert len(server.wires) == 1


async def test_leaving_without_reading_a_short_body_keeps_the_connection() -> None:
    """ASK-7."""
    async with peer(answers(OK)) as server, pool() as agent:
        for _ in range(3):
            async with http.get(server.url, agent=agent) as res:
                assert res.status_code == 200
        assert counts(agent) == (0, 0, 1, 0)
        assert len(server.wires) == 1


async def test_leaving_without_reading_a_long_or_endless_body_destroys() -> None:
    """ASK-7: at once, without waiting for the peer."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\npart")
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        async with http.get(server.url, agent=agent) as res:
            assert res.status_code == 200
        assert counts(agent) == (0, 0, 0, 0)


async def test_leaving_with_an_exception_destroys() -> None:
    async with peer(answers(OK)) as server, pool() as agent:
        with pytest.raises(ZeroDivisionError):
            async with http.get(server.url, agent=agent):
                raise ZeroDivisionError
        assert counts(agent) == (0, 0, 0, 0)


# ---------------------------------------------------------------- time limits


async def test_timeout_without_a_listener_is_an_error() -> None:
    """MOD-60: no traffic for so long."""
    async with peer(silence) as server, pool() as agent:
        req = http.get(server.url, agent=agent, timeout=0.05)
        with pytest.raises(TimedOut) as caught:
            await req.response()
        assert caught.value.phase == "head"
        assert caught.value.code == "ETIMEDOUT"
        assert counts(agent) == (0, 0, 0, 0)


async def test_timeout_with_a_listener_is_the_listeners_affair() -> None:
    """CLI-86, CLI-87, CLI-93, CLI-97."""
    struck = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await struck.wait()
        await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent, timeout=0.05)
        req.on("timeout", struck.set)
        async with req as res:
            assert await res.read() == b"ok"
        req = http.get(server.url, agent=agent)
        assert req.set_timeout(0.05, req.abort) is req
        struck.clear()
        with pytest.raises(ConnectionLost):
            await req.response()


async def test_timeout_in_the_middle_of_the_body() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent, timeout=0.05)
        res = await req.response()
        with pytest.raises(AnywireError) as caught:
            await res.read()
        assert isinstance(caught.value, TimedOut)
        assert caught.value.phase == "body"


async def test_a_timeout_does_not_outlive_its_exchange() -> None:
    """ASK-21."""
    struck: list[Any] = []
    async with peer(answers(OK)) as server, pool() as agent:
        req = http.get(server.url, agent=agent, timeout=0.02)
        req.on("timeout", lambda: struck.append(1))
        async with req as res:
            await res.read()
        await asyncio.sleep(0.06)
        assert not struck
        async with http.get(server.url, agent=agent) as res:
            await res.read()
        assert len(server.wires) == 1


@pytest.mark.parametrize(
    ("option", "phase"), [("queue_timeout", "queue"), ("head_timeout", "head"), ("deadline", "queue")]
)
async def test_limits_of_a_request_that_waits_in_the_queue(option: str, phase: str) -> None:
    """ASK-19, CLI-90."""
    async with peer(silence) as server, pool(max_sockets=1) as agent:
        holder = http.get(server.url, agent=agent)
        waiting = asyncio.ensure_future(holder.response())
        await until(lambda: server.wires)
        limits: dict[str, Any] = {option: 0.05}
        req = http.get(server.url, agent=agent, **limits)
        if option == "head_timeout":  # does not count in the queue
            holder.destroy()
        with pytest.raises(TimedOut) as caught:
            await req.response()
        assert caught.value.phase == phase
        holder.destroy()
        with pytest.raises(ConnectionLost):
            await waiting
        assert counts(agent) == (0, 0, 0, 0)


async def test_head_timeout() -> None:
    """ASK-19: not restarted by a trickle of interim responses or half a head."""

    async def script(wire: Wire) -> None:
        await wire.message()
        while True:
            await wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.02)

    async with peer(script) as server, pool() as agent:
        with pytest.raises(TimedOut) as caught:
            await http.get(server.url, agent=agent, head_timeout=0.1)
        assert caught.value.phase == "head"


@pytest.mark.parametrize("place", ["head", "body"])
async def test_deadline_against_a_dripping_server(place: str) -> None:
    """ASK-20: the whole exchange, whatever trickles."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n")
        if place == "body":
            await wire.send(b"Content-Length: 100000\r\n\r\n")
        while True:
            await wire.send(b"x")
            await asyncio.sleep(0.005)

    async with peer(script) as server, pool() as agent:
        with pytest.raises(TimedOut) as caught:
            async with http.get(server.url, agent=agent, deadline=0.1) as res:
                await res.read()
        assert caught.value.phase == place
        assert caught.value.limit == 0.1
        assert counts(agent) == (0, 0, 0, 0)


async def test_deadline_while_writing() -> None:
    async def script(wire: Wire) -> None:
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent, deadline=0.1)

        async def upload() -> None:
            while True:
                await req.write(bytes(1 << 20))

        with pytest.raises(TimedOut) as caught:
            await upload()
        assert caught.value.phase == "write"
        assert counts(agent) == (0, 0, 0, 0)
