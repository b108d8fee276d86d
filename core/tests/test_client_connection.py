"""ClientConnection and ClientRequest: answers, failures, the way back into the pool. No waiting, no sockets."""

from __future__ import annotations

from typing import Any

import pytest

from anywire.core._errors import (
    AnywireError,
    ConnectionLost,
    ParseError,
    RemoteError,
    StateError,
    TimedOut,
    TruncatedError,
)
from anywire.core._incoming import IncomingMessage
from anywire.core._limits import Limits
from anywire.core._pump import FOREVER
from anywire.core._request import ClientRequest

from .harness import Client, drain

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"


def fails(request: ClientRequest) -> AnywireError:
    with pytest.raises(AnywireError) as info:
        request._advance()
    return info.value


def pooled(client: Client) -> int:
    return sum(map(len, client.agent.free_sockets.values()))


def used(client: Client) -> int:
    return sum(map(len, client.agent.sockets.values()))


# --------------------------------------------------------------------------------------------------- an exchange


def test_request_and_answer_CLI_51_CLI_L3_WIR_22() -> None:
    client = Client()
    request = client.get("http://127.0.0.1:81/")
    assert client.pump.taken() == b"GET / HTTP/1.1\r\nHost: 127.0.0.1:81\r\nConnection: keep-alive\r\n\r\n"
    message = client.answer(request, OK)
    assert message is request.res and message is not None and message.req is request
    assert drain(message) == [b"ok", b""]
    assert client.log == [
        "req.socket", "req.finish", "req.response 200", "res.data b'ok'", "res.end", "req.close", "res.close",
    ]  # fmt: skip
    assert (pooled(client), used(client)) == (1, 0)


def test_non_persistent_exchange_closes_the_connection_AGT_47_WIR_21() -> None:
    client = Client(keep_alive=False)
    request = client.get()
    assert b"Connection: close" in client.pump.taken()
    drain(client.answer(request, OK))
    assert client.log[-3:] == ["res.end", "req.close", "res.close"]
    assert client.pump.closing and (pooled(client), used(client)) == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ],
)
def test_an_answer_that_closes_is_not_pooled_CLI_10_decision_14(answer: bytes) -> None:
    client = Client()
    request = client.get()
    drain(client.answer(request, answer))
    assert client.pump.closing and pooled(client) == 0
    assert request.should_keep_alive is False


def test_user_supplied_close_is_not_pooled_AGT_43() -> None:
    client = Client()
    request = client.get(headers={"Connection": "close"})
    drain(client.answer(request, OK))
    assert client.pump.closing and pooled(client) == 0


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
def test_answers_without_a_body_free_the_connection_at_once_WIR_84_WIR_85_MSG_26(status: str) -> None:
    client = Client()
    request = client.get()
    fields = "Content-Length: 0" if status.startswith("200") else "Content-Length: 7"
    message = client.answer(request, f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode())
    assert message is not None and message.complete
    assert pooled(client) == 1
    assert client.log[2:] == [f"req.response {status[:3]}", "res.end", "req.close", "res.close"]


def test_head_answer_has_no_body_WIR_83() -> None:
    client = Client()
    request = client.get(method="HEAD")
    message = client.answer(request, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
    assert message is not None and message.complete and drain(message) == [b""]
    assert pooled(client) == 1


def test_close_of_an_empty_answer_that_is_read_later_decision_3() -> None:
    client = Client()
    request = client.get(watch=False)
    message = client.answer(request, EMPTY)
    assert message is not None
    client.log.watch(message, "res", "end", "close")
    assert drain(message) == [b""]
    assert client.log == ["res.end", "res.close"]


def test_chunked_body_and_trailers_MSG_24_MSG_7() -> None:
    client = Client()
    request = client.get()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    message = client.answer(request, head + b"1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n")
    assert message is not None and message.trailers == {}
    assert drain(message) == [b"a", b"bc", b""]
    assert (message.trailers, message.raw_trailers) == ({"x": "y"}, ["X", "y"])


@pytest.mark.parametrize("how", ["fin", "close"])
def test_body_until_close_is_complete_MSG_43_WIR_80(how: str) -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert message is not None
    assert drain(message) == [b"abc"]
    if how == "fin":
        client.pump.eof()
    else:
        client.pump.abort()
        client.pump.settle()
    assert drain(message) == [b""]
    assert message.complete and not message.aborted
    assert client.log[-3:] == ["res.end", "req.close", "res.close"]
    assert pooled(client) == 0


def test_body_until_close_that_ends_by_reset_is_not_complete_MSG_38() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, b"HTTP/1.1 200 OK\r\n\r\nabc")
    client.pump.reset()
    assert message is not None and message.read_nowait() == b"abc"
    with pytest.raises(TruncatedError):
        message.read_nowait()


