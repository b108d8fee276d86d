"""ServerConnection: order of exchanges, bodies, the end of a connection, errors.

Times are in test_server_timers.py, the messages' own rules in test_messages.py.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from anywire.core._errors import AnywireError, ConnectionLost, ParseError, StateError
from anywire.core._incoming import IncomingMessage

from .harness import DATE, Serving, Steps, drain, get, read_all, response

BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"  # SRV-33
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"  # SRV-20


def echo(req: Any, res: Any) -> Steps:
    """Answer with method, target and body."""
    body = yield from read_all(req)
    res.end_nowait(f"{req.method} {req.url} {body.decode()}")


def hello(req: Any, res: Any) -> None:
    res.end_nowait("hello")


def leave(req: Any, res: Any) -> None:
    """Answer later, or never."""


def serving(handler: Any = None, **options: Any) -> Serving:
    return Serving(handler, **options)


# ------------------------------------------------------------------------------------------ keep-alive, pipelining


def test_keep_alive_two_requests_on_one_connection_SRV_WIR_66() -> None:
    server = serving(echo)
    assert server.feed(get("/a")) == response("GET /a ")
    assert server.feed(get("/b")) == response("GET /b ")
    assert not server.pump.half_closed


def test_connection_close_answers_close_and_ends_WIR_66_WIR_37() -> None:
    """And lingers: FIN after the response, everything given up when the client's FIN comes (RFC 9112 section 9.6)."""
    server = serving(hello)
    assert server.feed(get("/", "Connection: close")) == response("hello", connection="close")
    assert server.pump.half_closed and not server.ended
    server.eof()
    assert server.ended and server.pump.closing and not server.pump.aborted


@pytest.mark.parametrize("watch", [True, False])
def test_last_response_ends_the_connection_with_and_without_listeners_WIR_37(watch: bool) -> None:
    server = serving(hello, watch=watch)
    server.feed(get("/", "Connection: close"))
    assert server.pump.half_closed
    server.eof()
    assert server.ended


def test_http10_is_answered_until_close_WIR_20() -> None:
    server = serving(hello)
    answer = server.feed(get(version="1.0"))
    assert answer == f"HTTP/1.1 200 OK\r\n{DATE}Connection: close\r\n\r\nhello".encode()
    assert server.pump.half_closed


def test_http10_keep_alive_with_length_persists_WIR_30() -> None:
    def handler(req: Any, res: Any) -> None:
        res.set_header("Content-Length", 5)
        res.end_nowait("hello")

    server = serving(handler)
    request = get("/", "Connection: keep-alive", version="1.0")
    assert b"Connection: keep-alive" in server.feed(request)
    assert b"Connection: keep-alive" in server.feed(request)


def test_pipelined_requests_are_dispatched_one_at_a_time_in_order_decision_6() -> None:
    server = serving(leave)
    server.feed(get("/1") + get("/2") + get("/3"))
    assert [req.url for req, _ in server.requests] == ["/1"]
    server.requests[0][1].end_nowait("one")
    server.run()
    assert [req.url for req, _ in server.requests] == ["/1", "/2"]
    server.requests[1][1].end_nowait("two")
    server.run()
    server.requests[2][1].end_nowait("three")
    assert bytes(server.pump.sent) == response("one") + response("two") + response("three")


def test_response_ended_elsewhere_wakes_the_parked_loop() -> None:
    """The loop sleeps until the response has ended; whoever ends it must wake it (kick)."""
    server = serving(leave)
    server.feed(get("/1") + get("/2"))
    kicks = server.pump.kicks
    server.requests[0][1].end_nowait("one")
    assert server.pump.kicks == kicks + 1


def test_nothing_is_parsed_behind_a_request_that_closes_SRV_18() -> None:
    server = serving(hello)
    server.feed(get("/", "Connection: close") + get("/2"))
    assert len(server.requests) == 1


def test_pipelining_waits_for_a_blocked_transport_SRV_16() -> None:
    """Answers that nobody reads must not pile up: the next request waits until the last response is out."""
    server = serving(lambda req, res: res.end_nowait(bytes(50000)))
    server.pump.room = 0
    server.feed(get("/1") + get("/2") + get("/3"))
    assert len(server.requests) == 1
    server.pump.take()
    assert len(server.requests) == 3


