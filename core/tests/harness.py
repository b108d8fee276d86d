"""Servers and clients without sockets: a pump in memory, a virtual clock, and a loop like the facades'.

Nothing here decides what is right. :class:`FakePump` keeps the contract of
``anywire.core.Pump``; :class:`Serving` does what a facade's ``serve()`` does, with
generator functions in the place of coroutines (a ``yield`` waits on the pump);
:class:`Client` gets connections as a facade's request does. :class:`ConnectionPair`
carries bytes between the two.

Two defects show as AssertionError whatever a test is about: a loop that is woken over
and over without input (``busy``), and a deadline that stays in the past (``stale timer``).
"""

from __future__ import annotations

import errno
from ast import literal_eval
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeAlias

from anywire.core._client_agent import ClientAgent
from anywire.core._client_connection import ClientConnection
from anywire.core._connection import CLOSED_EVENT, Connection
from anywire.core._emitter import Emitter
from anywire.core._errors import AnywireError, ConnectionLost, ParseError
from anywire.core._framing import EXPECT_CONTINUE, EXPECT_OTHER, UPGRADE
from anywire.core._incoming import UPGRADED, IncomingMessage
from anywire.core._lease import ASSIGNED, OPEN
from anywire.core._limits import Limits
from anywire.core._options import request_options
from anywire.core._outgoing import HIGH_WATER_MARK
from anywire.core._parser import Parser
from anywire.core._pump import FOREVER, Feed
from anywire.core._request import ClientRequest
from anywire.core._response import ServerResponse
from anywire.core._server import Server
from anywire.core._server_connection import ServerConnection
from anywire.core._server_options import server_options

__all__ = [
    "Client",
    "Clock",
    "ConnectionPair",
    "FakePump",
    "Log",
    "Serving",
    "drain",
    "finite",
    "get",
    "merged",
    "pieces_of",
    "read_all",
    "read_messages",
    "response",
    "strike",
]

Steps: TypeAlias = Generator[None, None, None]
Handler: TypeAlias = Callable[[Any, Any], "Steps | None"]

DATE = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
_MANY = 200
"""Turns without new input after which a loop counts as busy."""