@pytest.mark.parametrize("size", [1, 2, 7])
def test_any_split_gives_the_same_WIR_75(size: int) -> None:
    client = Client()
    request = client.get()
    data = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    message = client.answer(request, *(data[at : at + size] for at in range(0, len(data), size)))
    assert message is not None
    assert b"".join(drain(message)) == b"abc"
    assert client.log[2:4] == ["req.information 102", "req.response 200"]


# ------------------------------------------------------------------------------------------------------- interim


def test_continue_and_information_CLI_33_CLI_34_CLI_35() -> None:
    client = Client()
    request = client.get()
    message = client.answer(
        request,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + EMPTY,
    )
    assert message is not None and message.status_code == 200
    assert client.log[2:-3] == [
        "req.continue", "req.information 100", "req.continue", "req.information 100", "req.information 103",
        "req.response 200",
    ]  # fmt: skip


def test_framing_of_an_interim_answer_is_ignored_WIR_86() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\n" + OK)
    assert drain(message) == [b"ok", b""]


def test_100_interim_answers_are_accepted_101_are_not_SEC_24() -> None:
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    client = Client()
    request = client.get(watch=False)
    assert client.answer(request, interim * 100 + EMPTY) is not None
    client = Client()
    request = client.get(watch=False)
    client.pump.receive(interim * 101 + EMPTY)
    error = fails(request)
    assert isinstance(error, ParseError) and error.code == "HPE_INVALID_STATUS"
    assert client.pump.aborted and used(client) == 0


def test_connection_ends_after_only_interim_answers_CLI_36() -> None:
    client = Client()
    request = client.get()
    client.answer(request, b"HTTP/1.1 100 Continue\r\n\r\n")
    client.pump.eof()
    assert (fails(request).code, client.log[-2:]) == ("ECONNRESET", ["req.error ECONNRESET", "req.close"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "CONNECT", "POST"])
@pytest.mark.parametrize("url", ["http://h/", "http://h:8080/a?b", "http://[::1]/"])
@pytest.mark.parametrize("persists", [True, False, "with an agent only"])
def test_a_head_is_the_same_whether_or_not_its_fields_were_asked_for(
    method: str, url: str, persists: bool | str
) -> None:
    heads = []
    for asks in (False, True):
        request = Client().request(url, watch=False, agent=persists is True, method=method)
        request.should_keep_alive = bool(persists)
        if asks:
            assert request.get_header("host") is not None
        request.end_nowait()
        heads.append((b"".join(request._sink), request.should_keep_alive, request.get_headers()))
    assert heads[0] == heads[1]
    assert heads[0][0].count(b"Host: ") == 1


# ----------------------------------------------------------------------------------------------- upgrade, CONNECT


def test_upgrade_leaves_the_pool_CLI_41_CLI_42_CLI_44() -> None:
    client = Client()
    request = client.get(headers={"Connection": "Upgrade", "Upgrade": "x"})
    client.pump.receive(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nmore")
    assert request._advance() is None
    assert request._switched is not None
    message, head = request._switched
    assert (message.upgrade, message.complete, head, request.res) == (True, True, b"more", message)
    assert (pooled(client), used(client)) == (0, 0)
    assert not client.pump.over
    assert "req.response 101" not in client.log


def test_101_without_upgrade_fields_is_an_ordinary_answer_CLI_41_CLI_45() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, b"HTTP/1.1 101 Switching Protocols\r\n\r\nrest")
    assert message is not None and message.status_code == 101
    assert "req.response 101" in client.log and request._switched is None
    assert message.complete and client.pump.over and pooled(client) == 0


