"""Fuzz targets: a server's and a client's connection, under a peer, an application, a transport and a clock.

Two bytes set it up (with a client, a third one names leniencies), the rest is a program (see `programs`). It runs as
it is, with all that arrives between two operations at once, and byte by byte; observers must not see a difference.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from anywire.core._errors import AnywireError, ParseError
from anywire.core._framing import RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser
from anywire.core._state import BODY, CLOSED, DONE, FAILED, IDLE, SWITCHED

from ..tests.harness import Client, Serving, Steps, drain, finite, merged, strike
from ..tests.harness import read_all as reading
from . import programs
from .parsers import tolerated

__all__ = ["client", "server"]

Step = bytes | int
STATES = {IDLE, BODY, DONE, SWITCHED, CLOSED, FAILED}
FAILURES = [errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT]


class Deliberate(Exception):
    """What an application raises on purpose."""


def ways(steps: list[Step]) -> list[list[Step]]:
    """One program in every split."""
    return [steps, list(programs.joined(steps)), list(programs.bytewise(steps))]


class Bodies:
    """How much of each body was read, against how much was framed."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[Any, bytes]] = {}

    def note(self, message: Any, pieces: Iterable[bytes]) -> None:
        """`pieces` were read from `message`."""
        _, body = self._read.get(id(message), (message, b""))
        body += b"".join(pieces)
        self._read[id(message)] = message, body
        total, length = len(body), message._length
        assert length < 0 or total <= length, "more body than was framed"
        assert length < 0 or not message._end_seen or total == length, "ended, and something is missing"

    def all(self) -> list[bytes]:
        """What was read, message by message."""
        return [body for _, body in self._read.values() if body]


def bounded(connection: Any, longest: int) -> None:
    """Input read ahead stops at a bound."""
    kept = connection._parser.buffered
    assert connection.switched or kept < connection._bound + longest, f"{kept} bytes are kept"


# ------------------------------------------------------------------------------------------------ server


def server(data: bytes) -> None:
    """A server's connection."""
    setup, steps = programs.read(data, 2)
    seen = [ServerRun(setup, way).run() for way in ways(steps)]
    # Once reading pauses, where it does depends on how long the last piece was.
    assert len({paused for paused, _ in seen}) > 1 or seen[0] == seen[1] == seen[2], seen