class Clock:
    """Virtual seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log(list[str]):
    """What observers were told, in order."""

    def watch(self, emitter: Emitter, label: str, *events: str) -> None:
        """Note `events` of `emitter` as ``label.event``; ``data`` and errors with what they carry."""
        for event in events:
            emitter.on(event, self._noter(f"{label}.{event}"))

    def _noter(self, what: str) -> Callable[..., None]:
        def note(*args: Any) -> None:
            shown = ""
            if what.endswith(".data"):
                shown = f" {args[0]!r}"
            elif args and isinstance(args[0], AnywireError):
                shown = f" {args[0].code}"
            elif args and isinstance(args[0], IncomingMessage) and args[0].status_code is not None:
                shown = f" {args[0].status_code}"
            self.append(what + shown)

        return note


def merged(log: list[str]) -> list[str]:
    """Pieces of one body count as one: where it is cut follows the input (MSG-24)."""
    made: list[str] = []
    for line in log:
        name, _, data = line.partition(" ")
        if name.endswith(".data") and made and made[-1].startswith(name):
            before = literal_eval(made[-1].partition(" ")[2])
            made[-1] = f"{name} {before + literal_eval(data)!r}"
            continue
        made.append(line)
    return made


class FakePump:
    """One end of a transport in memory: the contract of ``anywire.core.Pump``.

    Attributes:
        sent: everything the "kernel" took.
        sends: how many times it was asked to take something.
        room: bytes the kernel still takes; None is no limit.
        half_closed, closing, aborted: what the feed asked for.
        kicks: how often :meth:`kick` was called.
        on_wake: called after anything happened; without it nobody waits and ``notice`` is called for data too.
    """

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self.feed: Feed = feed
        self.clock = clock
        self.sent = bytearray()
        self.sends = 0
        self.room: int | None = None
        # Any: mypy would take what a test saw once for settled.
        self.half_closed: Any = False
        self.closing: Any = False
        self.aborted: Any = False
        self.blocked: Any = False
        self.closed: Any = False
        self.kicks = 0
        self.on_wake: Callable[[], None] | None = None
        self._queue = bytearray()
        self._held: list[bytes] = []
        self.held_eof = False

    # -- the contract ------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        return len(self._queue)

    def flush(self) -> None:
        data = self.feed.data_to_send()
        if not data or self.closed or self.half_closed or self.aborted:
            return
        self.sends += 1
        self._queue += data
        self._transmit()
        if len(self._queue) >= HIGH_WATER_MARK:
            self.blocked = True

    def usable(self) -> bool:
        if self.held_eof or self._dead():
            return False
        while self._held:
            self.feed.receive_data(self._held.pop(0))
        return True

    def half_close(self) -> None:
        if not self.closed:
            self.feed.say_goodbye()
            self.flush()
            self.half_closed = True

    def close(self) -> None:
        if not (self.closed or self.closing):
            self.feed.say_goodbye()
            self.flush()
            self.closing = True

    def abort(self) -> None:
        # Like asyncio: what is queued is gone at once, but connection_lost, and `closed` with it, come later.
        self.aborted = True
        self._queue.clear()
        self.blocked = False

    def kick(self) -> None:
        self.kicks += 1

    def info(self, name: str) -> Any:
        return None

    # -- the kernel --------------------------------------------------------------------------------------------

    def _transmit(self) -> None:
        taken = len(self._queue) if self.room is None else min(self.room, len(self._queue))
        self.sent += self._queue[:taken]
        del self._queue[:taken]
        if self.room is not None:
            self.room -= taken

    def take(self, count: int | None = None) -> None:
        """The kernel takes `count` more bytes, or everything from now on."""
        self.room = count
        self._transmit()
        if self.blocked and not self._queue:
            self.blocked = False
            self.feed.flushed()
            self._woken()

    def receive(self, data: bytes) -> None:
        """Bytes arrived. They wait in the kernel while the feed does not want them."""
        self._held.append(data)
        self.resume()

    def eof(self) -> None:
        """The peer's FIN arrived."""
        self.held_eof = True
        self.resume()

    def resume(self) -> None:
        """Read what waits in the kernel, as far as it is wanted."""
        while self._held and self.feed.want_read and not self._dead():
            self.feed.receive_data(self._held.pop(0))
            if self.on_wake is None:
                self.feed.notice()
            else:
                self._woken()
        if self.held_eof and not self._held and not self._dead():
            self.held_eof = False
            self.feed.receive_eof()
            self.feed.notice()
            self._woken()

    def reset(self, number: int = errno.ECONNRESET) -> None:
        """The transport fails."""
        if not self.closed:
            self._lose(OSError(number, "reset"))

    def settle(self) -> None:
        """The backend's next turn: a transport that was given up is reported lost."""
        if not self.closed and (self.aborted or (self.closing and not self._queue)):
            self._lose(None)

    def _lose(self, error: OSError | None) -> None:
        self.closed = True
        self.blocked = False
        self._queue.clear()
        self.feed.receive_lost(error)
        self.feed.notice()
        self._woken()

    def _dead(self) -> bool:
        return bool(self.closed or self.closing or self.aborted)

    def _woken(self) -> None:
        if self.on_wake is not None:
            self.on_wake()

    @property
    def over(self) -> Any:
        """Closed or about to be."""
        return self._dead()

    def taken(self) -> bytes:
        """What was sent since the last call."""
        data = bytes(self.sent)
        self.sent.clear()
        return data


def strike(feed: Feed, pump: FakePump, clock: Clock, until: float, run: Callable[[], None]) -> None:
    """Let the pump's one timer strike whenever it is due, up to `until`."""
    turns = 0
    while not pump.closed and (due := feed.next_deadline(clock.now)) <= until:
        turns += 1
        assert turns < _MANY, "stale timer: a deadline stays in the past"
        clock.now = max(clock.now, due)
        feed.handle_deadline(clock.now)
        run()
    clock.now = max(clock.now, until)


# ------------------------------------------------------------------------------------------------ server