@pytest.mark.parametrize("status", ["200 OK", "407 Proxy Authentication Required"])
def test_connect_any_final_answer_switches_CLI_46_CLI_47(status: str) -> None:
    client = Client()
    request = client.get(method="CONNECT", path="a:1")
    assert client.pump.taken().startswith(b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n")
    client.pump.receive(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nhi".encode())
    assert request._advance() is None and request._switched is not None
    assert request._switched[1] == b"hi"
    assert used(client) == 0


# ------------------------------------------------------------------------------------------------------ failures


def test_fin_before_the_answer_CLI_54() -> None:
    client = Client()
    request = client.get()
    client.pump.eof()
    error = fails(request)
    assert isinstance(error, ConnectionLost) and (error.code, error.message) == ("ECONNRESET", "socket hang up")
    assert client.log == ["req.socket", "req.finish", "req.error ECONNRESET", "req.close"]
    assert client.pump.aborted and used(client) == 0


def test_fin_inside_the_head_CLI_54_WIR_90() -> None:
    client = Client()
    request = client.get()
    client.answer(request, b"HTTP/1.1 2")
    client.pump.eof()
    assert fails(request).message == "socket hang up"


def test_reset_before_the_answer_CLI_55() -> None:
    client = Client()
    request = client.get()
    client.pump.reset()
    error = fails(request)
    assert isinstance(error, ConnectionLost)
    assert (error.message, error.code, error.syscall) == ("read ECONNRESET", "ECONNRESET", "read")
    assert client.log[2:] == ["req.error ECONNRESET", "req.close"]


def test_fin_mid_body_is_aborted_without_an_error_event_CLI_56_MSG_38() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, LONG)
    client.pump.eof()
    assert message is not None and message.read_nowait() == b"part"
    with pytest.raises(TruncatedError) as info:  # decision 18: reading raises
        message.read_nowait()
    assert info.value.code == "ECONNRESET"
    assert client.log[3:] == ["res.data b'part'", "res.aborted", "req.close", "res.close"]
    assert message.aborted and not message.complete
    assert used(client) == 0


def test_reset_mid_body_is_an_error_event_first_CLI_57_MSG_38() -> None:
    client = Client()
    heard: list[Any] = []
    request = client.get()
    request.on("error", heard.append)
    message = client.answer(request, LONG)
    client.pump.reset()
    assert message is not None and message.read_nowait() == b"part"
    with pytest.raises(TruncatedError):
        message.read_nowait()
    assert client.log[4:] == ["req.error ECONNRESET", "res.aborted", "req.close", "res.close"]
    assert (heard[0].message, heard[0].syscall) == ("read ECONNRESET: GET http://h:80/", "read")


def test_unparsable_answer_CLI_58() -> None:
    client = Client()
    request = client.get()
    client.pump.receive(b"ICY 200 OK\r\n\r\n")
    error = fails(request)
    assert isinstance(error, ParseError) and error.code == "HPE_INVALID_CONSTANT"
    assert client.log[2:] == ["req.error HPE_INVALID_CONSTANT", "req.close"]
    assert client.pump.aborted


def test_malformed_body_ends_the_exchange_CLI_58() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n")
    assert message is not None
    with pytest.raises(ParseError):
        message.read_nowait()
    with pytest.raises(ParseError):
        message.read_nowait()
    assert client.log[3:] == ["req.error HPE_INVALID_CHUNK_SIZE", "res.aborted", "req.close", "res.close"]
    assert client.pump.aborted and used(client) == 0


def test_answer_before_a_reset_is_still_read_early_answer() -> None:
    """What was read before the transport died counts: a 413 must not be lost to a write error."""
    client = Client()
    request = client.request(method="POST")
    request.write_nowait("x")
    client.connect(request)
    client.pump.receive(b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
    client.pump.reset()
    message = request._advance()
    assert message is not None and message.status_code == 413
    assert drain(message) == [b"no", b""]


def test_error_attributes_ASK_15() -> None:
    client = Client()
    drain(client.answer(client.get(), OK))
    request = client.get(method="GET", replay=False)
    client.pump.eof()
    error = fails(request)
    assert isinstance(error, RemoteError)
    assert (error.reused, error.response_started, error.replay_safe) == (True, False, "yes")
    assert error.bytes_written == len(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
    assert error.phase == "head"


def test_error_attributes_of_a_post_ASK_15() -> None:
    for answer, started, safe in ((b"", False, "unknown"), (b"HTTP", True, "no")):
        client = Client()
        request = client.request(method="POST")
        request.end_nowait("x")
        client.connect(request)
        if answer:
            client.answer(request, answer)
        client.pump.eof()
        error = fails(request)
        assert (error.reused, error.response_started, error.replay_safe) == (False, started, safe)


def test_nothing_written_is_always_safe_to_replay_ASK_15() -> None:
    client = Client()
    request = client.request(method="POST")
    client.connect(request)
    client.pump.eof()
    error = fails(request)
    assert (error.bytes_written, error.replay_safe) == (0, "yes")


def test_phase_after_flush_headers_is_head() -> None:
    client = Client()
    request = client.request(method="POST")
    client.connect(request)
    request.flush_headers_nowait()
    client.pump.eof()
    assert fails(request).phase == "head"


# -------------------------------------------------------------------------------------------------------- replay


def stale(client: Client, **options: Any) -> ClientRequest:
    """A request on a pooled connection that the server closes without a word."""
    drain(client.answer(client.get(watch=False), OK))
    request = client.get(**options)
    assert request.reused_socket
    request._connection.pump.eof()  # type: ignore[union-attr]
    return request


def test_stale_connection_is_replaced_once_decision_7_RFC_9110_9_2_2() -> None:
    client = Client()
    request = stale(client)
    sent = client.pumps[0].taken()
    assert request._advance() is None and request._connection is None
    client.connect(request)
    assert client.pumps[1].taken() == sent[-len(sent) // 2 :] and len(client.pumps) == 2
    assert not request.reused_socket
    drain(client.answer(request, OK))
    assert client.log[-1] == "res.close" and "req.error ECONNRESET" not in client.log
    assert (pooled(client), used(client)) == (1, 0)


def test_a_replay_is_not_replayed_RFC_9110_9_2_2() -> None:
    """A client SHOULD NOT automatically retry a failed automatic retry, on whatever connection it went out."""
    client = Client()
    requests = [client.get(watch=False) for _ in range(2)]
    for request in requests:
        drain(client.answer(request, OK))
    assert pooled(client) == 2
    request = client.get(watch=False)
    request._connection.pump.eof()  # type: ignore[union-attr]
    assert request._advance() is None
    client.connect(request)
    assert request.reused_socket
    request._connection.pump.eof()  # type: ignore[union-attr]
    assert fails(request).reused


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"replay": False}, "switched off"),
        ({"method": "POST"}, "not idempotent"),
        ({"method": "PATCH"}, "not idempotent"),
    ],
)
def test_no_replay_decision_7(options: dict[str, Any], why: str) -> None:
    client = Client()
    assert fails(stale(client, **options)).code == "ECONNRESET", why


