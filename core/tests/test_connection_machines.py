"""Random inputs to connections: nothing but typed errors, the same events for every split, no timer that spins."""

from __future__ import annotations

import errno
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from anywire.core._connection import CLOSED_EVENT
from anywire.core._errors import AnywireError
from anywire.core._incoming import IncomingMessage
from anywire.core._state import BODY, CLOSED, DONE, FAILED, IDLE, SWITCHED

from .harness import Client, ConnectionPair, Serving, Steps, drain, finite, get, merged, pieces_of, read_all

REQUESTS = [
    get(),
    get("/c", "Connection: close"),
    get(version="1.0"),
    get(method="HEAD"),
    get("/p", "Content-Length: 4", method="POST", body=b"body"),
    get("/q", "Transfer-Encoding: chunked", method="POST", body=b"2\r\nab\r\n1;x\r\nc\r\n0\r\nT: v\r\n\r\n"),
    get("/e", "Expect: 100-continue", "Content-Length: 1", method="POST", body=b"x"),
    get("/f", "Expect: pony"),
    get("/u", "Upgrade: x", "Connection: upgrade"),
    b"\r\n",
    get("/bad", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\n"),
    b"\x16\x03\x01",
    get("/half", "Content-Length: 9", method="POST", body=b"half"),
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil close",
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
    b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


def answering(req: Any, res: Any) -> Steps:
    body = yield from read_all(req)
    res.end_nowait(f"{req.url} {len(body)}")


# --------------------------------------------------------------------------------------------------------- splits


@given(st.data())
def test_server_same_events_and_bytes_for_every_split_WIR_75_SEC_29(data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=4)))
    cuts = data.draw(st.sets(st.integers(1, max(1, len(stream) - 1))))
    fin = data.draw(st.booleans())
    seen = []
    for pieces in ([stream], pieces_of(stream, cuts), pieces_of(stream, range(len(stream)))):
        server = Serving(answering)
        sent = server.feed(*pieces)
        if fin:
            sent += server.eof()
        errors = [str(error) for error in server.reported]
        seen.append(
            (sent, merged(server.log), errors, server.ended, server.pump.half_closed, server.connection.receiving)
        )
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][2] == []


@given(st.data())
def test_client_same_events_for_every_split_WIR_75_SEC_29(data: st.DataObject) -> None:
    stream = b"".join(data.draw(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=4)))
    cuts = data.draw(st.sets(st.integers(1, max(1, len(stream) - 1))))
    end = data.draw(st.sampled_from(["open", "fin", "reset"]))
    seen = []
    for pieces in ([stream], pieces_of(stream, cuts), pieces_of(stream, range(len(stream)))):
        client = Client()
        request = client.get()
        failure = ""
        try:
            for piece in pieces:
                if client.pump.over:
                    break
                client.pump.receive(piece)
                request._advance()
            if end == "fin" and not client.pump.over:
                client.pump.eof()
            elif end == "reset" and not client.pump.over:
                client.pump.reset()
            if request._switched is None and request._advance() is not None:
                drain(request.res)
        except AnywireError as error:
            failure = f"{error.code} {error}"
        # Whether bytes behind a complete answer were here before it was read, or killed the pooled
        # connection a moment later, makes no difference to observers of this request.
        seen.append((failure, merged(client.log)))
    assert seen[0] == seen[1] == seen[2]


