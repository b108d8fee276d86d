"""The clocks of a server connection: decision 5, SRV-47 to SRV-63, SRV-L1, SRV-L2. Virtual time only."""

from __future__ import annotations

from typing import Any

import pytest

from anywire.core._pump import FOREVER

from .harness import Serving, Steps, get, read_all, response

TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"


def hello(req: Any, res: Any) -> None:
    res.end_nowait("hello")


def leave(req: Any, res: Any) -> None:
    """Answer later, or never."""


def reading(req: Any, res: Any) -> Steps:
    yield from read_all(req)
    res.end_nowait("read")


def gone(server: Serving) -> bool:
    return bool(server.pump.over)


# ------------------------------------------------------------------------------------------------------ head, body


def test_first_head_counts_from_accept_decision_5() -> None:
    server = Serving(hello, headers_timeout=10)
    server.advance(9)
    server.feed(b"GET / HT")
    assert server.advance(0.9) == b""
    assert server.advance(0.2) == TIMEOUT
    assert server.log == ["client_error ERR_HTTP_REQUEST_TIMEOUT"]
    assert server.pump.half_closed


def test_a_silent_client_gets_408_too_SRV_L2() -> None:
    server = Serving(hello, headers_timeout=10)
    assert server.advance(10) == TIMEOUT


def test_later_heads_count_from_their_first_byte_decision_5() -> None:
    server = Serving(hello, headers_timeout=10, keep_alive_timeout=60)
    server.feed(get())
    server.advance(30)
    server.feed(b"G")
    server.advance(9)
    server.feed(b"E")
    assert server.advance(0.9) == b""
    assert server.advance(0.2) == TIMEOUT


def test_trickled_bytes_do_not_restart_the_head_clock_SRV_62() -> None:
    server = Serving(hello, headers_timeout=10)
    sent = b""
    for byte in get("/", "X: " + "y" * 40):
        sent += server.feed(bytes([byte])) + server.advance(1)
        if sent:
            break
    assert sent == TIMEOUT


def test_head_clock_stops_at_the_end_of_the_head_SRV_63() -> None:
    server = Serving(reading, headers_timeout=10, request_timeout=300)
    server.feed(get("/", "Content-Length: 2", method="POST", body=b"a"))
    assert server.advance(100) == b""
    assert server.feed(b"b") == response("read")


def test_request_timeout_limits_the_whole_message_SRV_L1() -> None:
    server = Serving(reading, headers_timeout=10, request_timeout=20)
    server.advance(5)
    server.feed(get("/", "Content-Length: 9", method="POST"))
    for _ in range(7):
        server.advance(2)
        server.feed(b"x")
    assert server.advance(0.9) == b""
    assert server.advance(0.2) == TIMEOUT
    assert server.log[-3:] == ["req1.aborted", "req1.close", "res1.close"]
    assert server.reported == []


def test_request_timeout_of_a_later_request_counts_from_its_first_byte() -> None:
    server = Serving(reading, headers_timeout=10, request_timeout=20, keep_alive_timeout=60)
    server.feed(get())
    server.advance(50)
    server.feed(get("/", "Content-Length: 9", method="POST")[:5])
    server.advance(5)
    server.feed(get("/", "Content-Length: 9", method="POST")[5:])
    assert server.advance(14.9) == b""
    assert server.advance(0.2) == TIMEOUT


def test_time_between_requests_does_not_count_against_the_next_body() -> None:
    """The head came in one piece, so there was no head phase: the clock starts all the same at its first byte."""
    server = Serving(reading, request_timeout=20, keep_alive_timeout=60)
    server.feed(get())
    server.advance(50)
    server.feed(get("/", "Content-Length: 9", method="POST"))
    assert server.advance(19.9) == b""
    assert server.advance(0.2) == TIMEOUT


def test_request_timeout_after_the_response_began_is_not_answered_SRV_35() -> None:
    def handler(req: Any, res: Any) -> None:
        res.write_nowait("part")

    server = Serving(handler, request_timeout=20)
    server.feed(get("/", "Content-Length: 9", method="POST"))
    assert server.advance(30) == b""
    assert gone(server)


def test_request_timeout_while_a_handler_does_something_else() -> None:
    """408 goes out when the handler returns without an answer; the handler's later words go nowhere."""
    server = Serving(leave, request_timeout=20)
    server.feed(get("/", "Content-Length: 9", method="POST"))
    assert server.advance(20) == TIMEOUT
    res = server.requests[0][1]
    res.end_nowait("late")
    server.run()
    assert server.pump.taken() == b""
    assert server.log.count("res1.close") == 1