def test_no_replay_on_a_fresh_connection() -> None:
    client = Client()
    request = client.get()
    client.pump.eof()
    fails(request)


def test_no_replay_after_a_byte_of_an_answer() -> None:
    client = Client()
    drain(client.answer(client.get(watch=False), OK))
    request = client.get()
    client.answer(request, b"H")
    client.pump.eof()
    fails(request)


def test_no_replay_of_a_body_that_was_streamed() -> None:
    client = Client()
    drain(client.answer(client.get(watch=False), OK))
    request = client.request(method="PUT")
    client.connect(request)
    request.write_nowait("a")
    request.end_nowait("b")
    client.pump.eof()
    fails(request)


def test_no_replay_of_what_is_no_loss() -> None:
    client = Client()
    drain(client.answer(client.get(watch=False), OK))
    request = client.get()
    client.pump.receive(b"garbage")
    assert fails(request).code == "HPE_INVALID_CONSTANT"


# ---------------------------------------------------------------------------------------------- idle connections


@pytest.mark.parametrize("what", ["bytes", "fin", "reset"])
def test_whatever_happens_to_an_idle_connection_ends_it_SEC_1_AGT_61(what: str) -> None:
    client = Client()
    drain(client.answer(client.get(), OK))
    pump = client.pump
    if what == "bytes":
        pump.receive(b"HTTP/1.1 200 OK\r\n\r\n")
    elif what == "fin":
        pump.eof()
    else:
        pump.reset()
    assert pooled(client) == 0
    assert pump.over
    request = client.get()
    assert len(client.pumps) == 2 and not request.reused_socket