def test_finish_of_a_blocked_response_comes_when_it_is_out_RES_80() -> None:
    server = serving(lambda req, res: res.end_nowait(bytes(50000)))
    server.pump.room = 0
    server.feed(get("/1"))
    assert server.log == ["request1"]
    server.pump.take()
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.end", "req1.close"]


def test_max_requests_per_socket_SRV_L3() -> None:
    server = serving(hello, max_requests_per_socket=2)
    assert b"keep-alive" in server.feed(get())
    assert b"Connection: close" in server.feed(get())
    assert server.pump.half_closed


def test_draining_server_says_close_SRV_88() -> None:
    server = serving(hello)
    server.server.draining = True
    assert b"Connection: close" in server.feed(get())


def test_fin_on_an_idle_connection_is_quiet_SRV_29() -> None:
    for sent in (b"", b"\r\n\r\n", get()):
        server = serving(hello)
        server.feed(sent)
        assert server.eof() == b""
        assert server.ended and "client_error" not in "".join(server.log)


# ------------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Content-Length: 4"], b"abcd"),
        (["Transfer-Encoding: chunked"], b"2\r\nab\r\n2;x=y\r\ncd\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_request_bodies_in_any_split_WIR_63_WIR_75(fields: list[str], body: bytes, size: int) -> None:
    server = serving(echo)
    data = get("/p", *fields, method="POST", body=body) + get("/next")
    sent = server.feed(*(data[at : at + size] for at in range(0, len(data), size)))
    assert sent == response("POST /p abcd") + response("GET /next ")
    assert server.connection.error is None


def test_request_body_is_answered_WIR_63() -> None:
    server = serving(echo)
    assert server.feed(
        get("/p", "Transfer-Encoding: chunked", method="POST", body=b"2\r\nab\r\n0\r\n\r\n")
    ) == response("POST /p ab")


def test_trailers_are_there_at_the_end_MSG_7_MSG_22() -> None:
    seen: list[Any] = []

    def handler(req: Any, res: Any) -> Steps:
        seen.append((dict(req.trailers), list(req.raw_trailers)))
        yield from read_all(req)
        seen.append((req.trailers, req.raw_trailers))
        res.end_nowait()

    server = serving(handler)
    server.feed(
        get("/", "Transfer-Encoding: chunked", method="PUT", body=b"1\r\na\r\n0\r\nX-Sum: 7\r\nx-sum: 8\r\n\r\n")
    )
    assert seen == [({}, []), ({"x-sum": "7, 8"}, ["X-Sum", "7", "x-sum", "8"])]


def test_head_is_dispatched_before_its_body_SRV_7() -> None:
    server = serving(leave)
    server.feed(get("/", "Content-Length: 5", method="POST"))
    assert server.log == ["request1"]
    req = server.requests[0][0]
    assert req.read_nowait() is None and not req.complete


def test_body_pieces_are_not_copied_MSG_24() -> None:
    server = serving(leave)
    server.feed(get("/", "Content-Length: 5", method="POST"))
    piece = b"abc"
    server.feed(piece)
    assert server.requests[0][0].read_nowait() is piece


def test_get_with_a_body_WIR_65() -> None:
    server = serving(echo)
    assert server.feed(get("/", "Content-Length: 1", body=b"x")) == response("GET / x")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_no_body_is_sent_WIR_16_WIR_17(method: str, status: int) -> None:
    def handler(req: Any, res: Any) -> None:
        res.status_code = status
        res.end_nowait("x")

    server = serving(handler)
    answer = server.feed(get(method=method))
    assert answer.endswith(b"\r\n\r\n")
    assert b"Connection: keep-alive" in answer
    assert server.feed(get("/2", method=method)) == answer


# ------------------------------------------------------------------------------------- unread bodies and lingering


def test_an_unread_body_is_drained_for_the_next_request_MSG_28() -> None:
    server = serving(hello)
    server.feed(get("/1", "Content-Length: 100000", method="POST"), *[bytes(10000)] * 5)
    assert len(server.requests) == 1
    server.feed(*[bytes(10000)] * 5)
    server.feed(get("/2"))
    assert [req.url for req, _ in server.requests] == ["/1", "/2"]


def test_events_of_a_drained_request_MSG_46_RES_83() -> None:
    server = serving(hello)
    server.feed(get("/1", "Content-Length: 3", method="POST", body=b"ab"))
    assert server.log == ["request1", "res1.finish", "res1.close"]
    server.feed(b"c")
    assert server.log[3:] == ["req1.end", "req1.close"]


def test_an_endless_unread_body_ends_the_connection_MSG_29() -> None:
    """Not announced (chunked), so found out while draining: max_drain, then linger, then the client's FIN."""
    server = serving(hello, max_drain=1000)
    server.feed(get("/1", "Transfer-Encoding: chunked", method="POST"))
    assert not server.pump.half_closed
    server.feed(b"400\r\n" + bytes(1024) + b"\r\n")
    assert server.pump.half_closed
    server.feed(b"400\r\n" + bytes(1024) + b"\r\n")
    assert not server.ended
    server.eof()
    assert server.ended and len(server.requests) == 1
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.aborted", "req1.close"]


def test_a_body_announced_too_long_to_drain_is_answered_with_close() -> None:
    server = serving(hello, max_drain=1000)
    assert b"Connection: close" in server.feed(get("/1", "Content-Length: 1001", method="POST"))
    server.feed(bytes(1001), get("/2"))
    assert len(server.requests) == 1


def test_lingering_is_bounded_in_bytes() -> None:
    server = serving(hello)
    server.feed(get("/", "Connection: close", "Transfer-Encoding: chunked", method="POST"))
    for _ in range(40):
        server.feed(bytes(65536))
    assert server.ended


def test_body_read_after_the_response_ended_of_a_closing_connection() -> None:
    """Answer first, read then: the connection must still come to its end."""

    def handler(req: Any, res: Any) -> Steps:
        res.end_nowait("early")
        body = yield from read_all(req)
        assert body == b"abc"

    server = serving(handler)
    server.feed(get("/", "Connection: close", "Content-Length: 3", method="POST", body=b"a"), b"bc")
    assert server.reported == []
    assert server.pump.half_closed
    server.eof()
    assert server.ended
    assert server.log[-2:] == ["req1.end", "req1.close"]


def test_body_read_after_the_response_ended_of_a_persistent_connection_MSG_46() -> None:
    def handler(req: Any, res: Any) -> Steps:
        if req.method == "POST":
            res.end_nowait("early")
            yield from read_all(req)
        else:
            res.end_nowait("next")

    server = serving(handler)
    server.feed(get("/", "Content-Length: 3", method="POST", body=b"a"), b"bc", get("/2"))
    assert server.log == [
        "request1", "res1.finish", "res1.close", "req1.data b'a'", "req1.data b'bc'", "req1.end", "req1.close",
        "request2", "res2.finish", "res2.close", "req2.end", "req2.close",
    ]  # fmt: skip


def test_reading_a_body_that_was_given_up_raises_the_network_error_decision_18() -> None:
    server = serving(hello)
    server.feed(get("/", "Connection: close", "Content-Length: 3", method="POST", body=b"a"))
    req = server.requests[0][0]
    with pytest.raises(ConnectionLost):
        drain(req)
    assert req.aborted and not req.complete


def test_a_late_reader_of_an_old_request_disturbs_nobody() -> None:
    server = serving(leave)
    server.feed(get("/1"))
    server.requests[0][1].end_nowait()
    server.run()
    server.feed(get("/2", "Connection: close"))
    old = server.requests[0][0]
    server.requests[1][1].end_nowait()
    assert old.read_nowait() == b""
    server.run()
    assert server.pump.half_closed
    server.eof()
    assert server.ended


def test_early_response_while_the_client_uploads_CLI_65_server_side() -> None:
    server = serving(hello)
    assert server.feed(get("/", "Content-Length: 10", method="POST", body=b"12345")) == response("hello")


# ------------------------------------------------------------------------------------------- read-ahead is bounded


def test_want_read_stops_at_max_buffered_MSG_27() -> None:
    server = serving(leave)
    server.feed(get("/", "Content-Length: 1000000", method="POST"))
    connection: Any = server.connection
    connection.receive_data(bytes(65535))
    assert connection.want_read
    connection.receive_data(b"x")
    assert not connection.want_read
    while server.requests[0][0].read_nowait():
        pass
    assert connection.want_read


def test_a_head_longer_than_max_buffered_still_arrives_WIR_95() -> None:
    """max_header_size may be set above the read-ahead bound; waiting for the rest of the head must not stop reading."""
    server = serving(hello, max_header_size=200_000)
    data = get("/", "X: " + "y" * 150_000)
    server.feed(*(data[at : at + 10_000] for at in range(0, len(data), 10_000)))
    assert len(server.requests) == 1


# ----------------------------------------------------------------------------------------------------------- Expect


def test_expect_continue_is_answered_at_once_SRV_20() -> None:
    server = serving(echo)
    head = get("/", "Expect: 100-continue", "Content-Length: 2", method="POST")
    assert server.feed(head) == CONTINUE
    assert server.feed(b"hi") == response("POST / hi")
    assert not server.pump.half_closed


def test_expect_is_ignored_on_http10_SRV_19() -> None:
    server = serving(hello)
    assert CONTINUE not in server.feed(
        get("/", "Expect: 100-continue", "Content-Length: 2", method="POST", version="1.0")
    )


def test_check_continue_that_continues_keeps_the_connection_SRV_21() -> None:
    server = serving()

    def check(req: Any, res: Any) -> Steps:
        res.write_continue_nowait()
        yield from read_all(req)
        res.end_nowait("ok")

    server.server.on("check_continue", check)
    assert server.feed(get("/", "Expect: 100-continue", "Content-Length: 1", method="POST")) == CONTINUE
    assert server.feed(b"x") == response("ok")


def test_final_answer_without_100_closes_SRV_21_WIR_36() -> None:
    server = serving()
    server.server.on("check_continue", lambda req, res: res.end_nowait("no"))
    answer = server.feed(get("/", "Expect: 100-continue", "Content-Length: 1", method="POST"))
    assert answer == response("no", connection="close")
    assert server.pump.half_closed
    server.feed(b"x")
    server.eof()
    assert server.ended


def test_other_expectations_are_refused_SRV_23() -> None:
    server = serving(hello)
    assert server.feed(get("/", "Expect: pony")) == (
        b"HTTP/1.1 417 Expectation Failed\r\n"
        + DATE.encode()
        + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    )
    assert server.feed(get()) == response("hello")


def test_check_expectation_listener_SRV_23() -> None:
    server = serving()
    server.server.on("check_expectation", lambda req, res: res.end_nowait("pony"))
    assert server.feed(get("/", "Expect: pony")) == response("pony")


# --------------------------------------------------------------------------------------------- upgrade and CONNECT


def test_upgrade_hands_over_what_follows_the_head_SRV_69_SRV_71() -> None:
    server = serving(hello)
    taken: list[Any] = []
    server.server.on("upgrade", lambda req, head: taken.append((req.upgrade, req.complete, req.read_nowait(), head)))
    server.feed(get("/", "Upgrade: x", "Connection: upgrade", "Content-Length: 2") + b"hi and more")
    assert taken == [(True, True, b"", b"hi and more")]
    assert server.ended and server.connection.switched and not server.pump.closing


def test_upgrade_without_listener_is_an_ordinary_request_SRV_68() -> None:
    server = serving(echo)
    answer = server.feed(get("/", "Upgrade: x", "Connection: upgrade", "Content-Length: 2", method="POST", body=b"hi"))
    assert answer == response("POST / hi")
    assert server.requests[0][0].upgrade is False


def test_connect_with_listener_SRV_73_SRV_74() -> None:
    server = serving(hello)
    taken: list[Any] = []
    server.server.on("connect", lambda req, head: taken.append((req.url, head)))
    server.feed(b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n\x16\x03")
    assert taken == [("a:1", b"\x16\x03")]
    assert server.log == ["request1"]


def test_connect_without_listener_is_cut_off_SRV_73() -> None:
    server = serving(hello)
    assert server.feed(b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n") == b""
    assert server.pump.aborted
    server.settle()
    assert server.ended


# ------------------------------------------------------------------------------------------ the client goes away


@pytest.mark.parametrize("how", ["reset", "close"])
def test_client_gone_before_the_response_SRV_25_RES_85(how: str) -> None:
    server = serving(leave)
    server.feed(get())
    if how == "reset":
        server.pump.reset()
    else:
        server.pump.abort()
        server.settle()
    assert server.log[:4] == ["request1", "req1.aborted", "req1.close", "res1.close"]
    assert server.requests[0][0].aborted
    assert server.ended


def test_reset_is_a_client_error_SRV_31() -> None:
    for start in (b"", get(), get("/", "Content-Length: 9", method="POST")):
        server = serving(leave)
        server.feed(start)
        server.pump.reset()
        assert server.log.count("client_error ECONNRESET") == 1
        assert server.ended


def test_client_error_listener_hears_of_a_lost_connection_once_SRV_31_SRV_38() -> None:
    heard: list[AnywireError] = []

    def handler(req: Any, res: Any) -> Steps:
        yield from read_all(req)

    server = serving(handler)
    server.server.on("client_error", lambda error, socket: heard.append(error))
    server.feed(get("/", "Content-Length: 9", method="POST"))
    server.pump.reset()
    assert [error.code for error in heard] == ["ECONNRESET"]
    assert server.ended


def test_after_the_client_is_gone_writing_is_harmless_SRV_26() -> None:
    server = serving(leave)
    server.feed(get())
    server.pump.reset()
    before = list(server.log)
    res = server.requests[0][1]
    assert res.write_nowait("x") is False
    res.end_nowait("y")
    assert res.writable_ended and not res.writable_finished
    assert server.log == before


def test_fin_while_a_request_is_pending_SRV_27() -> None:
    server = serving(leave)
    server.feed(get())
    server.requests[0][1].write_nowait("part")
    assert server.eof().endswith(b"4\r\npart\r\n")
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]
    assert server.pump.closing and server.ended


def test_fin_with_half_open_allowed_SRV_28() -> None:
    server = serving(leave, http_allow_half_open=True)
    server.feed(get())
    assert server.eof() == b"" and not server.ended
    server.requests[0][1].end_nowait("late")
    server.run()
    assert server.pump.taken() == response("late")
    assert server.ended and server.pump.closing
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.end", "req1.close"]


def test_fin_inside_a_head_SRV_30() -> None:
    server = serving(hello)
    server.feed(b"GET / HT")
    assert server.eof() == BAD_REQUEST
    assert server.log == ["client_error HPE_INVALID_EOF_STATE"]


@pytest.mark.parametrize("half_open", [False, True])
def test_fin_inside_a_body_that_is_being_read_SRV_30(half_open: bool) -> None:
    """What came is delivered, then reading raises; nothing was answered, so 400."""
    got: list[bytes] = []

    def handler(req: Any, res: Any) -> Steps:
        yield from read_all(req, got)

    server = serving(handler, http_allow_half_open=half_open)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    assert server.eof() == BAD_REQUEST
    assert got == [b"part"]
    assert server.log == [
        "request1", "req1.data b'part'", "req1.aborted", "req1.close",
        "client_error HPE_INVALID_EOF_STATE", "res1.close",
    ]  # fmt: skip
    assert server.reported == []
    assert server.ended


def test_fin_inside_a_body_that_nobody_reads_SRV_30_MSG_39() -> None:
    server = serving(leave)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    assert server.eof() == BAD_REQUEST
    req = server.requests[0][0]
    assert req.read_nowait() == b"part"  # MSG-39: what had been received stays readable
    with pytest.raises(AnywireError, match="Parse Error"):
        req.read_nowait()
    assert server.log[:3] == ["request1", "req1.aborted", "req1.close"]
    assert "client_error HPE_INVALID_EOF_STATE" in server.log
    assert server.ended


def test_fin_behind_a_complete_body_that_nobody_read_SRV_27_MSG_39() -> None:
    server = serving(leave)
    server.feed(get("/", "Transfer-Encoding: chunked", method="POST", body=b"1\r\na\r\n1\r\nb\r\n0\r\nX: y\r\n\r\n"))
    server.eof()
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]
    req = server.requests[0][0]
    assert b"".join(drain(req)) == b"ab"
    assert req.trailers == {"x": "y"} and req.complete


def test_client_lost_while_an_unread_body_is_pending_ends_the_loop_SRV_25() -> None:
    server = serving(leave)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    server.pump.abort()
    server.settle()
    assert server.ended
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]