# --------------------------------------------------------------------------------------- what is said is what is heard

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8).map(lambda name: "x-" + name)
VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0xFF, blacklist_characters="\x7f"), max_size=12
).filter(lambda value: not any(0x7F <= ord(each) < 0xA0 for each in value))
FIELDS = st.dictionaries(TOKENS, VALUES.filter(lambda value: value == value.strip()), max_size=4)
BODY_PIECES = st.lists(st.binary(max_size=40), max_size=4)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"]),
    path=st.text("abc/?=&%~", max_size=10).map(lambda text: "/" + text),
    status=st.sampled_from([200, 201, 299, 404, 500, 999]),
    reason=st.one_of(st.none(), VALUES),
    asked=FIELDS,
    told=FIELDS,
    trailers=FIELDS,
    up=BODY_PIECES,
    down=BODY_PIECES,
    length=st.booleans(),
    cut=st.integers(1, 100),
)
def test_parse_of_serialize_is_identity(
    method: str,
    path: str,
    status: int,
    reason: str | None,
    asked: dict[str, str],
    told: dict[str, str],
    trailers: dict[str, str],
    up: list[bytes],
    down: list[bytes],
    length: bool,
    cut: int,
) -> None:
    heard: dict[str, Any] = {}

    def handler(req: Any, res: Any) -> Steps:
        heard["body"] = yield from read_all(req)
        heard["head"] = (req.method, req.url)
        heard["fields"] = {name: value for name, value in req.headers.items() if name.startswith("x-")}
        heard["trailers"] = req.trailers
        if length:
            res.set_header("Content-Length", sum(map(len, down)))
        res.write_head(status, reason, told)
        for piece in down:
            res.write_nowait(piece)
        res.end_nowait(trailers=None if length else trailers)

    pair = ConnectionPair(handler, cut=lambda data: pieces_of(data, range(cut, len(data), cut)))
    for _ in range(2):
        request = pair.client.request(method=method, path=path, headers=asked)
        with_body = any(up)
        if with_body:
            for piece in up:
                request.write_nowait(piece)
        request.end_nowait(trailers=trailers if with_body else None)
        pair.client.connect(request)
        pair.carry(request)
        assert heard["head"] == (method, path)
        assert heard["fields"] == asked
        assert heard["body"] == (b"".join(up) if with_body else b"")
        assert heard["trailers"] == (trailers if with_body else {})
        message = request.res
        assert message is not None and message.status_code == status
        if reason is not None:
            assert message.status_message == reason
        assert b"".join(drain(message)) == b"".join(down)
        assert {name: value for name, value in message.headers.items() if name.startswith("x-")} == told
        assert message.trailers == ({} if length else trailers)
    assert len(pair.client.pumps) == 1


# -------------------------------------------------------------------------------------------------------- machines

STATES = {IDLE, BODY, DONE, SWITCHED, CLOSED, FAILED}