def test_bytes_behind_a_response_spoil_the_connection_SEC_1_CLI_59_CLI_60() -> None:
    for answer in (OK, EMPTY):
        for extra in (b"x", OK):
            client = Client()
            request = client.get()
            message = client.answer(request, answer + extra)
            assert drain(message)[-1] == b""
            assert pooled(client) == 0 and client.pump.over
            assert client.log[-3:] == ["res.end", "req.close", "res.close"]


def test_fin_right_behind_a_response_is_not_pooled_SEC_1() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, OK)
    client.pump.eof()
    assert drain(message) == [b"ok", b""]
    assert pooled(client) == 0 and client.pump.over


def test_unread_input_is_noticed_at_hand_over() -> None:
    client = Client()
    drain(client.answer(client.get(), OK))
    client.pump.held_eof = True  # in the kernel, not told yet
    request = client.get()
    assert len(client.pumps) == 2 and not request.reused_socket


def test_reused_socket_tells_the_truth_also_from_the_queue_decision_4() -> None:
    client = Client(max_sockets=1)
    first = client.get(label="req1")
    second = client.request(label="req2")
    second.end_nowait()
    assert second._lease is not None and second._lease.state == "queued"
    drain(client.answer(first, OK))
    assert second._lease.state == "assigned"
    client.connect(second)
    assert second.reused_socket and len(client.pumps) == 1


@pytest.mark.parametrize(
    ("field", "usable"),
    [
        ("Keep-Alive: timeout=10", [True, True]),
        ("Keep-Alive: timeout=2", [True, False]),
        ("keep-alive: TIMEOUT=2", [True, False]),
        ("KEEP-ALIVE: timeout=2", [True, False]),
        ("Keep-Alive: max=1", [False, False]),
        ("Keep-Alive: timeout=10, max=1", [False, False]),
        ("Keep-Alive: max=1, timeout=10", [False, False]),
        ("Keep-Alive: max=5, timeout=2", [True, False]),
        ("X-Keep-Alive: timeout=0", [True, True]),
        ("Connection: keep-alive", [True, True]),
    ],
)
def test_keep_alive_hints_AGT_L4_ASK_2(field: str, usable: list[bool]) -> None:
    seen = []
    for seconds in (0.5, 5.0):
        client = Client()
        drain(client.answer(client.get(), f"HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 0\r\n\r\n".encode()))
        client.clock.now += seconds
        client.get()
        seen.append(len(client.pumps) == 1)
    assert seen == usable


def test_free_event_AGT_48() -> None:
    client = Client()
    freed: list[Any] = []
    client.agent.on("free", lambda socket, options: freed.append((socket, options["host"])))
    drain(client.answer(client.get(), OK))
    assert freed == [("socket", "h")]


# ----------------------------------------------------------------------------------------------- early responses


def test_early_answer_on_a_persistent_connection_CLI_65_CLI_66_AGT_44() -> None:
    client = Client()
    request = client.request(method="POST")
    request.write_nowait("a")
    client.connect(request)
    drain(client.answer(request, OK))
    assert pooled(client) == 0
    client.pump.taken()
    request.end_nowait("b")
    assert client.pump.taken() == b"1\r\nb\r\n0\r\n\r\n"
    assert pooled(client) == 1
    assert client.log == [
        "req.socket", "req.response 200", "res.data b'ok'", "res.end", "req.finish", "req.close", "res.close",
    ]  # fmt: skip