def test_no_limit_while_the_handler_works_but_timeout() -> None:
    server = Serving(leave)
    server.feed(get())
    server.advance(100_000)
    assert not gone(server)
    assert server.connection.next_deadline(server.clock.now) == FOREVER


@pytest.mark.parametrize("name", ["headers_timeout", "request_timeout", "keep_alive_timeout"])
def test_zero_is_no_limit(name: str) -> None:
    options: dict[str, Any] = {name: 0}
    server = Serving(reading, **options)
    if name == "request_timeout":
        server.feed(get("/", "Content-Length: 9", method="POST"))
    elif name == "keep_alive_timeout":
        server.feed(get())
    server.advance(1_000_000)
    assert not gone(server)


# ------------------------------------------------------------------------------------------------------ keep-alive


def test_keep_alive_timeout_closes_quietly_SRV_49() -> None:
    server = Serving(hello)
    server.feed(get())
    server.advance(4.9)
    assert not gone(server)
    assert server.advance(0.2) == b""
    assert gone(server)
    server.settle()
    assert server.ended


def test_keep_alive_does_not_apply_before_the_first_request_SRV_50() -> None:
    server = Serving(hello)
    server.advance(30)
    assert server.feed(get()) == response("hello")


def test_keep_alive_starts_at_the_end_of_the_last_response_SRV_51() -> None:
    server = Serving(leave)
    server.feed(get("/1") + get("/2"))
    server.requests[0][1].end_nowait()
    server.run()
    server.advance(60)
    assert not gone(server)
    server.requests[1][1].end_nowait()
    server.run()
    server.advance(4.9)
    assert not gone(server)
    server.advance(0.2)
    assert gone(server)


def test_stray_line_breaks_do_not_end_the_keep_alive_phase_SRV_52() -> None:
    server = Serving(hello)
    server.feed(get())
    for _ in range(3):
        server.advance(1.5)
        server.feed(b"\r\n")
    server.advance(0.6)
    assert gone(server)


def test_keep_alive_timeout_is_read_at_each_response_SRV_53() -> None:
    server = Serving(hello)
    server.feed(get())
    server.server.keep_alive_timeout = 50
    server.feed(get())
    server.advance(49)
    assert not gone(server)
    server.advance(2)
    assert gone(server)


def test_keep_alive_replaces_the_idle_timeout_SRV_49_SRV_55() -> None:
    server = Serving(hello, timeout=2, keep_alive_timeout=5)
    server.feed(get())
    server.advance(4.9)
    assert not gone(server)
    server.advance(0.2)
    assert gone(server)


def test_keep_alive_0_leaves_timeout_in_force_SRV_49() -> None:
    server = Serving(hello, timeout=2, keep_alive_timeout=0)
    server.feed(get())
    server.advance(1.9)
    assert not gone(server)
    server.advance(0.2)
    assert gone(server)


def test_keep_alive_with_a_timeout_listener_leaves_the_connection_SRV_58() -> None:
    server = Serving(hello)
    heard: list[Any] = []
    server.server.on("timeout", heard.append)
    server.feed(get())
    server.advance(100)
    assert heard == ["socket"] and not gone(server)
    assert server.feed(get()) == response("hello")


def test_request_that_waits_behind_a_slow_handler_does_not_spin_the_timer() -> None:
    """The response ended, its handler goes on; the next request is here but not parsed. A timer must not spin."""

    def handler(req: Any, res: Any) -> Steps:
        res.end_nowait(req.url)
        while len(server.requests) == 1 and not done:
            yield

    done: list[bool] = []
    server = Serving(handler)
    server.feed(get("/1"))
    server.feed(get("/2"))
    server.advance(100)
    assert not gone(server)
    done.append(True)
    server.run()
    assert server.pump.taken() == response("/2")


def test_stale_timer_does_nothing() -> None:
    """A backend's timer strikes for a phase that is over."""
    server = Serving(leave, headers_timeout=10)
    server.feed(get())
    server.clock.now += 10
    server.connection.handle_deadline(server.clock.now)
    assert not gone(server) and server.log == ["request1"]


def test_early_timer_does_nothing() -> None:
    server = Serving(hello, headers_timeout=10)
    server.connection.handle_deadline(server.clock.now + 9.99)
    assert not gone(server) and server.log == []


# --------------------------------------------------------------------------------------------------- drain, linger


def test_a_body_that_does_not_end_is_not_drained_for_ever() -> None:
    server = Serving(hello)
    server.server.linger_timeout = 3
    server.feed(get("/", "Content-Length: 100", method="POST"))
    for _ in range(2):
        server.advance(1.4)
        server.feed(b"x")
    assert not gone(server)
    server.advance(0.3)
    assert server.pump.aborted
    server.settle()
    assert server.log == ["request1", "res1.finish", "res1.close", "req1.aborted", "req1.close"]