class ServerRun:
    """One run of a program."""

    def __init__(self, setup: bytes, steps: list[Step]) -> None:
        first, second = setup
        options: dict[str, Any] = {"insecure_http_parser": bool(first & 1)}
        if first & 2:
            options |= {"max_header_size": 100, "max_headers_count": 5, "max_trailer_size": 20}
            options |= {"max_chunk_extension_size": 10}
        if first & 4:
            options |= {"max_drain": 4, "max_buffered": 1}
        if second & 1:
            options |= {"timeout": 7, "keep_alive_timeout": 3, "headers_timeout": 5, "request_timeout": 9}
        options["http_allow_half_open"] = bool(second & 2)
        options["max_requests_per_socket"] = 2 if second & 4 else 0
        handler = [None, self.echo, self.early, self.late, self.raising][(first >> 3 & 7) % 5]
        self.bodies = Bodies()
        self.closes: list[tuple[Any, list[str]]] = []
        self.serving = serving = Serving(handler, **options)
        if handler is None:
            serving.server.on("request", self.watched)
        for bit, event in enumerate(("upgrade", "connect", "client_error", "check_continue", "check_expectation")):
            if second >> 3 + bit & 1:
                listener = self.client_error if event == "client_error" else self.noted
                serving.server.on(event, listener if event in ("upgrade", "connect", "client_error") else self.watched)
        self.errors: list[Any] = []
        self.steps = steps
        self.longest = max((len(step) for step in steps if isinstance(step, bytes)), default=0)
        self.paused = False

    # -- the application ---------------------------------------------------------------------------------------

    def watched(self, req: Any, res: Any) -> None:
        """Note what a request and its response emit at their ends."""
        seen: list[str] = []
        self.closes.append((req, seen))
        for emitter, label in ((req, "req"), (res, "res")):
            for event in ("close", "finish", "aborted", "end"):
                emitter.on(event, lambda label=label, event=event: seen.append(f"{label}.{event}"))

    def noted(self, *_: Any) -> None:
        """Nothing more is needed of who upgrades."""

    def client_error(self, error: Any, _: Any) -> None:
        """Leaves the connection alone."""
        self.errors.append(error)

    def read_all(self, req: Any) -> Steps:
        """Read to the end."""
        pieces: list[bytes] = []
        while True:
            had = len(pieces)
            try:
                for piece in reading(req, pieces):
                    self.bodies.note(req, pieces[had:])
                    had = len(pieces)
                    yield piece
            finally:
                self.bodies.note(req, pieces[had:])
            return

    def echo(self, req: Any, res: Any) -> Steps:
        """Read, then answer."""
        self.watched(req, res)
        yield from self.read_all(req)
        res.end_nowait(f"{req.url} {req.trailers}")

    def early(self, req: Any, res: Any) -> None:
        """Answer without reading."""
        self.watched(req, res)
        res.set_header("X-Method", req.method)
        res.end_nowait("early")

    def late(self, req: Any, res: Any) -> Steps:
        """Begin the answer, read, go on."""
        self.watched(req, res)
        res.write_nowait("begun")
        yield from self.read_all(req)
        res.end_nowait(trailers={"X-T": "v"})

    def raising(self, req: Any, res: Any) -> Steps:
        """Read, then fail."""
        self.watched(req, res)
        yield from self.read_all(req)
        raise Deliberate

    def operate(self, number: int) -> None:
        """One of the operations."""
        serving, pump = self.serving, self.serving.pump
        requests = serving.requests
        if number < 8:
            outside: list[Callable[[], object]] = [
                lambda: None,
                pump.eof,
                lambda: pump.reset(FAILURES[len(requests) % 3]),
                serving.settle,
                lambda: serving.connection.handle_deadline(serving.clock.now),
                lambda: pump.take(0),
                lambda: pump.take(10),
                pump.take,
            ]
            outside[number]()
        elif number < 12:
            if serving.connection.switched:
                return  # its pump asks somebody else
            due = serving.clock.now + (0.0, 0.5, 3.0, 20.0)[number - 8]
            strike(serving.connection, pump, serving.clock, due, serving.run)
        elif requests:
            req, res = requests[-1]
            inside: list[Callable[[], object]] = [
                lambda: self.bodies.note(req, drain(req)),
                lambda: self.bodies.note(req, [req.read_nowait(3) or b""]),
                lambda: res.write_head(200, {"X-A": "b"}),
                lambda: res.write_head(204),
                lambda: res.set_header("Content-Length", 5),
                lambda: res.write_nowait("chunk"),
                lambda: res.write_nowait(bytes(20000)),
                res.flush_headers_nowait,
                lambda: res.end_nowait("end"),
                lambda: res.end_nowait(trailers={"X-T": "v"}),
                lambda: res.write_information_nowait(103, {"Link": "x"}),
                res.write_continue_nowait,
                res.destroy,
                req.destroy,
                req.pause,
                lambda: None if res.writable_ended else serving.server.answer_failure(res, Deliberate()),
                lambda: setattr(serving.server, "draining", True),
                lambda: res.set_header("Connection", "close"),
                lambda: self.bodies.note(requests[0][0], drain(requests[0][0])),
            ]
            inside[min(number - 12, len(inside) - 1)]()

    # -- the run -----------------------------------------------------------------------------------------------

    def run(self) -> Any:
        """Run; returns whether reading ever paused, and what was seen."""
        serving, pump, connection = self.serving, self.serving.pump, self.serving.connection
        over = 0
        for step in self.steps:
            try:
                if isinstance(step, bytes):
                    pump.receive(step)
                else:
                    self.operate(step - programs.FIRST)
            except (AnywireError, Deliberate):
                pass
            serving.run()
            self.paused = self.paused or bool(pump._held)
            self.look()
            told = [line for line in serving.log if line.startswith("client_error")]
            if told:
                assert len(told) == 1, told
                dispatched = len(serving.requests)
                assert over in (0, dispatched), "a request behind an error"
                over = dispatched
        self.responses()
        seen = (bytes(pump.sent), merged(serving.log), serving.ended, pump.half_closed, connection.receiving)
        pump.take()
        pump.reset()
        serving.run()
        assert serving.ended or connection.switched, "the loop outlives its transport"
        for req, closes in self.closes:
            assert len(closes) == len(set(closes)), closes
            assert connection.switched or closes.count("req.close") == closes.count("res.close") == 1, (req, closes)
        return self.paused, seen

    def look(self) -> None:
        """What must hold at every moment."""
        serving, connection = self.serving, self.serving.connection
        assert connection.receiving in STATES and connection.sending in STATES
        assert all(isinstance(error, (Deliberate, AnywireError)) for error in serving.reported), serving.reported
        assert all(isinstance(error, AnywireError) for error in self.errors)
        bounded(connection, self.longest)
        if not (serving.pump.closed or connection.switched):
            connection.handle_deadline(serving.clock.now)
            serving.run()
            due = connection.next_deadline(serving.clock.now)
            assert not finite(due) or due > serving.clock.now or serving.pump.over, "stale timer"

    def responses(self) -> None:
        """What was sent are whole responses, in order, to requests that there were; only the last may be cut short."""
        if self.serving.upgraded is not None:
            return
        parser = Parser(RESPONSE, Limits())
        parser.receive_data(bytes(self.serving.pump.sent))
        asked = [req.method for req, _ in self.serving.requests]
        answered = 0
        try:
            while True:
                method = asked[answered] if answered < len(asked) else None
                head = parser.next_response(method)
                if head is None:
                    break
                if head[0] >= 200 or head[0] == 101:
                    answered += 1
                while head[4] and (piece := parser.next_body()) != b"":
                    if piece is None:
                        return
        except ParseError as error:
            raise AssertionError(f"sent what does not parse: {error} {self.serving.pump.sent!r}") from error
        assert answered <= len(asked) + 1, "answers that nobody asked for"