def test_early_answer_waits_for_the_flush_CLI_66() -> None:
    client = Client()
    request = client.request(method="POST")
    client.connect(request)
    drain(client.answer(request, OK))
    client.pump.room = 0
    request.end_nowait(bytes(50000))
    assert pooled(client) == 0
    client.pump.take()
    assert pooled(client) == 1
    assert client.log[-3:] == ["req.finish", "req.close", "res.close"]


@pytest.mark.parametrize("headers", [None, {"Content-Length": 100}])
def test_early_answer_that_closes_ends_the_upload_CLI_67(headers: Any) -> None:
    client = Client()
    request = client.request(method="POST", headers=headers)
    request.write_nowait("a")
    client.connect(request)
    answer = b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
    drain(client.answer(request, answer))
    assert client.pump.closing
    client.pump.taken()
    assert request.write_nowait("b") is False
    request.end_nowait("c")
    assert client.pump.taken() == b""
    assert client.log == [
        "req.socket", "req.response 413", "res.data b'no'", "res.end", "req.close", "res.close",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ writing before a socket


def test_output_is_queued_until_there_is_a_connection_CLI_20() -> None:
    client = Client()
    request = client.request(method="POST")
    assert request.write_nowait("a" * 100) is True
    assert request.write_nowait("b" * 20000) is False
    client.connect(request)
    assert client.log == ["req.socket", "req.drain"]  # RES-49, RES-50: once, because a write said False
    assert request.write_nowait("c") is True
    assert client.log == ["req.socket", "req.drain"]


def test_drain_of_a_blocked_transport_RES_49() -> None:
    client = Client()
    request = client.request(method="POST")
    client.connect(request)
    client.pump.room = 0
    assert request.write_nowait(bytes(20000)) is False
    assert "req.drain" not in client.log
    client.pump.take()
    assert client.log[-1] == "req.drain"


def test_nothing_is_sent_before_a_reason_CLI_17() -> None:
    client = Client()
    request = client.request(method="POST")
    client.connect(request)
    assert client.pump.taken() == b""
    request.flush_headers_nowait()
    assert client.pump.taken().startswith(b"POST / HTTP/1.1\r\n")


def test_expect_sends_the_head_at_construction_CLI_18_WIR_26() -> None:
    client = Client(keep_alive=False)
    request = client.request(method="POST", headers={"Expect": "100-continue"})
    with pytest.raises(StateError, match="Cannot set headers"):
        request.set_header("A", "b")
    client.connect(request)
    assert client.pump.taken() == (
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


# --------------------------------------------------------------------------------------------- abort and destroy


def test_abort_before_a_socket_is_abort_and_close_CLI_72_decision_9() -> None:
    client = Client()
    request = client.request()
    request.abort()
    request.abort()  # CLI-69
    assert request.aborted and request.destroyed
    assert client.log == ["req.abort", "req.close"]
    assert (used(client), client.pumps) == (0, [])


def test_abort_while_connecting_CLI_74() -> None:
    client = Client()
    woken: list[bool] = []

    class Waiter:
        def wake(self) -> None:
            woken.append(True)

    request = client.request()
    assert request._lease is not None
    request._lease.waiter = Waiter()  # somebody is at it
    request.abort()
    assert client.log == ["req.abort", "req.error ECONNRESET", "req.close"]
    assert used(client) == 0


def test_abort_while_queued_leaves_the_queue_CLI_73() -> None:
    client = Client(max_sockets=1)
    client.get(label="req1")
    queued = client.request(label="req2")
    queued.abort()
    assert client.agent.requests == {}
    assert client.log[-2:] == ["req2.abort", "req2.close"]


def test_abort_while_waiting_for_the_answer_CLI_74() -> None:
    client = Client()
    request = client.get()
    request.abort()
    assert client.log == ["req.socket", "req.finish", "req.abort", "req.error ECONNRESET", "req.close"]
    assert client.pump.aborted and used(client) == 0
    assert fails(request).message == "socket hang up"


def test_abort_mid_body_CLI_75_CLI_78() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, LONG)
    request.abort()
    assert client.log[3:] == ["req.abort", "res.aborted", "req.close", "res.close"]
    assert message is not None and message.aborted


def test_abort_in_the_response_listener_CLI_75() -> None:
    client = Client()
    request = client.get()
    request.on("response", lambda message: request.abort())
    client.pump.receive(LONG)
    assert request._advance() is not None
    assert client.log[2:] == ["req.response 200", "req.abort", "res.aborted", "req.close", "res.close"]


def test_abort_in_the_end_listener_CLI_77() -> None:
    client = Client()
    request = client.get()
    request.on("response", lambda message: message.on("end", request.abort))
    drain(client.answer(request, OK))
    assert client.log[4:] == ["res.end", "req.abort", "req.close", "res.close"]
    assert pooled(client) == 0 and client.pump.aborted


def test_abort_after_success_leaves_the_pooled_connection_alone_CLI_70_decision_4() -> None:
    for what in ("abort", "destroy"):
        client = Client()
        first = client.get(label="req1")
        message = client.answer(first, OK)
        drain(message)
        second = client.get(label="req2")
        getattr(first, what)()
        assert message is not None
        message.destroy()
        assert not client.pump.over
        drain(client.answer(second, OK))
        assert client.log[-1] == "res2.close"


def test_destroy_before_a_socket_CLI_79_decision_10() -> None:
    client = Client()
    request = client.request()
    request.destroy()
    assert client.log == ["req.error ECONNRESET", "req.close"]
    assert used(client) == 0


def test_destroy_while_waiting_CLI_81() -> None:
    client = Client()
    request = client.get()
    assert request.destroy() is request
    assert client.log[2:] == ["req.error ECONNRESET", "req.close"]
    assert not request.aborted


def test_destroy_mid_body_delivers_what_came_CLI_82() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, LONG)
    request.destroy()
    assert client.log[3:] == ["res.aborted", "req.close", "res.close"]
    assert message is not None and message.read_nowait() == b"part"
    with pytest.raises(AnywireError):
        message.read_nowait()