def test_lingering_ends() -> None:
    server = Serving(hello)
    server.server.linger_timeout = 3
    server.feed(get("/", "Connection: close"))
    server.advance(2.9)
    assert not gone(server)
    server.advance(0.2)
    assert server.pump.aborted
    server.settle()
    assert server.ended


def test_lingering_ends_with_the_fin_long_before_the_limit() -> None:
    server = Serving(hello)
    server.feed(get("/", "Connection: close"))
    server.eof()
    assert server.ended


# ---------------------------------------------------------------------------------------------------- idle timeout


def test_timeout_covers_a_connection_that_never_spoke_SRV_48() -> None:
    server = Serving(hello, timeout=3)
    assert server.advance(2.9) == b""
    assert not gone(server)
    assert server.advance(0.2) == b""  # SRV-57: nothing is sent
    assert gone(server)


def test_timeout_covers_a_pending_request_SRV_48_SRV_57() -> None:
    server = Serving(leave, timeout=3)
    server.feed(get())
    assert server.advance(3) == b""
    server.settle()
    assert server.log == ["request1", "req1.aborted", "req1.close", "res1.close"]


def test_traffic_restarts_the_idle_clock_SRV_48() -> None:
    server = Serving(leave, timeout=3)
    server.feed(get())
    res = server.requests[0][1]
    for _ in range(3):
        server.advance(2)
        res.write_nowait("x")
        server.run()
    server.advance(2.9)
    assert not gone(server)
    server.advance(0.2)
    assert gone(server)


def test_slow_readers_are_not_idle_SRV_48() -> None:
    server = Serving(leave, timeout=3)
    server.feed(get())
    server.pump.room = 0
    server.requests[0][1].write_nowait(bytes(40000))
    server.run()
    server.advance(2)
    server.pump.take()
    server.advance(2.9)
    assert not gone(server)


def test_timeout_order_SRV_56() -> None:
    server = Serving(leave, timeout=3)
    order: list[str] = []
    server.feed(get("/", "Content-Length: 3", method="POST"))
    req, res = server.requests[0]
    server.server.on("timeout", lambda socket: order.append("server"))
    res.on("timeout", lambda socket: order.append("response"))
    req.on("timeout", lambda socket: order.append("request"))
    server.advance(10)
    assert order == ["request", "response", "server"]  # and once per silence
    assert not gone(server)


def test_a_complete_request_is_asked_until_it_is_answered_MSG_36() -> None:
    server = Serving(leave, timeout=3, keep_alive_timeout=0)
    heard: list[Any] = []
    server.feed(get())
    request, response = server.requests[0]
    request.on("timeout", heard.append)
    server.advance(3)
    assert len(heard) == 1 and not gone(server)
    response.end_nowait()
    server.run()
    server.advance(3)
    assert len(heard) == 1 and gone(server)


def test_response_listener_prevents_destruction_RES_73() -> None:
    server = Serving(leave)
    heard: list[Any] = []
    server.feed(get())
    server.requests[0][1].set_timeout(3, heard.append)
    server.advance(3)
    assert heard == ["socket"] and not gone(server)
    server.requests[0][1].write_nowait("x")
    server.run()
    server.advance(3)
    assert heard == ["socket"] * 2


def test_timeout_of_one_response_ends_with_it_RES_72() -> None:
    server = Serving(leave)
    heard: list[Any] = []
    server.feed(get())
    res = server.requests[0][1]
    res.set_timeout(3, heard.append)
    res.end_nowait()
    server.feed(get())
    server.advance(100)
    assert heard == [] and not gone(server)


def test_timeout_is_read_when_accepted_SRV_47() -> None:
    server = Serving(leave, timeout=3)
    server.server.timeout = 100
    server.advance(3)
    assert gone(server)


def test_set_timeout_of_the_server_SRV_59() -> None:
    server = Serving(leave)
    heard: list[Any] = []
    assert server.server.set_timeout(7.0, heard.append) is server.server
    assert server.server.timeout == 7.0 and server.server.listeners("timeout") == [heard.append]


def test_a_connection_that_was_given_up_has_no_deadline() -> None:
    """A transport that closes slowly must not be struck by timers that can do nothing any more."""
    server = Serving(leave, timeout=3)
    server.feed(get())
    server.pump.room = 0
    server.requests[0][1].write_nowait(bytes(100))
    server.eof()
    assert server.pump.closing and not server.pump.closed
    server.advance(100)
    assert server.connection.next_deadline(server.clock.now) == FOREVER