class Serving:
    """A server with one connection, served the way the facades do it.

    Args:
        handler: ``request`` listener: a function, or a generator function that yields to wait on the pump.
        options: of ``create_server()``.

    Attributes:
        log: events of requests, responses and the server, ``req1.end`` and so on.
        requests: the ``(request, response)`` pairs in the order of dispatch.
        reported: what handlers raised and nobody expected.
        ended: the loop is over.
    """

    def __init__(self, handler: Handler | None = None, *, watch: bool = True, **options: Any) -> None:
        self.clock = Clock()
        self.server = Server(server_options(options), lambda: 0.0)
        if handler is not None:
            self.server.on("request", handler)
        self.log = Log()
        self.requests: list[tuple[IncomingMessage, ServerResponse]] = []
        self.reported: list[BaseException] = []
        self.ended: Any = False
        self.upgraded: bytes | None = None
        self._watch = watch
        self.connection = connection = ServerConnection(self.server)
        connection.socket = "socket"
        self.server.connections.add(connection)
        self.pump = FakePump(connection, self.clock)
        connection.pump = self.pump
        self.pump.on_wake = self.run
        self._running = False
        self._again = False
        self._loop = self._serve()
        self.run()

    # -- input -------------------------------------------------------------------------------------------------

    def feed(self, *pieces: bytes) -> bytes:
        """Bytes from the client, each piece in a read of its own. Returns what was sent since the last call."""
        for piece in pieces:
            self.pump.receive(piece)
        return self.pump.taken()

    def eof(self) -> bytes:
        """The client's FIN. Returns what was sent."""
        self.pump.eof()
        return self.pump.taken()

    def advance(self, seconds: float) -> bytes:
        """Let time pass. Returns what was sent."""
        strike(self.connection, self.pump, self.clock, self.clock.now + seconds, self.run)
        return self.pump.taken()

    def settle(self) -> None:
        """Whatever was given up is closed now."""
        self.pump.settle()
        self.run()

    def run(self) -> None:
        """Go on until the loop parks."""
        if self._running:
            self._again = True
            return
        self._running = True
        try:
            turns = 0
            self._again = True
            while self._again and not self.ended:
                turns += 1
                assert turns < _MANY, "busy: the loop goes on without input"
                kicks = self.pump.kicks
                self._again = False
                try:
                    next(self._loop)
                except StopIteration:
                    self.ended = True
                    self.server.connections.discard(self.connection)
                    if not self.connection.switched:
                        self.pump.close()
                else:
                    self._running = False
                    self.pump.resume()
                    self._running = True
                    # On a closed transport a wait returns at once, and a kick ends any other.
                    if self.pump.closed or self.pump.kicks != kicks:
                        self._again = True
            if not self.pump.closed:
                self.connection.next_deadline(self.clock.now)
        finally:
            self._running = False

    # -- the loop of the facades -------------------------------------------------------------------------------

    def _serve(self) -> Steps:
        connection, pump = self.connection, self.pump
        while True:
            event = connection.next_event()
            if event is None:
                if connection.half_close_due and not pump.blocked:
                    pump.flush()
                    pump.half_close()
                yield
            elif isinstance(event, IncomingMessage):
                yield from self._exchange(event)
                if connection.switched:
                    return
                while connection.exchanging and not connection.lost and connection.error is None:
                    connection.parked = True
                    yield
                connection.parked = False
            elif event is CLOSED_EVENT:
                pump.flush()
                return
            else:
                assert isinstance(event, AnywireError)
                yield from self._client_error(event)

    def _exchange(self, request: IncomingMessage) -> Steps:
        connection = self.connection
        response = self.server.server_response_class(request)
        connection.response = response
        self.requests.append((request, response))
        if self._watch:
            number = len(self.requests)
            self.log.watch(request, f"req{number}", "data", "end", "aborted", "close")
            self.log.watch(response, f"res{number}", "finish", "close", "drain")
            self.log.append(f"request{number}")
        try:
            flags = request._flags
            if request._first == "CONNECT" or flags & UPGRADE:
                event = "connect" if request._first == "CONNECT" else "upgrade"
                if self.server.listener_count(event):
                    connection.response = None
                    self.upgraded = connection.switch()
                    request._flags |= UPGRADED
                    request.complete = True
                    yield from self._call(event, request, self.upgraded)
                    return
                if event == "connect":
                    connection.destroy()
                    return
            if flags & EXPECT_CONTINUE:
                if (yield from self._call("check_continue", request, response)):
                    return
                response.write_continue_nowait()
            elif flags & EXPECT_OTHER:
                if not (yield from self._call("check_expectation", request, response)):
                    self.server.answer_expectation(response)
                return
            yield from self._call("request", request, response)
        except Exception as error:
            if error is not connection.error and not (connection.lost and isinstance(error, ConnectionLost)):
                self.reported.append(error)
            self.server.answer_failure(response, error)

    def _call(self, event: str, *args: Any) -> Generator[None, None, bool]:
        listeners = self.server.take_listeners(event)
        for listener in listeners:
            result: Any = listener(*args)
            if isinstance(result, Generator):
                yield from result
        return bool(listeners)

    def _client_error(self, error: AnywireError) -> Steps:
        connection, pump = self.connection, self.pump
        self.log.append(f"client_error {error.code}")
        if not self.server.listener_count("client_error"):
            self.server.answer_error(connection, error)
            pump.flush()
            return
        if not connection.lost:
            connection.give_up()
        yield from self._call("client_error", error, self)
        while not pump.closed:
            yield