def test_client_lost_while_the_rest_of_a_body_is_drained_MSG_47() -> None:
    server = serving(hello)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    server.pump.reset()
    assert server.log[:5] == ["request1", "res1.finish", "res1.close", "req1.aborted", "req1.close"]
    assert server.ended


def test_fin_while_the_rest_of_a_body_is_drained_MSG_47() -> None:
    server = serving(hello)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    server.eof()
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.aborted", "req1.close"]
    assert server.ended


def test_close_is_emitted_once_whatever_happens_decision_3() -> None:
    """Destroyed inside the handler, ended afterwards, lost after that: one close each, no finish."""

    def handler(req: Any, res: Any) -> None:
        req.destroy()
        res.end_nowait("x")

    server = serving(handler)
    server.feed(get())
    server.settle()
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]
    assert server.pump.aborted and server.ended


# ----------------------------------------------------------------------------------------------------- parse errors


def test_parse_error_is_the_last_event_SRV_31_WIR_76() -> None:
    server = serving(hello)
    answer = server.feed(get("/1") + get("/2") + b"\x16\x03\x01" + get("/3"))
    assert answer == response("hello") * 2 + BAD_REQUEST
    assert len(server.requests) == 2
    assert server.log[-1] == "client_error HPE_INVALID_METHOD"
    assert server.pump.half_closed