class ServerMachine(RuleBasedStateMachine):
    """A server connection under everything a peer, a handler and a clock can do, in any order.

    ``Serving`` asserts that the loop does not spin; ``strike`` that no timer does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.server = Serving(self.handler, timeout=7, keep_alive_timeout=3, headers_timeout=5, request_timeout=9)
        self.closes: dict[int, list[str]] = {}
        self.rest = b""

    def handler(self, req: Any, res: Any) -> None:
        seen = self.closes[id(req)] = []
        for emitter, label in ((req, "req"), (res, "res")):
            for event in ("close", "finish", "aborted", "end"):
                emitter.on(event, lambda label=label, event=event: seen.append(f"{label}.{event}"))

    @property
    def last(self) -> tuple[IncomingMessage, Any] | None:
        return self.server.requests[-1] if self.server.requests else None

    def told(self, action: Any) -> None:
        """Misuse and lost connections raise our errors, never anything else."""
        try:
            action()
        except AnywireError:
            pass
        self.server.run()

    @rule(data=st.sampled_from(REQUESTS), part=st.integers(1, 200))
    def start_request(self, data: bytes, part: int) -> None:
        if not self.rest:
            self.rest = data
        self.server.feed(self.rest[:part])
        self.rest = self.rest[part:]

    @rule(part=st.integers(1, 50))
    def more(self, part: int) -> None:
        if self.rest:
            self.server.feed(self.rest[:part])
            self.rest = self.rest[part:]

    @rule()
    def fin(self) -> None:
        self.server.eof()

    @rule(number=st.sampled_from([errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT]))
    def reset(self, number: int) -> None:
        self.server.pump.reset(number)

    @rule()
    def settle(self) -> None:
        self.server.settle()

    @rule(seconds=st.sampled_from([0.0, 0.5, 3.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.server.advance(seconds)

    @rule()
    def stale_timer(self) -> None:
        self.server.connection.handle_deadline(self.server.clock.now)
        self.server.run()

    @rule(room=st.sampled_from([None, 0, 10, 100000]))
    def kernel(self, room: int | None) -> None:
        self.server.pump.take(room)

    @precondition(lambda self: self.last is not None)
    @rule(
        old=st.integers(0, 3),
        what=st.sampled_from(["read", "head", "write", "big", "end", "100", "kill", "drop", "fail"]),
    )
    def application(self, old: int, what: str) -> None:
        requests = self.server.requests
        req, res = requests[max(0, len(requests) - 1 - old)]
        actions: dict[str, Any] = {
            "read": req.read_nowait,
            "head": lambda: res.write_head(200),
            "write": lambda: res.write_nowait("chunk"),
            "big": lambda: res.write_nowait(bytes(20000)),
            "end": lambda: res.end_nowait("end"),
            "100": res.write_continue_nowait,
            "kill": res.destroy,
            "drop": req.destroy,
            "fail": lambda: None if res.writable_ended else self.server.server.answer_failure(res, RuntimeError("x")),
        }
        self.told(actions[what])

    @invariant()
    def states_are_states(self) -> None:
        connection = self.server.connection
        assert connection.receiving in STATES and connection.sending in STATES

    @invariant()
    def nothing_unexpected_was_raised(self) -> None:
        assert self.server.reported == []

    @invariant()
    def each_event_comes_once(self) -> None:
        for seen in self.closes.values():
            assert len(seen) == len(set(seen)), seen
            assert (
                "res.finish" not in seen
                or "res.close" not in seen
                or (seen.index("res.finish") < seen.index("res.close"))
            ), seen

    @invariant()
    def what_is_sent_is_whole(self) -> None:
        """At most one final head per request, and nothing behind a 4xx that we made up ourselves."""
        sent = bytes(self.server.pump.sent)
        canned = sent.find(b"\r\nConnection: close\r\n\r\n")
        for line in (b"HTTP/1.1 400 Bad Request", b"HTTP/1.1 408 Request Timeout"):
            at = sent.find(line + b"\r\nConnection: close\r\n\r\n")
            if at >= 0:
                assert canned >= 0 and sent.endswith(line + b"\r\nConnection: close\r\n\r\n")

    @invariant()
    def no_deadline_lies_in_the_past_after_it_was_handled(self) -> None:
        connection, now = self.server.connection, self.server.clock.now
        if self.server.pump.closed:
            return
        connection.handle_deadline(now)
        self.server.run()
        due = connection.next_deadline(now)
        assert not finite(due) or due > now or self.server.pump.over

    def teardown(self) -> None:
        self.server.pump.take()
        self.server.pump.reset()
        assert self.server.ended or self.server.connection.switched
        for req, _ in self.server.requests:
            if (seen := self.closes.get(id(req))) is not None and not self.server.connection.switched:
                assert seen.count("req.close") == 1, seen  # decision 3
                assert seen.count("res.close") == 1, seen


class ClientMachine(RuleBasedStateMachine):
    """Requests, one after the other, under everything a server, an application and a clock can do."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(timeout=6.0, max_sockets=2)
        self.requests: list[tuple[Any, list[str]]] = []

    @rule(
        method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "CONNECT"]),
        body=st.sampled_from([None, "body"]),
        end=st.booleans(),
        timeout=st.sampled_from([None, 2.0]),
    )
    def start(self, method: str, body: str | None, end: bool, timeout: float | None) -> None:
        if method == "CONNECT":
            body = None
        request = self.client.request(
            method=method, watch=False, timeout=timeout, path="h:1" if method == "CONNECT" else "/"
        )
        seen: list[str] = []
        for event in ("close", "error", "response", "abort", "finish", "timeout"):
            request.on(event, lambda *_, event=event: seen.append(event))
        request.on("response", lambda message: message.on("close", lambda: seen.append("res.close")))
        self.requests.append((request, seen))
        self.told(lambda: request.end_nowait(body) if end else request.write_nowait(body or ""))

    def told(self, action: Any) -> None:
        try:
            action()
        except AnywireError:
            pass

    def pick(self, index: int) -> Any:
        return self.requests[max(0, len(self.requests) - 1 - index)][0]

    @precondition(lambda self: self.requests)
    @rule(index=st.integers(0, 3))
    def connect(self, index: int) -> None:
        request = self.pick(index)
        lease = request._lease
        if (
            request._connection is None
            and not request._gone()
            and lease is not None
            and lease.state in ("open", "assigned")
        ):
            self.client.connect(request)

    @precondition(lambda self: self.requests)
    @rule(
        index=st.integers(0, 3),
        what=st.sampled_from(["look", "read", "write", "end", "flush", "abort", "destroy", "drop", "kill", "free"]),
    )
    def application(self, index: int, what: str) -> None:
        request = self.pick(index)
        message = request.res
        actions: dict[str, Any] = {
            "look": request._advance,
            "read": lambda: message and drain(message),
            "write": lambda: request.write_nowait("more"),
            "end": lambda: request.end_nowait("end"),
            "flush": request.flush_headers_nowait,
            "abort": request.abort,
            "destroy": request.destroy,
            "drop": lambda: message and message.destroy(),
            "kill": lambda: (
                request._connection and request._connection.request is request and request._connection.destroy()
            ),
            "free": self.client.agent.settle,
        }
        self.told(actions[what])

    @precondition(lambda self: self.client.pumps)
    @rule(index=st.integers(0, 2), data=st.sampled_from(ANSWERS), part=st.integers(1, 200))
    def receive(self, index: int, data: bytes, part: int) -> None:
        self.pump(index).receive(data[:part])

    @precondition(lambda self: self.client.pumps)
    @rule(index=st.integers(0, 2), what=st.sampled_from(["fin", "reset", "settle", "stall", "go"]))
    def transport(self, index: int, what: str) -> None:
        pump = self.pump(index)
        if what == "fin":
            pump.eof()
        elif what == "reset":
            pump.reset()
        elif what == "settle":
            pump.settle()
        else:
            pump.take(0 if what == "stall" else None)

    def pump(self, index: int) -> Any:
        return self.client.pumps[max(0, len(self.client.pumps) - 1 - index)]

    @precondition(lambda self: self.client.pumps)
    @rule(index=st.integers(0, 2), seconds=st.sampled_from([0.0, 1.0, 3.0, 10.0]))
    def time_passes(self, index: int, seconds: float) -> None:
        self.client.advance(seconds, self.pump(index).feed)

    @invariant()
    def each_event_comes_once(self) -> None:
        for _, seen in self.requests:
            assert len(seen) == len(set(seen)), seen

    @invariant()
    def an_ended_exchange_holds_no_lease(self) -> None:
        for request, seen in self.requests:
            if request._gone():
                assert request._lease is None
                assert "close" in seen or request._switched is not None

    @invariant()
    def a_pooled_connection_is_usable_or_about_to_go(self) -> None:
        self.client.agent.check_invariants()
        for connection in self.client.pooled:
            assert connection.request is None and connection.reusable

    @invariant()
    def states_are_states(self) -> None:
        for pump in self.client.pumps:
            feed: Any = pump.feed
            assert feed.receiving in STATES and feed.sending in STATES

    def teardown(self) -> None:
        for request, _ in self.requests:
            request.destroy()
        assert not self.client.agent.sockets
        for request, seen in self.requests:
            assert seen.count("close") == 1 or request._switched is not None


ServerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
ClientMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestServerMachine = ServerMachine.TestCase
TestClientMachine = ClientMachine.TestCase


@given(inputs=st.lists(st.one_of(st.sampled_from(REQUESTS), st.binary(max_size=20)), max_size=6), fin=st.booleans())
def test_receive_never_raises_and_next_event_raises_nothing(inputs: list[bytes], fin: bool) -> None:
    """Without any loop around it: the drain rule alone, and events end with one error or CLOSED_EVENT."""
    server = Serving()
    connection = server.connection
    for data in inputs:
        connection.receive_data(data)
    if fin:
        connection.receive_eof()
    errors = 0
    for _ in range(50):
        event = connection.next_event()
        if event is None or event is CLOSED_EVENT:
            break
        if isinstance(event, IncomingMessage):
            made = server.server.server_response_class(event)
            connection.response = made
            made.end_nowait()
        else:
            errors += 1
            assert isinstance(event, AnywireError)
    else:
        raise AssertionError("events without end")
    assert errors <= 1