def test_destroy_with_an_error_before_the_answer_CLI_83() -> None:
    client = Client()
    heard: list[Exception] = []
    request = client.get()
    request.on("error", heard.append)
    problem = StateError("mine", code="MINE")
    request.destroy(problem)
    assert heard == [problem]
    assert client.log[2:] == ["req.error MINE", "req.close"]


def test_destroy_with_an_error_mid_body_CLI_84() -> None:
    client = Client()
    request = client.get()
    client.answer(request, LONG)
    request.destroy(StateError("mine", code="MINE"))
    assert client.log[3:] == ["req.error MINE", "res.aborted", "req.close", "res.close"]


def test_destroy_with_a_foreign_exception_fails_with_that_CLI_83() -> None:
    client = Client()
    request = client.get()
    problem = ValueError("mine")
    request.destroy(problem)
    assert request.error is problem


@pytest.mark.parametrize("error", [None, StateError("mine", code="MINE")])
def test_destroying_the_response_mid_body_MSG_35(error: AnywireError | None) -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, LONG)
    assert message is not None
    message.destroy(error)
    noise = [] if error is None else ["req.error MINE"]
    assert client.log[3:] == [*noise, "res.aborted", "req.close", "res.close"]
    assert client.pump.aborted and used(client) == 0


def test_destroying_the_connection_fails_its_request() -> None:
    """socket.destroy(): nobody may be waiting on the request, and its place in the pool must not be lost."""
    client = Client()
    request = client.get()
    request._connection.destroy()  # type: ignore[union-attr]
    assert client.log[2:] == ["req.error ECONNRESET", "req.close"]
    assert used(client) == 0


def test_writing_after_abort_CLI_28() -> None:
    client = Client()
    request = client.request(method="POST")
    request.write_nowait("a")
    client.connect(request)
    request.abort()
    log = list(client.log)
    assert request.write_nowait("b") is False
    request.end_nowait("c")
    assert request.writable_ended and not request.writable_finished
    assert client.log == log


def test_agent_destroy_fails_requests_in_flight_AGT_84() -> None:
    client = Client()
    request = client.get()
    client.agent.destroy()
    assert client.log[2:] == ["req.error ECONNRESET", "req.close"]
    assert fails(request).code == "ECONNRESET"


# ------------------------------------------------------------------------------------------------------- timeouts