def test_header_overflow_is_431_SRV_34() -> None:
    server = serving(hello, max_header_size=100)
    assert server.feed(get("/", "X: " + "y" * 100)) == (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
    )


def test_error_attributes_SRV_39() -> None:
    heard: list[ParseError] = []
    server = serving(hello)
    server.server.on("client_error", lambda error, socket: heard.append(error))
    server.feed(b"BAD / HTTP/1.1\r\n\r\n")
    (error,) = heard
    assert (error.code, error.raw_packet, error.status_hint) == ("HPE_INVALID_METHOD", b"BAD / HTTP/1.1\r\n\r\n", 400)
    assert str(error).startswith("Parse Error: ")


def test_client_error_listener_answers_itself_SRV_37_SRV_40() -> None:
    server = serving(hello)

    def listener(error: AnywireError, socket: Any) -> None:
        server.connection.send(b"HTTP/1.1 400 Mine\r\n\r\n")
        server.pump.flush()
        server.pump.close()

    server.server.on("client_error", listener)
    assert server.feed(b"\x00") == b"HTTP/1.1 400 Mine\r\n\r\n"
    server.settle()
    assert server.ended
    assert server.log == ["client_error HPE_INVALID_METHOD"]


BAD_BODY = get("/", "Transfer-Encoding: chunked", method="POST", body=b"1\r\na\r\nxyz\r\n")


