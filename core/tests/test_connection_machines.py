"""Random inputs to connections: nothing but typed errors, the same events for every split, no timer that spins."""

from __future__ import annotations

import errno
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from anywire.core._connection import CLOSED_EVENT
from anywire.core._errors import AnywireError
from anywire.core._incoming import IncomingMessage
from anywire.core._limits import Limits
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
GOOD = [*REQUESTS[:1], *REQUESTS[3:7], REQUESTS[8]]
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
FINE = [*ANSWERS[:3], *ANSWERS[:3], *ANSWERS[5:7], b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"]


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


SEEN: Counter[str] = Counter()
"""What the machines came by: a machine that never gets there shows nothing about it."""


def weighted(acts: dict[str, int]) -> st.SearchStrategy[str]:
    """Left to itself Hypothesis favours short histories in which hardly anything is ever answered."""
    return st.sampled_from([act for act, weight in acts.items() for _ in range(weight)])


class ServerMachine(RuleBasedStateMachine):
    """A server connection under everything a peer, a handler and a clock can do, in any order.

    ``Serving`` asserts that the loop does not spin; ``strike`` that no timer does.
    """

    ACTS = weighted(
        {
            "message": 24, "part": 24, "answer": 16, "read": 4, "few": 2, "head": 2, "write": 4, "big": 2, "end": 4,
            "end with trailers": 4, "100": 2, "103": 4, "fail": 2, "kill": 1, "drop": 1, "pause": 2, "stall": 4,
            "go": 4, "time": 6, "stale timer": 2, "settle": 2, "fin": 1, "reset": 1,
        }
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.server = Serving(
            self.handler, timeout=7, keep_alive_timeout=3, headers_timeout=5, request_timeout=9, max_buffered=300
        )
        self.server.server.on("upgrade", lambda *_: None)
        self.server.server.on("connect", lambda *_: None)
        self.closes: dict[int, list[str]] = {}
        self.rest = b""

    def handler(self, req: Any, res: Any) -> None:
        seen = self.closes[id(req)] = []
        for emitter, label in ((req, "req"), (res, "res")):
            for event in ("close", "finish", "aborted", "end"):
                emitter.on(event, lambda label=label, event=event: seen.append(f"{label}.{event}"))

    @initialize(listening=st.sets(st.sampled_from(["client_error", "check_continue", "check_expectation"])))
    def begin(self, listening: set[str]) -> None:
        for event in sorted(listening):
            self.server.server.on(event, self.handler if event.startswith("check") else lambda *_: None)

    @rule(data=st.data(), act=ACTS)
    def step(self, data: st.DataObject, act: str) -> None:
        server, pump = self.server, self.server.pump
        match act:
            case "message" | "part":
                self.rest = self.rest or data.draw(st.sampled_from(GOOD if data.draw(st.integers(0, 5)) else REQUESTS))
                size = len(self.rest) if act == "message" else data.draw(st.integers(1, 60))
                server.feed(self.rest[:size])
                self.rest = self.rest[size:]
            case "fin":
                server.eof()
            case "reset":
                pump.reset(data.draw(st.sampled_from([errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT])))
            case "settle":
                server.settle()
            case "time" | "stale timer" if server.connection.switched:
                pass  # its pump asks somebody else
            case "time":
                server.advance(data.draw(st.sampled_from([0.0, 0.5, 3.0, 5.0, 20.0])))
            case "stale timer":
                server.connection.handle_deadline(server.clock.now)
                server.run()
            case "stall":
                pump.take(data.draw(st.sampled_from([0, 10, 100000])))
            case "go":
                pump.take()
            case _:
                self.application(act, data.draw(st.sampled_from([0, 0, 0, 1, 3])))
        SEEN["server: reading stopped"] += bool(pump._held)
        SEEN["server: writing stopped"] += pump.blocked
        SEEN[f"server: {server.connection._phase}"] += 1

    def application(self, act: str, old: int) -> None:
        requests = self.server.requests
        if not requests:
            return
        req, res = requests[max(0, len(requests) - 1 - old)]

        def answer() -> None:
            drain(req)
            res.end_nowait("answer")

        actions: dict[str, Any] = {
            "answer": answer,
            "read": lambda: drain(req),
            "few": lambda: req.read_nowait(1),
            "head": lambda: res.write_head(200),
            "write": lambda: res.write_nowait("chunk"),
            "big": lambda: res.write_nowait(bytes(20000)),
            "end": lambda: res.end_nowait("end"),
            "end with trailers": lambda: res.end_nowait(trailers={"X-T": "v"}),
            "100": res.write_continue_nowait,
            "103": lambda: res.write_information_nowait(103, {"Link": "x"}),
            "kill": res.destroy,
            "drop": req.destroy,
            "pause": req.pause,
            "fail": lambda: None if res.writable_ended else self.server.server.answer_failure(res, RuntimeError("x")),
        }
        try:
            actions[act]()
        except AnywireError:
            pass  # misuse and lost connections raise our errors, never anything else
        self.server.run()

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
        if self.server.pump.closed or connection.switched:
            return
        connection.handle_deadline(now)
        self.server.run()
        due = connection.next_deadline(now)
        assert not finite(due) or due > now or self.server.pump.over

    def teardown(self) -> None:
        server = self.server
        SEEN["server: upgraded"] += server.connection.switched
        SEEN["server: several requests"] += len(server.requests) > 1
        for line in server.log:
            SEEN[f"server: {line.split(' ')[0].partition('.')[2] or line.partition(' ')[2]}"] += 1
        for req, res in server.requests:
            SEEN["server: trailers"] += bool(req.raw_trailers)
            SEEN["server: body complete"] += req.complete and req._length != 0
            SEEN["server: unread body answered"] += not req._end_seen and req._length != 0 and res.writable_finished
        server.pump.take()
        server.pump.reset()
        assert server.ended or server.connection.switched
        for req, _ in server.requests:
            if (seen := self.closes.get(id(req))) is not None and not server.connection.switched:
                assert seen.count("req.close") == 1, seen  # decision 3
                assert seen.count("res.close") == 1, seen


class ClientMachine(RuleBasedStateMachine):
    """Requests in a pool, under everything a server, an application and a clock can do."""

    ACTS = weighted(
        {
            "start": 18, "connect": 8, "message": 24, "part": 6, "look": 4, "read": 24, "few": 2, "write": 4, "end": 10,
            "end with trailers": 2, "flush": 2, "abort": 1, "destroy": 1, "drop": 1, "kill": 1, "pause": 2, "stall": 3,
            "go": 4, "time": 3, "settle": 4, "fin": 1, "reset": 1,
        }
    )  # fmt: skip
    ASKED: tuple[dict[str, Any], ...] = (
        {},
        {},
        {"method": "HEAD"},
        {"method": "POST"},
        {"method": "PUT", "headers": {"Content-Length": "4"}},
        {"method": "POST", "headers": {"Expect": "100-continue"}},
        {"method": "CONNECT", "path": "h:1"},
        {"headers": {"Upgrade": "x", "Connection": "upgrade"}},
        {"timeout": 2.0},
    )

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(timeout=6.0, max_sockets=2)
        self.requests: list[tuple[Any, list[str]]] = []
        self.rest: dict[int, bytes] = {}

    @rule(data=st.data(), act=ACTS)
    def step(self, data: st.DataObject, act: str) -> None:
        if not self.requests:
            act = "start"
        elif act == "start" and self.client.agent.requests:
            act = "read"  # a long queue hides the rest
        match act:
            case "start":
                self.start(data.draw(st.sampled_from(self.ASKED)), data.draw(st.sampled_from(["end", "end", "later"])))
            case "connect":
                for number in range(len(self.requests)):
                    self.connect(self.requests[number][0])
            case "message" | "part" | "fin" | "reset" | "settle" | "stall" | "go" | "time":
                if self.client.pumps:
                    self.transport(data, act, self.pump(data.draw(st.sampled_from([0, 0, 0, 1, 2]))))
            case _:
                self.application(act, data.draw(st.sampled_from([0, 0, 0, 1, 2])))
        SEEN["client: pooled"] += bool(self.client.pooled)
        SEEN["client: queued"] += bool(self.client.agent.requests)
        for pump in self.client.pumps:
            SEEN["client: writing stopped"] += pump.blocked
            SEEN["client: reading stopped"] += bool(pump._held)

    def start(self, options: dict[str, Any], end: str) -> None:
        request = self.client.request(watch=False, **options)
        seen: list[str] = []
        for event in ("close", "error", "response", "abort", "finish", "timeout", "upgrade", "connect"):
            request.on(event, lambda *_, event=event: seen.append(event))
        for event in ("information", "continue"):
            request.on(event, lambda *_, event=event: SEEN.update([f"client: {event}"]))
        request.on("response", lambda message: message.on("close", lambda: seen.append("res.close")))
        self.requests.append((request, seen))
        body = "body" if options.get("method") in ("POST", "PUT") else None
        self.told(lambda: request.end_nowait(body) if end == "end" else request.write_nowait(body or ""))
        self.connect(request)

    def told(self, action: Any) -> None:
        try:
            action()
        except AnywireError as error:
            SEEN[f"client: {type(error).__name__}"] += 1

    def connect(self, request: Any) -> None:
        lease = request._lease
        free = request._connection is None and not request._gone()
        if free and lease is not None and lease.state in ("open", "assigned"):
            self.client.connect(request, Limits(max_buffered=300, max_header_size=300, max_trailer_size=300))

    def application(self, act: str, old: int) -> None:
        request = self.requests[max(0, len(self.requests) - 1 - old)][0]
        message = request.res

        def read() -> None:
            free = request._connection is None or request._switched is not None
            found = None if free else request._advance()
            if found is not None:
                drain(found)

        actions: dict[str, Any] = {
            "look": lambda: request._connection and request._advance(),
            "read": read,
            "few": lambda: message and message.read_nowait(1),
            "write": lambda: request.write_nowait("more" * 3000),
            "end": lambda: request.end_nowait("end"),
            "end with trailers": lambda: request.end_nowait(trailers={"X-T": "v"}),
            "flush": request.flush_headers_nowait,
            "abort": request.abort,
            "destroy": request.destroy,
            "drop": lambda: message and message.destroy(),
            "pause": lambda: message and message.pause(),
            "kill": lambda: (
                request._connection and request._connection.request is request and request._connection.destroy()
            ),
        }
        self.told(actions[act])
        self.client.agent.settle()

    def transport(self, data: st.DataObject, act: str, pump: Any) -> None:
        match act:
            case "message" | "part":
                known = self.rest.get(id(pump), b"")
                known = known or data.draw(st.sampled_from(FINE if data.draw(st.integers(0, 3)) else ANSWERS))
                size = len(known) if act == "message" else data.draw(st.integers(1, 60))
                pump.receive(known[:size])
                self.rest[id(pump)] = known[size:]
            case "fin":
                pump.eof()
            case "reset":
                pump.reset()
            case "settle":
                pump.settle()
            case "stall" | "go":
                pump.take(0 if act == "stall" else None)
            case _:
                self.client.advance(data.draw(st.sampled_from([0.0, 1.0, 3.0, 10.0])), pump.feed)

    def pump(self, index: int) -> Any:
        pumps = [pump for pump in self.client.pumps if not pump.over] or self.client.pumps
        return pumps[max(0, len(pumps) - 1 - index)]

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
            assert not (connection._parser.buffered or connection.eof or connection.lost)

    @invariant()
    def states_are_states(self) -> None:
        for pump in self.client.pumps:
            feed: Any = pump.feed
            assert feed.receiving in STATES and feed.sending in STATES

    def teardown(self) -> None:
        for request, seen in self.requests:
            SEEN.update(f"client: {event}" for event in seen)
            SEEN["client: reused"] += request.reused_socket
            SEEN["client: switched"] += request._switched is not None
            if request.res is not None:
                SEEN["client: trailers"] += bool(request.res.raw_trailers)
                SEEN["client: complete"] += request.res.complete
            request.destroy()
        assert not self.client.agent.sockets
        for request, seen in self.requests:
            assert seen.count("close") == 1 or request._switched is not None


REACHED: dict[type[RuleBasedStateMachine], set[str]] = {
    ServerMachine: {
        "aborted", "body", "body complete", "close", "data", "end", "finish", "handler", "head", "keep-alive", "linger",
        "reading stopped", "several requests", "trailers",
    },
    ClientMachine: {
        "abort", "close", "complete", "error", "finish", "information", "pooled", "queued", "reading stopped",
        "response", "res.close", "ConnectionLost", "StateError",
    },
}  # fmt: skip
"""What is come by so often that its absence is a mistake of the machine; the rest depends on luck."""


@pytest.mark.slow
@pytest.mark.parametrize("machine", REACHED)
def test_machine(machine: type[RuleBasedStateMachine]) -> None:
    SEEN.clear()
    run_state_machine_as_test(machine, settings=settings(max_examples=150, stateful_step_count=40, deadline=None))
    seen = {what.partition(": ")[2] for what, count in SEEN.items() if count}
    assert REACHED[machine] <= seen, SEEN


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
