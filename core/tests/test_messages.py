"""What messages do without waiting: heads, bodies, interim answers, corking, listeners and their order."""

from __future__ import annotations

from typing import Any

import pytest

from anywire.core._errors import AnywireError, ArgumentTypeError, ArgumentValueError, StateError

from .harness import DATE, Client, Serving, Steps, drain, get, read_all, response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def parked(request: bytes = b"", **options: Any) -> tuple[Serving, Any, Any]:
    """A server whose first request waits for an answer."""
    server = Serving(lambda req, res: None, **options)
    server.feed(request or get())
    req, res = server.requests[0]
    return server, req, res


def code_of(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(AnywireError) as info:
        call(*args, **named)
    return info.value.code


# ---------------------------------------------------------------------------------------------------- write_head


def test_write_head_renders_and_sends_later_RES_19_WIR_15() -> None:
    server, _, res = parked()
    assert res.write_head(200, {"Content-Length": 5, "x-A": "b"}) is res
    assert res.headers_sent and server.pump.taken() == b""
    res.end_nowait("hello")
    assert server.pump.taken() == (
        f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nx-A: b\r\n{DATE}Connection: keep-alive\r\n\r\nhello".encode()
    )


def test_second_write_head_throws_RES_27_RES_28_decision_12() -> None:
    server, _, res = parked()
    res.write_head(200)
    assert code_of(res.write_head, 404) == "ERR_HTTP_HEADERS_SENT"
    res.write_nowait("a")
    assert code_of(res.write_head, 404) == "ERR_HTTP_HEADERS_SENT"
    res.end_nowait()
    assert code_of(res.write_head, 404) == "ERR_HTTP_HEADERS_SENT"
    assert server.pump.taken().count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (99, None),
        (200, {"A": "ok", "B": "a\nb"}),
        (200, {"A": "ok", "": "x"}),
        (200, {"A": "ok", "Content-Length": 3, "Transfer-Encoding": "chunked"}),
        (200, 5),
        (200, ["A"]),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_a_write_head_that_fails_leaves_the_message_usable(status: int, headers: Any, stored: bool) -> None:
    """Nothing was rendered, so nothing is remembered: no status, no field."""
    server, _, res = parked()
    if stored:
        res.set_header("X", "1")
    with pytest.raises(AnywireError):
        res.write_head(status, "Strange", headers)
    assert not res.headers_sent
    assert (res.status_code, res.status_message) == (200, None)
    assert res.get_headers() == ({"x": "1"} if stored else {})
    res.write_head(500, {"Content-Length": 0})
    res.end_nowait()
    assert (
        server.pump.taken()
        == (
            f"HTTP/1.1 500 Internal Server Error\r\n{'X: 1' + chr(13) + chr(10) if stored else ''}"
            f"Content-Length: 0\r\n{DATE}Connection: keep-alive\r\n\r\n"
        ).encode()
    )


def test_write_head_headers_win_over_stored_ones_RES_25() -> None:
    server, _, res = parked()
    res.set_header("A", "1")
    res.set_header("B", "2")
    res.write_head(200, [("b", "3"), ("C", "4"), ("c", "5")])
    assert res.get_headers() == {"a": "1", "b": "3", "c": ["4", "5"]}
    res.end_nowait()
    assert b"\r\nA: 1\r\nb: 3\r\nC: 4\r\nC: 5\r\n" in server.pump.taken()


def test_write_head_without_stored_ones_is_invisible_RES_25() -> None:
    _, _, res = parked()
    res.write_head(200, {"A": "1"})
    assert res.get_header("A") is None


def test_write_head_arguments_RES_21_RES_L1() -> None:
    for arguments, line in (
        ((200, "Fine"), b"HTTP/1.1 200 Fine\r\n"),
        ((200, ""), b"HTTP/1.1 200 \r\n"),
        ((299,), b"HTTP/1.1 299 unknown\r\n"),
        ((200, {"A": "1"}), b"HTTP/1.1 200 OK\r\nA: 1\r\n"),
        ((200, ["A", "1", "A", "2"]), b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\n"),
        ((200, None, [("A", "1")]), b"HTTP/1.1 200 OK\r\nA: 1\r\n"),
    ):
        server, _, res = parked()
        res.write_head(*arguments)
        res.end_nowait()
        assert server.pump.taken().startswith(line)
    assert code_of(parked()[2].write_head, 200, 5, {}) == "ERR_INVALID_ARG_TYPE"


def test_implicit_head_that_fails_leaves_the_message_usable_RES_20() -> None:
    server, _, res = parked()
    res.status_code = 1000
    assert code_of(res.end_nowait, "x") == "ERR_HTTP_INVALID_STATUS_CODE"
    assert code_of(res.write_nowait, "x") == "ERR_HTTP_INVALID_STATUS_CODE"
    assert not res.writable_ended
    res.status_code = 200
    res.end_nowait("x")
    assert server.pump.taken() == response("x")


def test_headers_cannot_be_changed_after_rendering_RES_16() -> None:
    _, _, res = parked()
    res.set_header("A", "1")
    res.write_head(200)
    for call in (lambda: res.set_header("B", "2"), lambda: res.remove_header("A"), lambda: res.append_header("A", "2")):
        assert code_of(call) == "ERR_HTTP_HEADERS_SENT"
    assert res.get_header("a") == "1" and res.has_header("A") and res.get_header_names() == ["a"]


# ---------------------------------------------------------------------------------------------------- write, end


def test_write_is_chunked_and_head_and_first_chunk_are_one_send_RES_43_WIR_8() -> None:
    server, _, res = parked()
    sends = server.pump.sends
    res.write_nowait("x" * 300)
    assert server.pump.sends == sends + 1
    assert server.pump.taken().endswith(b"Transfer-Encoding: chunked\r\n\r\n12c\r\n" + b"x" * 300 + b"\r\n")
    res.end_nowait("b")
    assert server.pump.taken() == b"1\r\nb\r\n0\r\n\r\n"
    assert server.pump.sends == sends + 2


@pytest.mark.parametrize("size", [1, 8192, 8193, 100_000])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_bodies_of_all_sizes_and_framings(size: int, framing: str) -> None:
    request = get(version="1.0") if framing == "close" else get()
    server, _, res = parked(request)
    body = bytes(range(256)) * (size // 256) + b"z" * (size % 256)
    if framing == "length":
        res.set_header("Content-Length", 2 * size)
    res.write_nowait(body)
    res.end_nowait(body)
    sent = server.pump.taken().partition(b"\r\n\r\n")[2]
    chunk = b"%x\r\n%b\r\n" % (size, body)
    assert sent == (chunk * 2 + b"0\r\n\r\n" if framing == "chunked" else body * 2)


def test_empty_write_sends_the_head_only_RES_44_WIR_9() -> None:
    server, _, res = parked()
    res.write_nowait("")
    assert server.pump.taken().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    res.end_nowait()
    assert server.pump.taken() == b"0\r\n\r\n"


@pytest.mark.parametrize("chunk", [5, None, ["a"], 1.5])
def test_chunk_of_a_wrong_type_RES_40(chunk: Any) -> None:
    server, _, res = parked()
    with pytest.raises(ArgumentTypeError):
        res.write_nowait(chunk)
    assert not res.headers_sent
    if chunk is not None:
        assert code_of(res.end_nowait, chunk) == "ERR_INVALID_ARG_TYPE"
    res.end_nowait(bytearray(b"x"))
    assert server.pump.taken() == response("x")


def test_a_bytearray_may_be_changed_after_write() -> None:
    server, _, res = parked()
    server.pump.room = 0
    data = bytearray(b"x" * 20000)
    res.write_nowait(data)
    data[:] = b"y" * 20000
    server.pump.take()
    assert b"y" not in server.pump.taken().partition(b"\r\n\r\n")[2]


def test_write_after_end_RES_47() -> None:
    server, _, res = parked()
    res.end_nowait("a")
    assert code_of(res.write_nowait, "b") == "ERR_STREAM_WRITE_AFTER_END"
    assert res.end_nowait("c") is res  # RES-56
    assert server.pump.taken() == response("a")


def test_write_says_false_at_the_high_water_mark_and_drain_follows_RES_49_RES_50() -> None:
    server, _, res = parked()
    server.pump.room = 0
    assert res.write_nowait("a" * 100) is True
    assert res.write_nowait(bytes(20000)) is False
    assert res.writable_length > 20000
    server.pump.take()
    assert server.log == ["request1", "res1.drain"]
    assert res.write_nowait("b") is True
    assert server.log == ["request1", "res1.drain"]
    assert res.writable_length == 0


def test_no_drain_after_the_end_RES_49() -> None:
    server, _, res = parked()
    server.pump.room = 0
    res.write_nowait(bytes(20000))
    res.end_nowait()
    assert not res.writable_finished
    server.pump.take()
    assert "res1.drain" not in server.log and "res1.finish" in server.log
    assert res.writable_finished


@pytest.mark.parametrize("early", [False, True])
def test_more_than_announced_is_never_sent_RES_48_decision(early: bool) -> None:
    server, _, res = parked()
    res.set_header("Content-Length", 3)
    if early:
        res.write_nowait("ab")
    assert code_of(res.write_nowait, "cdef") == "ERR_HTTP_CONTENT_LENGTH_MISMATCH"
    if early:  # part is on the wire: only a cut tells the client
        assert server.pump.aborted
    else:
        assert not server.pump.over and not res.headers_sent
        res.end_nowait("abc")
        assert server.pump.taken().endswith(b"\r\n\r\nabc")


def test_less_than_announced_cuts_the_connection_RES_48_decision() -> None:
    server, _, res = parked()
    res.set_header("Content-Length", 3)
    res.write_nowait("ab")
    assert code_of(res.end_nowait) == "ERR_HTTP_CONTENT_LENGTH_MISMATCH"
    assert server.pump.aborted
    server.settle()
    assert server.log[:4] == ["request1", "req1.aborted", "req1.close", "res1.close"]


def test_length_mismatch_of_a_request() -> None:
    client = Client()
    request = client.request(method="POST", headers={"Content-Length": 3})
    client.connect(request)
    request.write_nowait("ab")
    assert code_of(request.end_nowait) == "ERR_HTTP_CONTENT_LENGTH_MISMATCH"
    assert client.pump.aborted and client.log[-1] == "req.close"


def test_length_mismatch_on_a_lost_connection_is_nobodys_error_SRV_26() -> None:
    server, _, res = parked()
    res.set_header("Content-Length", 3)
    res.write_nowait("a")
    server.pump.reset()
    res.end_nowait()
    assert res.writable_ended


def test_trailers_RES_60_RES_62_WIR_19() -> None:
    server, _, res = parked()
    res.write_nowait("a")
    res.add_trailers({"Foo": "bar", "Baz": "q"})
    res.end_nowait()
    assert server.pump.taken().endswith(b"1\r\na\r\n0\r\nFoo: bar\r\nBaz: q\r\n\r\n")


def test_trailers_given_to_end_cause_chunks() -> None:
    server, _, res = parked()
    res.end_nowait("a", trailers={"Foo": "bar"})
    assert server.pump.taken().endswith(b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nFoo: bar\r\n\r\n")


def test_trailers_without_chunks_are_dropped_RES_61_and_after_end_ignored_RES_64() -> None:
    server, _, res = parked()
    res.set_header("Content-Length", 1)
    res.write_nowait("a")
    res.add_trailers({"Foo": "bar"})
    res.end_nowait()
    res.add_trailers({"Foo": "bad\n"})
    assert b"Foo" not in server.pump.taken()


def test_bad_trailers_are_refused_at_the_call_RES_60() -> None:
    server, _, res = parked()
    assert code_of(res.add_trailers, {"Foo": "b\r\nc"}) == "ERR_INVALID_CHAR"
    assert code_of(res.end_nowait, "x", trailers={"a b": "c"}) == "ERR_INVALID_HTTP_TOKEN"
    assert not res.writable_ended
    res.end_nowait("x")
    assert server.pump.taken() == response("x")


def test_cork_RES_57_RES_59() -> None:
    server, _, res = parked()
    res.uncork()
    res.cork()
    res.cork()
    assert res.writable_corked == 2
    assert res.write_nowait("a") is True
    assert res.write_nowait(bytes(20000)) is False
    res.uncork()
    assert server.pump.taken() == b""
    res.uncork()
    assert server.pump.taken().endswith(b"\r\n")
    res.cork()
    res.write_nowait("b")
    res.end_nowait()
    assert server.pump.taken() == b"1\r\nb\r\n0\r\n\r\n"


def test_flush_headers_RES_58() -> None:
    server, _, res = parked()
    res.flush_headers_nowait()
    assert server.pump.taken().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    res.flush_headers_nowait()
    assert server.pump.taken() == b""


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_writes_to_a_message_without_body_are_ignored_RES_46(method: str) -> None:
    server, _, res = parked(get(method=method))
    res.status_code = 200 if method == "HEAD" else 204
    assert res.write_nowait("ignored") is True
    res.end_nowait("ignored")
    assert server.pump.taken().endswith(b"\r\n\r\n")
    assert not server.pump.over


def test_should_keep_alive_RES_75() -> None:
    server, _, res = parked()
    res.should_keep_alive = False
    res.end_nowait()
    server.run()
    assert b"Connection: close" in server.pump.taken() and server.pump.half_closed


def test_sizes_RES_66() -> None:
    _, _, res = parked()
    assert (res.writable_high_water_mark, res.writable_object_mode, res.writable_corked) == (16384, False, 0)
    assert not (res.writable_ended or res.finished or res.writable_finished)
    res.end_nowait()
    assert res.writable_ended and res.finished and res.writable_finished


# ------------------------------------------------------------------------------------------------ interim responses


def test_interim_responses_RES_68_RES_69() -> None:
    server, _, res = parked()
    res.write_continue_nowait()
    res.write_processing_nowait()
    res.write_information_nowait(103, {"Link": "x"})
    assert not res.headers_sent
    assert server.pump.taken() == (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    )
    res.write_head(200)
    for call in (res.write_continue_nowait, res.write_processing_nowait):
        assert code_of(call) == "ERR_HTTP_HEADERS_SENT"
    assert code_of(res.write_information_nowait, 103) == "ERR_HTTP_HEADERS_SENT"


def test_http10_clients_get_no_interim_response_RFC_9110_15_2() -> None:
    server, _, res = parked(get(version="1.0"))
    res.write_continue_nowait()
    res.write_information_nowait(103)
    assert server.pump.taken() == b""


@pytest.mark.parametrize("status", [99, 101, 200])
def test_information_is_1xx_but_101(status: int) -> None:
    server, _, res = parked()
    with pytest.raises(ArgumentValueError):
        res.write_information_nowait(status)
    assert server.pump.taken() == b""


def test_write_continue_answers_the_expectation_SRV_21() -> None:
    server = Serving()
    server.server.on("check_continue", lambda req, res: None)
    server.feed(get("/", "Expect: 100-continue", "Content-Length: 1", method="POST"))
    res = server.requests[0][1]
    assert server.connection.continue_pending
    res.write_information_nowait(100)
    assert not server.connection.continue_pending


# -------------------------------------------------------------------------------------------------- event order


def test_order_body_consumed_first_RES_83() -> None:
    def handler(req: Any, res: Any) -> Steps:
        yield from read_all(req)
        res.end_nowait()

    server = Serving(handler)
    server.feed(get("/", "Content-Length: 1", method="POST", body=b"x"))
    assert server.log == ["request1", "req1.data b'x'", "req1.end", "res1.finish", "req1.close", "res1.close"]


def test_order_no_body_RES_83() -> None:
    server = Serving(lambda req, res: res.end_nowait())
    server.feed(get())
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.end", "req1.close"]


def test_finish_listeners_see_no_socket_RES_67() -> None:
    _, _, res = parked()
    seen: list[Any] = []
    res.on("finish", lambda: seen.append(res.socket))
    assert res.socket == "socket"
    res.end_nowait()
    assert seen == [None]


def test_only_the_request_is_listened_to() -> None:
    server = Serving(lambda req, res: None, watch=False)
    server.feed(get())
    req, res = server.requests[0]
    server.log.watch(req, "req", "end", "close")
    res.end_nowait()
    assert server.log == ["req.end", "req.close"]


# --------------------------------------------------------------------------------------------------- receiving


def test_start_line_of_a_request_MSG_1_MSG_2_MSG_3() -> None:
    _, req, _ = parked(get("/a?b#".rstrip("#"), "Host2: x", method="PUT", version="1.0"))
    assert (req.method, req.url, req.http_version, req.http_version_major, req.http_version_minor) == (
        "PUT", "/a?b", "1.0", 1, 0,
    )  # fmt: skip
    assert (req.status_code, req.status_message, req.req) == (None, None, None)
    assert "PUT /a?***" in repr(req)  # SEC-45


def test_start_line_of_a_response_MSG_1_MSG_2_MSG_3() -> None:
    client = Client()
    message = client.answer(client.get(), b"HTTP/1.1 404 Not here\r\nContent-Length: 0\r\n\r\n")
    assert message is not None
    assert (message.status_code, message.status_message, message.http_version) == (404, "Not here", "1.1")
    assert (message.method, message.url) == (None, "")
    assert "404 Not here" in repr(message)


def test_headers_MSG_5_MSG_6_MSG_L1() -> None:
    _, req, _ = parked(get("/", "X-A: 1", "Set-Cookie: a", "x-a: 2", "Cookie: c", "Cookie: d"))
    assert req.raw_headers[:4] == ["Host", "h", "X-A", "1"]
    assert req.headers == {"host": "h", "x-a": "1, 2", "set-cookie": ["a"], "cookie": "c; d"}
    assert req.headers_distinct["x-a"] == ["1", "2"]
    req.headers["mine"] = "1"
    assert req.headers["mine"] == "1"


def test_set_encoding_keeps_characters_whole_MSG_25() -> None:
    _, req, _ = parked(get("/", "Transfer-Encoding: chunked", method="POST", body=b"1\r\n\xc3\r\n1\r\n\xa9\r\n"))
    assert req.set_encoding("utf-8") is req
    assert req.read_nowait() == "é"
    assert req.read_nowait() is None


def test_set_encoding_shows_half_a_character_at_the_end_MSG_25() -> None:
    server, req, _ = parked(get("/", "Content-Length: 2", method="POST", body=b"a\xc3"))
    req.set_encoding("utf-8")
    assert drain(req) == ["a", "\ufffd", b""]
    assert server.log[1:] == ["req1.data 'a'", "req1.data '\ufffd'", "req1.end"]


def test_unknown_encoding() -> None:
    assert code_of(parked()[1].set_encoding, "klingon") == "ERR_UNKNOWN_ENCODING"


def test_a_codec_that_holds_much_back_does_not_recurse_without_end() -> None:
    body = b"1\r\n+\r\n" + b"1\r\nA\r\n" * 5000 + b"1\r\n-\r\n0\r\n\r\n"
    _, req, _ = parked(get("/", "Transfer-Encoding: chunked", method="POST", body=body))
    req.set_encoding("utf-7")
    while req.read_nowait():
        pass
    assert req.complete


def test_read_nowait_takes_no_more_than_is_wanted() -> None:
    server, req, _ = parked(get("/", "Content-Length: 6", method="POST", body=b"abcdef"))
    assert [req.read_nowait(2), req.read_nowait(3), req.readable_length] == [b"ab", b"cde", 1]
    assert drain(req) == [b"f", b""]
    data = [line for line in server.log if ".data" in line]
    assert data == ["req1.data b'ab'", "req1.data b'cde'", "req1.data b'f'"]  # as they were read, each once


def test_read_nowait_counts_characters_once_there_is_an_encoding_MSG_25() -> None:
    body = "Zürich".encode()
    _, req, _ = parked(get("/", f"Content-Length: {len(body)}", method="POST", body=body))
    req.set_encoding("utf-8")
    assert [req.read_nowait(2), req.read_nowait(), req.read_nowait(1)] == ["Zü", "rich", b""]


def test_end_and_b_are_given_again_and_the_event_once_MSG_23_MSG_26() -> None:
    server, req, _ = parked()
    assert [req.read_nowait() for _ in range(3)] == [b"", b"", b""]
    assert server.log == ["request1", "req1.end"]


def test_destroy_of_a_request_MSG_32_MSG_33_MSG_L2() -> None:
    server, req, res = parked()
    assert not req.destroyed
    assert req.destroy() is req
    assert req.destroyed and res.destroyed and server.pump.aborted
    server.settle()
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]


def test_set_timeout_returns_self_and_checks_MSG_36() -> None:
    _, req, res = parked()
    assert req.set_timeout(5.0) is req and res.set_timeout(5.0) is res
    for bad in (-1, float("nan"), float("inf")):
        assert code_of(req.set_timeout, bad) == "ERR_OUT_OF_RANGE"
    assert code_of(req.set_timeout, "5") == "ERR_INVALID_ARG_TYPE"


# ----------------------------------------------------------------------------------------------------- requests


def test_method_and_path_may_change_until_rendered_CLI_2() -> None:
    client = Client()
    request = client.request()
    request.method, request.path = "PUT", "/b"
    for name, value in (("method", "A B"), ("path", "/b c"), ("path", "/\r\n")):
        with pytest.raises(AnywireError):
            setattr(request, name, value)
    request.end_nowait()
    client.connect(request)
    assert client.pump.taken().startswith(b"PUT /b HTTP/1.1\r\n")
    with pytest.raises(StateError):
        request.path = "/c"


def test_properties_of_a_request_CLI_1_CLI_4_CLI_6_CLI_L2() -> None:
    client = Client()
    request: Any = client.request("http://h:81/x", timeout=3.0, max_headers_count=7, max_header_size=9)
    assert (request.aborted, request.socket, request.res, request.reused_socket) == (False, None, None, False)
    assert (request.host, request.protocol, request.path, request.method, request.timeout) == (
        "h", "http:", "/x", "GET", 3.0,
    )  # fmt: skip
    assert (request.max_headers_count, request.max_header_size, request.socket_path) == (7, 9, None)
    assert "waiting" in repr(request)
    request.end_nowait()
    client.connect(request)
    assert request.socket == "socket"


def test_request_framing_WIR_23_WIR_24() -> None:
    for method, body, tail in (
        ("POST", None, b"Content-Length: 0\r\n\r\n"),
        ("POST", "hi", b"Content-Length: 2\r\n\r\nhi"),
        ("DELETE", None, b"Connection: keep-alive\r\n\r\n"),
        ("GET", "hi", b"Content-Length: 2\r\n\r\nhi"),
    ):
        client = Client()
        request = client.request(method=method)
        request.end_nowait(body)
        client.connect(request)
        assert client.pump.taken().endswith(tail), method


def test_finish_and_writable_finished_of_a_request_CLI_7_CLI_8_CLI_37() -> None:
    client = Client()
    request: Any = client.request(method="POST")
    request.end_nowait("x")
    assert request.writable_ended and not request.writable_finished
    client.connect(request)
    assert request.writable_finished and client.log == ["req.socket", "req.finish"]


def test_req_and_res_know_each_other_MSG_12() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, OK)
    assert message is request.res and message is not None and message.req is request