def test_error_in_a_body_that_is_being_read_SRV_31_SRV_36() -> None:
    server = serving(echo)
    assert server.feed(BAD_BODY) == BAD_REQUEST
    assert server.log == [
        "request1", "req1.data b'a'", "req1.aborted", "req1.close", "client_error HPE_INVALID_CHUNK_SIZE", "res1.close",
    ]  # fmt: skip
    assert server.reported == []
    assert server.pump.half_closed


def test_error_in_a_body_after_the_response_began_is_not_answered_SRV_35() -> None:
    """Nothing is ever appended to a started response (decision 12); only a cut tells the client."""

    def handler(req: Any, res: Any) -> Steps:
        res.write_nowait("part")
        yield from read_all(req)

    server = serving(handler)
    assert server.feed(BAD_BODY).endswith(b"\r\n\r\n4\r\npart\r\n")
    assert server.pump.aborted
    server.settle()
    assert server.ended


def test_error_in_a_body_the_handler_answers_itself() -> None:
    def handler(req: Any, res: Any) -> Steps:
        try:
            yield from read_all(req)
        except ParseError:
            res.write_head(422)
            res.end_nowait()

    server = serving(handler)
    assert server.feed(BAD_BODY).startswith(b"HTTP/1.1 422 ")
    assert server.pump.half_closed