def read_all(request: Any, into: list[Any] | None = None) -> Generator[None, None, bytes]:
    """Read a body to its end inside a handler: ``body = yield from read_all(req)``."""
    body: list[Any] = [] if into is None else into
    while True:
        piece = request.read_nowait()
        if piece is None:
            yield
        elif not piece:
            return b"".join(body)
        else:
            body.append(piece)


# ------------------------------------------------------------------------------------------------ client


class Request(ClientRequest):
    """A request that a test may leave where it is."""

    __slots__ = ()

    def __del__(self) -> None:
        """Nothing is wrong with that here."""


class Client:
    """An agent, and what a facade does to get a request onto a connection."""

    def __init__(self, **agent: Any) -> None:
        self.clock = Clock()
        self.agent = ClientAgent(**{"keep_alive": True, **agent})
        self.log = Log()
        self.pumps: list[FakePump] = []

    def request(
        self,
        url: str | None = "http://h/",
        *,
        watch: bool = True,
        agent: bool = True,
        label: str = "req",
        **options: Any,
    ) -> ClientRequest:
        """A request, as ``request()`` makes it."""
        checked = request_options(url, options)
        made = Request(checked, self.agent if agent else None, self.clock)
        if watch:
            self.log.watch(made, label, "socket", "finish", "response", "abort", "error", "close", "drain")
            self.log.watch(made, label, "timeout", "continue", "information")
            made.on("response", lambda message: self.log.watch(message, _res(label), "data", "end", "aborted", "close"))
        if agent:
            self.agent.add_request(made, checked)
        return made

    def get(self, url: str = "http://h/", **options: Any) -> ClientRequest:
        """A request that is ended, and on its connection."""
        made = self.request(url, **options)
        made.end_nowait()
        self.connect(made)
        return made

    def connect(self, request: ClientRequest, limits: Limits | None = None) -> FakePump:
        """Give `request` its connection. It must not be queued."""
        lease = request._lease
        while True:
            if lease is None:
                connection = self._open(request, limits)
                break
            if lease.state == ASSIGNED:
                assert lease.connection is not None
                connection = lease.connection
                if connection.pump.usable() and connection.reusable:
                    connection.on_idle_end = None
                    break
                self.agent.retry(lease, self.clock())
                self.agent.settle()
            else:
                assert lease.state == OPEN, lease.state
                connection = self._open(request, limits)
                assert self.agent.opened(lease, connection, self.clock())
                break
        request._attach(connection, lease is not None and lease.reused)
        if request._error is None:
            request._flush()
        pump = connection.pump
        assert isinstance(pump, FakePump)
        return pump

    def _open(self, request: ClientRequest, limits: Limits | None) -> ClientConnection:
        given, lenient, tolerate = request.parser_options()
        made = ClientConnection(limits or given, make_socket=lambda _: "socket", lenient=lenient, tolerate=tolerate)
        made.probed_after = 1.0
        pump = FakePump(made, self.clock)
        made.pump = pump
        self.pumps.append(pump)
        return made

    @property
    def pump(self) -> FakePump:
        """The one opened last."""
        return self.pumps[-1]

    @property
    def pooled(self) -> list[ClientConnection]:
        """The connections that wait in the pool."""
        shown = super(ClientAgent, self.agent).free_sockets  # its own shows the sockets that users see
        return [connection for connections in shown.values() for connection in connections]

    def answer(self, request: ClientRequest, *pieces: bytes) -> IncomingMessage | None:
        """Bytes from the server, each piece in a read of its own, with a look for the response after each."""
        assert request._connection is not None
        pump = request._connection.pump
        assert isinstance(pump, FakePump)
        message = None
        for piece in pieces:
            pump.receive(piece)
            message = request._advance()
        return message

    def advance(self, seconds: float, connection: Connection | None = None) -> None:
        """Let time pass for the connection opened last, or another."""
        chosen: Any = self.pump.feed if connection is None else connection
        strike(chosen, chosen.pump, self.clock, self.clock.now + seconds, lambda: None)