# ------------------------------------------------------------------------------------------------ client


ASKED: list[dict[str, Any]] = [
    {},
    {"method": "HEAD"},
    {"method": "POST"},
    {"method": "PUT", "headers": {"Content-Length": "4"}},
    {"method": "CONNECT", "path": "h:1"},
    {"headers": {"Upgrade": "x", "Connection": "upgrade"}},
    {"method": "POST", "headers": {"Expect": "100-continue"}},
    {"headers": {"Connection": "close"}},
]


def client(data: bytes) -> None:
    """A client's connections, in a pool."""
    setup, steps = programs.read(data, 3)
    seen = [ClientRun(setup, way).run() for way in ways(steps)]
    assert len({paused for paused, _ in seen}) > 1 or seen[0] == seen[1] == seen[2], seen
    if tolerated(setup[2]):
        # Leniencies only add: where nothing was refused, nobody needs them.
        strict = ClientRun(setup[:2] + b"\0", steps)
        told = strict.run()
        assert strict.refused() or told == seen[0], (told, seen[0])


class ClientRun:
    """One run of a program."""

    def __init__(self, setup: bytes, steps: list[Step]) -> None:
        first, second, third = setup
        self.client = Client(
            keep_alive=not first & 1, max_sockets=1 if first & 2 else None, timeout=6.0 if first & 4 else None
        )
        self.options: dict[str, Any] = {"insecure_http_parser": bool(first & 8)}
        self.tolerated = tolerated(third)
        if first & 16:
            self.options["timeout"] = 2.0
        self.limits = Limits()
        if first & 32:
            self.limits = Limits(
                max_header_size=100, max_headers_count=4, max_trailer_size=20, max_chunk_extension_size=10,
                max_buffered=1, max_informational=2,
            )  # fmt: skip
        self.eager = not first & 64
        self.listening = bool(first & 128)
        self.steps = steps
        self.longest = max((len(step) for step in steps if isinstance(step, bytes)), default=0)
        self.bodies = Bodies()
        self.requests: list[tuple[Any, list[str]]] = []
        self.failures: dict[int, str] = {}
        self.focus = 0
        self.paused = False
        self.start(second)

    @property
    def request(self) -> Any:
        """The one that operations are about."""
        return self.requests[max(0, len(self.requests) - 1 - self.focus)][0]

    @property
    def pump(self) -> Any:
        """The transport that the peer speaks on: that of the request, or the one opened last."""
        connection = self.request._connection
        return connection.pump if connection is not None else self.client.pump

    def start(self, number: int) -> None:
        """A request of some kind, ended or not."""
        if len(self.requests) > 7:
            return
        # Every second one is strict, so that a connection changes its parser between two.
        lenient = frozenset() if len(self.requests) & 1 else self.tolerated
        options = ASKED[number & 7] | self.options | {"lenient": lenient}
        made = self.client.request(watch=False, **options)
        seen: list[str] = []
        for event in ("abort", "close", "continue", "error", "finish", "information", "response", "timeout", "upgrade"):
            if event != "upgrade" or self.listening:
                made.on(event, lambda *args, event=event: seen.append(event))
        made.on("response", lambda message: self.watched(message, seen))
        self.requests.append((made, seen))
        self.focus = 0
        if not number & 8:
            made.end_nowait("body" if options.get("method") in ("POST", "PUT") else None)
        else:
            made.flush_headers_nowait()
        self.connect()

    def watched(self, message: Any, seen: list[str]) -> None:
        """Note what a response emits."""
        seen.append(f"{message.status_code} {message.status_message}")
        for event in ("aborted", "close", "end"):
            message.on(event, lambda event=event: seen.append(f"res.{event}"))

    def connect(self) -> None:
        """Give each request that may go its connection."""
        self.client.agent.settle()
        for request, _ in self.requests:
            lease = request._lease
            free = request._connection is None and not request._gone()
            if free and lease is not None and lease.state in ("open", "assigned"):
                self.client.connect(request, self.limits)

    def refused(self) -> bool:
        """Was there anything that a leniency may be about?"""
        return any(text.startswith("HPE_") for text in self.failures.values())

    def advance(self) -> None:
        """Look for answers, and read them. An error is final: who looks again sees the same."""
        for number, (request, _) in enumerate(self.requests):
            if request._connection is None or request._switched is not None:
                continue
            try:
                message = request._advance()
                if message is not None:
                    self.read(message)
            except AnywireError as error:
                text = f"{error.code} {error.message}"
                assert self.failures.setdefault(number, text) == text, (text, self.failures[number])

    def read(self, message: Any, n: int | None = None) -> None:
        """Read what is there."""
        if message is None:
            return
        while piece := message.read_nowait(-1 if n is None else n):
            self.bodies.note(message, [piece])
            if n is not None:
                return
        self.bodies.note(message, [])

    def operate(self, number: int) -> None:
        """One of the operations."""
        request, pump = self.request, self.pump
        message = request.res
        if number >= 24:
            self.start(number)
        elif 8 <= number < 12:
            clock = self.client.clock
            strike(pump.feed, pump, clock, clock.now + (0.0, 0.5, 3.0, 20.0)[number - 8], lambda: None)
        else:
            does: list[Callable[[], object]] = [
                lambda: None,
                pump.eof,
                lambda: pump.reset(FAILURES[len(self.requests) % 3]),
                pump.settle,
                lambda: setattr(self, "focus", self.focus ^ 1),
                lambda: pump.take(0),
                lambda: pump.take(10),
                pump.take,
                *[lambda: None] * 4,
                request._advance,
                partial(self.read, message),
                partial(self.read, message, 3),
                lambda: request.write_nowait("more"),
                lambda: request.write_nowait(bytes(20000)),
                lambda: request.end_nowait("end"),
                lambda: request.end_nowait(trailers={"X-T": "v"}),
                request.flush_headers_nowait,
                request.abort,
                request.destroy,
                lambda: message and message.destroy(),
                lambda: message and message.pause(),
            ]
            does[number]()

    def told(self, action: Callable[[], object]) -> None:
        """Do something; errors of ours are no surprise."""
        try:
            action()
        except AnywireError:
            pass

    def run(self) -> Any:
        """Run; returns whether reading ever paused, and what was seen."""
        speaking = self.pump  # whom the peer speaks to changes by operations only
        for step in self.steps:
            if isinstance(step, bytes):
                if not speaking.over:
                    self.told(partial(speaking.receive, step))
            else:
                self.told(partial(self.operate, step - programs.FIRST))
            if self.eager:
                self.advance()
            self.look()
            if isinstance(step, int) and step != programs.CUT:
                # Neither while the peer speaks: to who waits, the rest of a piece would look like an answer.
                self.told(self.connect)
                speaking = self.pump
        events = [list(seen) for _, seen in self.requests]
        seen = events, self.bodies.all(), [bytes(pump.sent) for pump in self.client.pumps], self.failures
        for request, _ in self.requests:
            request.destroy()
        self.client.agent.settle()
        assert not self.client.agent.sockets, "a place is not given back"
        for request, told in self.requests:
            assert request._switched is not None or told.count("close") == 1, told
        return self.paused, seen

    def look(self) -> None:
        """What must hold at every moment."""
        agent = self.client.agent
        agent.check_invariants()
        for connection in self.client.pooled:
            assert connection.request is None and not connection._parser.buffered and not connection.eof
        for pump in self.client.pumps:
            feed: Any = pump.feed
            assert feed.receiving in STATES and feed.sending in STATES
            bounded(feed, self.longest)
            self.paused = self.paused or bool(pump._held)
            if not pump.over:
                feed.handle_deadline(self.client.clock.now)
                due = feed.next_deadline(self.client.clock.now)
                assert not finite(due) or due > self.client.clock.now or pump.over, "stale timer"
        for request, seen in self.requests:
            once = [each for each in seen if each not in ("information", "continue")]
            assert len(once) == len(set(once)), seen
            if request._gone():
                assert request._lease is None, "over, and its place is not given back"
                assert "close" in seen or request._switched is not None, seen
            if "error" in seen:
                assert "response" not in seen[seen.index("error") :], seen