def test_error_in_a_body_nobody_read_after_the_answer_ASK_32() -> None:
    """The response is out; the error has nobody to go to. No second answer, and no reset that could eat the first."""
    server = serving(hello)
    assert server.feed(BAD_BODY) == response("hello")
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.aborted", "req1.close"]
    assert server.pump.half_closed and not server.pump.aborted
    server.eof()
    assert server.ended


def test_a_late_response_after_the_default_answer_goes_nowhere_SRV_36() -> None:
    """The handler was slow, the body broken: 400 is out, and what the handler still says is thrown away."""
    server = serving(leave)
    server.feed(get("/", "Content-Length: 9", method="POST", body=b"part"))
    server.pump.eof()
    assert server.pump.taken() == BAD_REQUEST
    res = server.requests[0][1]
    assert res.destroyed
    assert res.write_nowait("late") is False
    res.end_nowait("later")
    assert server.pump.taken() == b""
    assert server.log.count("res1.close") == 1 and "res1.finish" not in server.log


@pytest.mark.parametrize("listens", [False, True])
def test_a_late_failure_after_the_default_answer_goes_nowhere_SRV_36(listens: bool) -> None:
    """As above, but the handler raises: a 500 must not follow the 400."""
    server = serving(leave)
    if listens:
        server.server.on("client_error", lambda error, socket: None)
    server.feed(get("/", "Content-Length: 9", method="POST"))
    server.pump.eof()
    assert server.pump.taken() == (b"" if listens else BAD_REQUEST)
    server.server.answer_failure(server.requests[0][1], RuntimeError("boom"))
    assert server.pump.taken() == b"" and server.connection.data_to_send() == b""
    assert server.log.count("res1.close") == 1 and "res1.finish" not in server.log