def _res(label: str) -> str:
    return "res" + label.removeprefix("req")


def drain(message: Any) -> list[Any]:
    """The pieces of body that are there; the last is b"" if the message is over."""
    pieces: list[Any] = []
    while (piece := message.read_nowait()) is not None:
        pieces.append(piece)
        if not piece:
            break
    return pieces


# ------------------------------------------------------------------------------------------------ both


class ConnectionPair:
    """A client's connection joined to a server's; bytes move when :meth:`carry` says so.

    Args:
        handler: the server's.
        cut: how a burst of bytes is divided into reads; whole by default.
    """

    def __init__(
        self, handler: Handler | None = None, *, cut: Callable[[bytes], Iterable[bytes]] | None = None, **options: Any
    ) -> None:
        self.serving = Serving(handler, **options)
        self.client = Client()
        self.cut = cut or (lambda data: [data])
        self._told: set[str] = set()

    def carry(self, *requests: ClientRequest) -> None:
        """Move what was sent, both ways, until nothing moves; the requests look for their responses."""
        serving, there = self.serving, self.serving.pump
        moved = True
        while moved:
            moved = False
            here = self.client.pump
            if data := here.taken():
                moved = True
                for piece in self.cut(data):
                    there.receive(piece)
            moved = self._ends(here, there, "c") or moved
            if data := there.taken():
                moved = True
                for piece in self.cut(data):
                    here.receive(piece)
                    for request in requests:
                        if request._connection is not None:
                            request._advance()
            moved = self._ends(there, here, "s") or moved
            serving.settle()
            here.settle()

    def _ends(self, one: FakePump, other: FakePump, name: str) -> bool:
        if name in self._told or not (one.half_closed or one.over) or one.unsent:
            return False
        self._told.add(name)
        if one.aborted:
            other.reset()
        else:
            other.eof()
        return True


def pieces_of(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """`data` cut before each of the given positions."""
    start = 0
    for cut in sorted({cut for cut in cuts if 0 < cut < len(data)}):
        yield data[start:cut]
        start = cut
    if data[start:]:
        yield data[start:]


def get(path: str = "/", *fields: str, method: str = "GET", body: bytes = b"", version: str = "1.1") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/{version}", "Host: h", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def response(
    body: str, *fields: str, status: str = "200 OK", connection: str = "keep-alive", date: bool = True
) -> bytes:
    """The bytes of a response with a Content-Length, in the order RES-30 prescribes."""
    lines = [f"HTTP/1.1 {status}", *fields]
    head = "\r\n".join(lines) + "\r\n" + (DATE if date else "")
    return f"{head}Connection: {connection}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")


def finite(deadline: float) -> bool:
    """Is there a deadline at all?"""
    return deadline < FOREVER


def read_messages(parser: Parser, pieces: Iterable[bytes]) -> tuple[int, ParseError | None]:
    """Feed `pieces` as long as `parser` lives: the bytes of body, and what ended it."""
    in_body = False
    size = 0
    try:
        for data in pieces:
            parser.receive_data(data)
            while True:
                if in_body:
                    piece = parser.next_body()
                    if piece is None:
                        break
                    size += len(piece)
                    in_body = piece != b""
                else:
                    head = parser.next_head("GET")
                    if head is None:
                        break
                    in_body = head[4] != 0
    except ParseError as error:
        return size, error
    return size, None