def test_timeout_with_a_listener_is_told_once_CLI_86_CLI_87() -> None:
    client = Client()
    request = client.request(timeout=3.0)
    request.end_nowait()
    client.connect(request)
    client.advance(2.9)
    assert "req.timeout" not in client.log
    client.advance(100)
    assert client.log == ["req.socket", "req.finish", "req.timeout"]
    assert not request.destroyed
    drain(client.answer(request, OK))
    assert pooled(client) == 1


def test_timeout_without_a_listener_fails_the_request() -> None:
    client = Client()
    request = client.request(watch=False, timeout=3.0)
    request.end_nowait()
    client.connect(request)
    client.advance(3)
    error = fails(request)
    assert isinstance(error, TimedOut) and error.code == "ETIMEDOUT" and error.phase == "head"
    assert client.pump.aborted and used(client) == 0


def test_traffic_restarts_the_clock_CLI_92_CLI_93() -> None:
    client = Client()
    request = client.get(timeout=3.0)
    message: IncomingMessage | None = None
    for byte in LONG:
        client.advance(2)
        message = client.answer(request, bytes([byte]))
    assert message is not None and "req.timeout" not in client.log
    client.advance(3)
    assert client.log[-1] == "req.timeout"


def test_set_timeout_CLI_89_CLI_91_CLI_94() -> None:
    client = Client()
    heard: list[int] = []
    request = client.get()
    client.advance(5)
    assert request.set_timeout(6, lambda: heard.append(1)) is request
    client.advance(5)
    request.set_timeout(9, lambda: heard.append(2))
    client.advance(8)
    assert heard == []
    client.advance(1)
    assert heard == [1, 2]
    request.clear_timeout()
    assert client.pump.feed.next_deadline(client.clock.now) == FOREVER


def test_set_timeout_after_the_end_is_harmless_CLI_96() -> None:
    client = Client()
    request = client.get()
    message = client.answer(request, OK)
    drain(message)
    assert message is not None
    assert request.set_timeout(1) is request
    message.set_timeout(1)
    assert client.pump.feed.next_deadline(client.clock.now) == FOREVER


def test_abort_in_the_timeout_listener_CLI_97() -> None:
    client = Client()
    request = client.get(timeout=3.0)
    request.on("timeout", request.abort)
    client.advance(3)
    assert client.log[2:] == ["req.timeout", "req.abort", "req.error ECONNRESET", "req.close"]


def test_the_response_never_emits_timeout_MSG_37_CLI_99() -> None:
    client = Client()
    heard: list[str] = []
    request = client.get()
    message = client.answer(request, LONG)
    assert message is not None
    message.set_timeout(3, lambda: heard.append("response"))
    client.advance(3)
    assert heard == [] and client.log[-1] == "req.timeout"


def test_timeout_ends_with_the_exchange_AGT_67() -> None:
    client = Client()
    drain(client.answer(client.get(timeout=3.0), OK))
    client.advance(100)
    assert pooled(client) == 1
    request = client.get(label="req2")
    client.advance(100)
    assert request.reused_socket and "req2.timeout" not in client.log


# ---------------------------------------------------------------------------------------------------- read-ahead


def test_want_read_is_bounded_MSG_27() -> None:
    client = Client()
    request = client.get()
    client.answer(request, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    connection = request._connection
    assert connection is not None
    connection.receive_data(bytes(65535))
    assert connection.want_read
    connection.receive_data(b"x")
    assert not connection.want_read


def test_header_limits_CLI_30_decision_6() -> None:
    client = Client()
    request = client.request()
    request.end_nowait()
    client.connect(request, Limits(max_headers_count=2))
    client.pump.receive(b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nContent-Length: 0\r\n\r\n")
    assert fails(request).code == "HPE_HEADER_OVERFLOW"


def test_informational_messages_are_not_the_response() -> None:
    client = Client()
    seen: list[IncomingMessage] = []
    request = client.get()
    request.on("information", seen.append)
    client.answer(request, b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + EMPTY)
    (info,) = seen
    assert (info.status_code, info.status_message, info.http_version, info.raw_headers) == (
        103, "Early Hints", "1.1", ["Link", "a"],
    )  # fmt: skip
    assert request.res is not info