# ------------------------------------------------------------------------------------------------- handler failures


def test_handler_failure_with_the_head_unsent_is_500_SRV_10() -> None:
    def handler(req: Any, res: Any) -> None:
        res.set_header("X-Secret", "1")
        res.write_head(200, {"Content-Length": 5})
        raise RuntimeError("boom")

    server = serving(handler)
    answer = server.feed(get())
    assert answer == response("Internal Server Error", status="500 Internal Server Error")
    assert [str(error) for error in server.reported] == ["boom"]
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.end", "req1.close"]


def test_handler_failure_after_the_head_was_sent_cuts_the_connection_SRV_10() -> None:
    def handler(req: Any, res: Any) -> None:
        res.write_nowait("part")
        raise RuntimeError("boom")

    server = serving(handler)
    assert server.feed(get()).endswith(b"4\r\npart\r\n")
    assert server.pump.aborted
    server.settle()
    assert server.ended and server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]


def test_handler_failure_after_the_end_is_only_reported() -> None:
    def handler(req: Any, res: Any) -> None:
        res.end_nowait("hello")
        raise RuntimeError("boom")

    server = serving(handler)
    assert server.feed(get()) == response("hello")
    assert server.feed(get()) == response("hello")
    assert len(server.reported) == 2


def test_failing_before_an_expected_100_closes_WIR_36() -> None:
    def check(req: Any, res: Any) -> None:
        raise RuntimeError("boom")

    server = serving()
    server.server.on("check_continue", check)
    answer = server.feed(get("/", "Expect: 100-continue", "Content-Length: 2", method="POST"))
    assert answer.startswith(b"HTTP/1.1 500 ") and b"Connection: close" in answer


# ---------------------------------------------------------------------------------------------- destroy from outside


def test_destroy_with_an_error_is_a_client_error_MSG_34_RES_71() -> None:
    for which in (0, 1):
        server = serving(leave)
        server.feed(get())
        problem = StateError("mine", code="MINE")
        server.requests[0][which].destroy(problem)
        server.settle()
        assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close", "client_error MINE"]


def test_destroy_of_an_old_response_leaves_the_connection_alone() -> None:
    server = serving(hello)
    server.feed(get("/1"))
    req, res = server.requests[0]
    req.destroy()
    res.destroy()
    assert not server.pump.aborted
    assert server.feed(get("/2")) == response("hello")


def replacing(req: Any, res: Any) -> None:
    """Answers the first request with a response of its own, and leaves the others."""
    if req.url == "/1":
        transport = SimpleNamespace(connection=req._connection)
        res.detach_socket(transport)
        other = type(res)(req)
        other.assign_socket(transport)
        other.end_nowait("other")


@pytest.mark.parametrize("late", ["end", "write", "fail", "destroy"])
def test_a_detached_response_cannot_reach_a_later_exchange_SEC_3_ASK_13(late: str) -> None:
    server = serving(replacing)
    assert server.feed(get("/1")) == response("other")
    assert server.feed(get("/2")) == b""
    old, new = server.requests[0][1], server.requests[1][1]
    if late == "end":
        old.end_nowait("stale")
    elif late == "write":
        old.write_nowait("stale")
    elif late == "fail":
        server.server.answer_failure(old, RuntimeError("boom"))
    else:
        old.destroy()
    server.run()
    assert server.connection.exchanging and not server.pump.over
    assert server.feed(get("/3")) == b""  # waits for its turn
    new.end_nowait("second")
    server.run()
    assert server.pump.taken() == response("second")
    assert [req.url for req, _ in server.requests] == ["/1", "/2", "/3"]


def test_a_handler_that_fails_without_a_socket_leaves_nobody_waiting_RES_77() -> None:
    def handler(req: Any, res: Any) -> None:
        res.detach_socket(SimpleNamespace(connection=req._connection))
        raise RuntimeError("boom")

    server = serving(handler)
    assert server.feed(get()) == b""
    assert server.pump.aborted


def test_an_ended_response_is_sent_when_it_gets_its_socket_back_RES_77() -> None:
    def handler(req: Any, res: Any) -> None:
        transport = SimpleNamespace(connection=req._connection)
        res.detach_socket(transport)
        res.end_nowait("hello")
        assert req._connection.exchanging
        res.assign_socket(transport)

    server = serving(handler)
    assert server.feed(get()) == response("hello")
    assert server.feed(get()) == response("hello")


def test_a_moved_response_fails_where_it_is_RES_77() -> None:
    one, two = serving(leave), serving(leave)
    one.feed(get("/one"))
    two.feed(get("/two"))
    moved = one.requests[0][1]
    moved.detach_socket(SimpleNamespace(connection=one.connection))
    two.requests[0][1].detach_socket(SimpleNamespace(connection=two.connection))
    moved.assign_socket(SimpleNamespace(connection=two.connection))
    one.server.answer_failure(moved, RuntimeError("boom"))
    assert one.pump.taken() == b"" and one.connection.exchanging
    assert two.pump.taken().startswith(b"HTTP/1.1 500 ") and not two.connection.exchanging


@pytest.mark.parametrize("state", ["idle", "answered", "given up"])
def test_a_response_cannot_be_assigned_where_no_request_waits_RES_77_SEC_1(state: str) -> None:
    """It would be taken for the answer to the next request."""
    giver, taker = serving(leave), serving(hello if state == "answered" else leave)
    giver.feed(get())
    if state == "answered":
        taker.feed(get("/", "Content-Length: 100000", method="POST"))
    elif state == "given up":
        taker.feed(get("/", "Content-Length: 9", method="POST"))
        taker.eof()
    taker.pump.taken()
    with pytest.raises(StateError) as caught:
        giver.requests[0][1].assign_socket(SimpleNamespace(connection=taker.connection))
    assert caught.value.code == "ERR_INTERNAL_ASSERTION"
    assert taker.connection.data_to_send() == b""


def test_no_listener_no_answer_SRV_8() -> None:
    server = serving()
    assert server.feed(get()) == b""
    assert not server.pump.over


def test_the_message_is_the_event() -> None:
    server = serving()
    connection = server.connection
    connection.receive_data(get())
    event = connection.next_event()
    assert isinstance(event, IncomingMessage) and event.complete


# ------------------------------------------------------------------------------------------ Host


def test_a_request_without_host_is_refused_unless_the_option_says_otherwise_MOD_L4() -> None:
    bare = b"GET /a HTTP/1.1\r\n\r\n"
    assert serving(echo).feed(bare) == BAD_REQUEST
    assert serving(echo, require_host_header=False).feed(bare) == response("GET /a ")


def test_two_hosts_are_refused_whatever_the_option_says_SEC_18() -> None:
    twice = b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"
    assert serving(echo, require_host_header=False).feed(twice) == BAD_REQUEST
