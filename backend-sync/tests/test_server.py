"""The server on threads, against clients that are bare sockets."""

from __future__ import annotations

import re
import select
import socket
import sys
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest
from sync_kit import CLOSE, GET, Certificates, Event, Job, Wire, ask, dial, port_of, serving, until

from anywire.core import AnywireError, StateError
from anywire.core.facade.blocking import Crew
from anywire.core.facade.blocking._crew import NOT, WATCHED
from anywire.sync import http

Request = http.IncomingMessage
Response = http.ServerResponse


def hello(req: Request, res: Response) -> None:
    res.set_header("Content-Type", "text/plain")
    res.end("hello")


def echo(req: Request, res: Response) -> None:
    res.write_head(200)
    for chunk in req:
        res.write(chunk)
    res.end()


def test_one_exchange_to_the_byte() -> None:
    with serving(hello) as server:
        answer = ask(port_of(server), CLOSE)
        assert re.sub(rb"Date: [^\r]+", b"Date: now", answer) == (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: now\r\nConnection: close\r\n"
            b"Content-Length: 5\r\n\r\nhello"
        )


def test_a_connection_carries_many() -> None:
    with serving(hello) as server, dial(port_of(server)) as wire:
        for _ in range(10):
            wire.send(GET)
            assert wire.message()[1] == b"hello"
        assert server.get_connections() == 1


def test_byte_by_byte_and_pipelined() -> None:
    with serving(hello) as server, dial(port_of(server)) as wire:
        for byte in GET:
            wire.send(bytes([byte]))
        assert wire.message()[1] == b"hello"
        wire.send(GET * 50)
        for _ in range(50):
            assert wire.message()[1] == b"hello"


def test_streaming_keeps_no_more_than_a_little() -> None:
    """64 MiB in and out again through an echo, read as slowly as it comes: flat memory."""
    size = 64 << 20
    piece = b"x" * 65536

    def upload(wire: Wire) -> None:
        for _ in range(size // len(piece)):
            wire.send(piece)

    with serving(echo) as server, dial(port_of(server)) as wire:
        tracemalloc.start()
        try:
            wire.send(b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % size)
            uploading = Job(upload, wire)
            assert b" 200 " in wire.head()
            got = 0
            while data := wire._file.read1(65536):
                got += len(data)
            uploading.join()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert got == size
    assert peak < 4 << 20


def test_mute_tls_clients_hold_no_thread(certificates: Certificates) -> None:
    """ASK-24: more of them than there are threads, and others are served meanwhile."""

    def setup(server: Any) -> None:
        server.max_workers = 2

    with ExitStack() as stack:
        server = stack.enter_context(serving(hello, setup=setup, cert=certificates.cert, key=certificates.key))
        for _ in range(8):
            stack.enter_context(dial(port_of(server))).send(b"\x16\x03\x01")
        for _ in range(3):
            with dial(port_of(server), tls=certificates.client_side()) as wire:
                wire.send(CLOSE)
                assert wire.rest().endswith(b"hello")
        until(lambda: len(server.connections) == 8)  # those that shake hands count, and those served are gone


def test_tls_big_bodies(certificates: Certificates) -> None:
    size = 8 << 20
    with (
        serving(echo, cert=certificates.cert, key=certificates.key) as server,
        dial(port_of(server), tls=certificates.client_side()) as wire,
    ):
        wire.send(b"POST / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % size)
        # One thread only: an SSL object is not for two. The server must be content to buffer nothing.
        got = 0
        wire.sock.settimeout(0.001)
        sent = 0
        piece = b"x" * 16384
        head = b""
        while got < size:
            if sent < size:
                try:
                    sent += wire.sock.send(piece[: size - sent])
                except TimeoutError:
                    pass
            try:
                data = wire.sock.recv(65536)
            except TimeoutError:
                continue
            if b"\r\n\r\n" not in head:
                head, _, data = (head + data).partition(b"\r\n\r\n")
                head += b"\r\n\r\n"
            got += len(data)
        assert got == size


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    server = http.create_server(hello)
    with server:
        server.listen(path=path)
        assert server.address() == path
        with dial(path=path) as wire:
            wire.send(CLOSE)
            assert wire.rest().endswith(b"hello")
        server.close(0)
    assert not Path(path).exists()


def test_blocking_handlers_do_not_stop_others() -> None:
    release = Event()
    inside: list[str] = []

    def app(req: Request, res: Response) -> None:
        if req.url == "/block":
            inside.append(req.url)
            assert release.wait(20)
        res.end("done")

    with serving(app) as server:
        wires = []
        for _ in range(20):
            context = dial(port_of(server))
            wires.append((context, context.__enter__()))
        for _, wire in wires:
            wire.send(b"GET /block HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: len(inside) == 20)
        assert ask(port_of(server), CLOSE).endswith(b"done")
        release.set()
        for context, wire in wires:
            assert wire.message()[1] == b"done"
            context.__exit__(None, None, None)


def test_workers_are_bounded() -> None:
    release = Event()
    inside: list[str] = []

    def app(req: Request, res: Response) -> None:
        inside.append(req.url)
        if req.url == "/block":
            assert release.wait(20)
        res.end("done")

    with (
        serving(app, setup=lambda server: setattr(server, "max_workers", 2)) as server,
        dial(port_of(server)) as one,
        dial(port_of(server)) as two,
        dial(port_of(server)) as three,
    ):
        for wire in (one, two):
            wire.send(b"GET /block HTTP/1.1\r\nHost: h\r\n\r\n")
        until(lambda: len(inside) == 2)
        three.send(CLOSE)
        crew = server.crew
        assert crew._roster.total == 2
        release.set()
        assert three.rest().endswith(b"done")
        assert crew._roster.total == 2


def test_idle_connections_hold_no_thread() -> None:
    with serving(hello) as server:
        contexts = [dial(port_of(server)) for _ in range(50)]
        wires = [context.__enter__() for context in contexts]
        for wire in wires:
            wire.send(GET)
            assert wire.message()[1] == b"hello"
        assert server.get_connections() == 50
        crew = server.crew
        # All came back to the poller: nobody is at work but whoever polls.
        until(lambda: not any(post.held for post in crew._posts.values()))
        until(lambda: crew._roster.active == 1)  # on a busy machine the monitor may have called another
        until(lambda: crew._roster.polling)
        for context in contexts:
            context.__exit__(None, None, None)
        until(lambda: not server.connections)


def test_a_keep_alive_connection_expires() -> None:
    with serving(hello, keep_alive_timeout=0.05) as server, dial(port_of(server)) as wire:
        wire.send(GET)
        assert wire.message()[1] == b"hello"
        assert wire.rest() == b""


def test_keep_alive_requests_arm_no_timer() -> None:
    """The deadline that is armed strikes early and is put off; nothing is armed per request."""
    with serving(hello) as server, dial(port_of(server)) as wire:

        def ask_once() -> None:
            wire.send(GET)
            assert wire.message()[1] == b"hello"

        ask_once()
        crew = server.crew
        until(lambda: not any(post.held for post in crew._posts.values()))
        armed = crew._timers._serial
        assert armed
        for _ in range(20):
            ask_once()
        until(lambda: not any(post.held for post in crew._posts.values()))
        assert crew._timers._serial == armed


def test_a_slow_head_times_out() -> None:
    with serving(hello, headers_timeout=0.05) as server:
        assert ask(port_of(server), b"GET / HT").startswith(b"HTTP/1.1 408 ")


def test_a_slow_body_times_out_while_the_handler_waits_for_it() -> None:
    with serving(echo, request_timeout=0.05) as server:
        answer = ask(port_of(server), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
        assert b"half" not in answer or answer.endswith(b"half\r\n")  # cut short, never completed


def test_a_slow_body_times_out_while_the_handler_waits_for_something_else() -> None:
    aborted = Event()

    def app(req: Request, res: Response) -> None:
        req.on("aborted", aborted.set)
        assert aborted.wait(20)

    with serving(app, request_timeout=0.05) as server:
        ask(port_of(server), b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
    assert aborted.is_set()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_went_away_is_noticed(how: str) -> None:
    """SRV-25: the handler waits for something else, and somebody listens."""
    closed = Event()
    inside = Event()

    def app(req: Request, res: Response) -> None:
        res.on("close", closed.set)
        inside.set()
        assert closed.wait(20)

    with serving(app) as server:
        with dial(port_of(server)) as wire:
            wire.send(GET)
            assert inside.wait(20)
            getattr(wire, how)()
        assert closed.wait(20)
        until(lambda: not server.connections)


def test_a_client_that_went_away_is_noticed_when_the_listener_came_late(certificates: Certificates) -> None:
    closed = Event()
    inside = Event()
    gone = Event()

    def app(req: Request, res: Response) -> None:
        inside.set()
        assert gone.wait(20)
        req.on("aborted", closed.set)
        assert closed.wait(20)

    with serving(app, cert=certificates.cert, key=certificates.key) as server:
        with dial(port_of(server), tls=certificates.client_side()) as wire:
            wire.send(GET)
            assert inside.wait(20)
        gone.set()
        assert closed.wait(20)
        until(lambda: not server.connections)


def test_what_a_client_said_before_it_went_away_is_kept_for_the_handler(certificates: Certificates) -> None:
    """Only TLS can tell whether a goodbye came, so another thread decrypts what is the handler's to read."""
    inside, overheard = Event(), Event()
    heard: list[bytes] = []

    def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: None)  # somebody listens for its end
        inside.set()
        assert overheard.wait(20)
        heard.append(req.read())

    with (
        serving(app, cert=certificates.cert, key=certificates.key) as server,
        dial(port_of(server), tls=certificates.client_side()) as wire,
    ):
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst")
        assert inside.wait(20)
        wire.send(b"other")
        sock: Any = wire.sock
        sock.settimeout(0.01)
        with suppress(OSError):  # our goodbye is not answered
            sock.unwrap()
        wire.eof()
        (connection,) = server.connections
        secure: Any = connection.secure
        until(lambda: secure.pending)
        overheard.set()
        until(lambda: heard)
        assert heard == [b"firstother"]


def test_writing_to_a_client_that_went_away_raises() -> None:
    failed: list[BaseException] = []

    def app(req: Request, res: Response) -> None:
        try:
            while True:
                res.write(b"x" * 65536)
        except AnywireError as error:
            failed.append(error)

    with serving(app) as server:
        with dial(port_of(server)) as wire:
            wire.send(GET)
            wire.head()
        until(lambda: failed)
        until(lambda: not server.connections)


def test_a_response_may_be_ended_by_another_thread() -> None:
    pending: list[Response] = []

    def app(req: Request, res: Response) -> None:
        pending.append(res)

    with serving(app) as server, dial(port_of(server)) as wire:
        for _ in range(20):
            wire.send(GET + GET)  # the second one waits
            for _ in range(2):
                until(lambda: pending)
                Job(pending.pop().end, "later").join()
                assert wire.message()[1] == b"later"


def test_many_responses_ended_by_other_threads_while_requests_are_pipelined() -> None:
    def app(req: Request, res: Response) -> None:
        Job(res.end, "later")

    with serving(app) as server, dial(port_of(server)) as wire:
        wire.send(GET * 300)
        for _ in range(300):
            assert wire.message()[1] == b"later"


def test_unread_body_is_drained_or_lingered() -> None:
    with serving(hello) as server:
        with dial(port_of(server)) as wire:
            wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000 + GET)
            assert wire.message()[1] == b"hello"
            assert wire.message()[1] == b"hello"
        with dial(port_of(server)) as wire:
            uploading = Job(upload_much, wire)
            assert wire.message()[1] == b"hello"
            wire.close()
            uploading.join()


def upload_much(wire: Wire) -> None:
    try:
        wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(1000):
            wire.send(b"x" * 100000)
    except OSError:
        pass


def test_a_handler_that_raises_is_answered_for_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[Any] = []
    monkeypatch.setattr("threading.excepthook", reports.append)

    def app(req: Request, res: Response) -> None:
        raise ValueError("of the handler")

    with serving(app) as server:
        assert ask(port_of(server), CLOSE).startswith(b"HTTP/1.1 500 ")
    assert [str(report.exc_value) for report in reports] == ["of the handler"]


def test_a_handler_that_exits_takes_no_worker_along(monkeypatch: pytest.MonkeyPatch) -> None:
    reports: list[Any] = []
    monkeypatch.setattr("threading.excepthook", reports.append)

    def app(req: Request, res: Response) -> None:
        if req.url == "/exit":
            raise SystemExit(3)
        res.end("here")

    with serving(app) as server:
        assert ask(port_of(server), b"GET /exit HTTP/1.1\r\nHost: h\r\n\r\n") == b""
        assert ask(port_of(server), CLOSE).endswith(b"here")
    assert [report.exc_type for report in reports] == [SystemExit]


def test_bad_requests_are_answered() -> None:
    with serving(hello) as server:
        assert ask(port_of(server), b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_client_error_hands_out_the_socket() -> None:
    def spoilt(error: Any, socket: Any) -> None:
        socket.end(b"HTTP/1.1 400 Mine\r\n\r\n")
        socket.close()

    with serving(hello, setup=lambda server: server.on("client_error", spoilt)) as server:
        assert ask(port_of(server), b"nonsense\r\n\r\n") == b"HTTP/1.1 400 Mine\r\n\r\n"


def test_upgrade_is_a_raw_stream() -> None:
    def upgraded(req: Request, stream: Any, head: bytes) -> None:
        stream.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + head)
        for data in stream:
            stream.send(data)
        stream.close()

    with (
        serving(hello, setup=lambda server: server.on("upgrade", upgraded)) as server,
        dial(port_of(server)) as wire,
    ):
        wire.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhead")
        wire.head()
        assert wire.exactly(4) == b"head"
        wire.send(b"more")
        assert wire.exactly(4) == b"more"
        wire.eof()
        assert wire.rest() == b""


def test_close_lets_exchanges_finish_and_ends_idle_ones() -> None:
    inside, release = Event(), Event()

    def app(req: Request, res: Response) -> None:
        inside.set()
        assert release.wait(20)
        res.end("done")

    server = http.create_server(app)
    server.listen(0, "127.0.0.1")
    with dial(port_of(server)) as busy, dial(port_of(server)) as idle:
        busy.send(GET)
        assert inside.wait(20)
        closing = Job(server.close, 20)
        until(lambda: not server.listening)
        release.set()
        head, body = busy.message()
        assert body == b"done"
        assert b"Connection: close" in head
        assert idle.rest() == b""
        busy.close()
        closing.join()
    assert not server.connections


@contextmanager
def closed_over(app: Callable[[Request, Response], None], inside: Event) -> Iterator[tuple[Any, Job]]:
    """A server, and who is closing it without grace while a handler is `inside`; its client is gone already."""
    server = http.create_server(app)
    server.listen(0, "127.0.0.1")
    with dial(port_of(server)) as wire:
        wire.send(GET)
        assert inside.wait(20)
        closing = Job(server.close, 0)
        assert wire.rest() == b""
        yield server, closing


def test_close_aborts_what_is_left() -> None:
    inside, release = Event(), Event()

    def app(req: Request, res: Response) -> None:
        inside.set()
        assert release.wait(20)
        with pytest.raises(AnywireError):
            write_forever(res)

    with closed_over(app, inside) as (server, closing):
        release.set()
        closing.join()
    with pytest.raises(StateError):
        server.close()


def test_close_does_not_wait_for_a_handler_that_never_returns() -> None:
    """ASK-47: a thread cannot be cancelled, and one that waits for something of its own is not ours to wake."""
    inside, never, returned = Event(), Event(), Event()

    def app(req: Request, res: Response) -> None:
        inside.set()
        never.wait()
        with suppress(AnywireError):
            res.end("too late")
        returned.set()

    with closed_over(app, inside) as (server, closing):
        closing.join()
        assert not server.connections
        assert not returned.is_set()
        never.set()
        assert returned.wait(20)


def test_input_that_is_told_of_late_is_left_to_whoever_has_the_connection() -> None:
    """It was kicked or taken after the poller had seen it. Over TLS somebody else's look would take the bytes away."""
    crew: Any = Crew.__new__(Crew)
    crew._lock = Lock()
    crew._ready = deque()
    crew._roster = SimpleNamespace(polling=True)
    crew._timers = SimpleNamespace(due=lambda now: [])
    crew.runtime = SimpleNamespace(now=lambda: 0.0, readable=select.POLLIN)
    post = SimpleNamespace(held=0, fd=5)
    crew._posts = {5: post}
    both = select.POLLIN | select.POLLRDHUP
    for held, mask, events, jobs, silenced in (
        (0, select.POLLIN, select.POLLIN, 1, False),
        (-1, select.POLLIN, select.POLLIN, 0, True),  # it waits for a worker
        (7, select.POLLIN, select.POLLIN, 0, True),  # one has it
        (7, select.POLLIN, both, 0, True),
        (7, WATCHED, select.POLLIN, 0, False),  # found just before
        (7, WATCHED, both, 0, False),
        (7, WATCHED, select.POLLRDHUP, 1, False),  # what it is watched for meanwhile
        (7, WATCHED, select.POLLOUT, 1, False),
    ):
        post.held, post.mask = held, mask
        crew._ready.clear()
        forgotten: list[int] = []
        crew._poller = SimpleNamespace(poll=lambda due, events=events: [(5, events)], forget=forgotten.append)
        crew._poll(0.0)
        assert (len(crew._ready), forgotten) == (jobs, [5] if silenced else []), (held, mask, events)
        assert post.mask == (NOT if silenced else mask)


def test_the_poller_is_told_only_of_changes() -> None:
    """Not twice for each exchange: that is a system call, under the crew's lock."""
    calls: list[tuple[int, int]] = []
    with serving(hello) as server, dial(port_of(server)) as wire:
        poller = server.crew._poller
        arm = poller.arm

        def counted(fd: int, mask: int) -> None:
            calls.append((fd, mask))
            arm(fd, mask)

        poller.arm = counted
        for _ in range(20):
            wire.send(GET)
            assert wire.message()[1] == b"hello"
        assert len(calls) <= 1  # when it was accepted, if that was after we began to count


@pytest.mark.parametrize("epoll", [True, False])
def test_others_are_served_while_one_whose_next_request_is_here_is_held(
    epoll: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its descriptor stays readable for all that time. It is told of once, not for ever, and not lost."""
    if not epoll:
        monkeypatch.delattr(select, "epoll", raising=False)
    held, go = Event(), Event()
    polls: list[Any] = []

    def app(req: Any, res: Any) -> None:
        if req.url == "/hold":
            held.set()
            assert go.wait(20)
        res.end(req.url)

    with serving(app) as server, dial(port_of(server)) as one, dial(port_of(server)) as other:
        poller = server.crew._poller
        poll = poller.poll

        def counted(due: float) -> Any:
            polls.append(poll(due))
            return polls[-1]

        one.send(GET.replace(b"/", b"/hold", 1))
        assert held.wait(20)
        one.send(GET)
        poller.poll = counted
        for _ in range(3):
            other.send(GET)
            assert other.message()[1] == b"/"
        fd = next(post.fd for post in server.crew._posts.values() if post.held)
        assert sum(fd == each for found in polls for each, _ in found) <= 1
        go.set()
        assert [one.message()[1] for _ in range(2)] == [b"/hold", b"/"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")
@pytest.mark.parametrize("given", [False, True])
def test_nobody_gets_in_between_the_last_accept_and_the_end_of_the_listener(
    given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ASK-47: there another thread may run, for long. A socket that was handed in is not ours alone: others accept."""
    runtime = http.create_server()._runtime()
    accept = runtime.accept
    states: list[int] = []

    def last_look(listener: Any) -> Any:
        sock = accept(listener)
        if sock is None and door.closed:
            late.setblocking(False)
            late.connect_ex(address)  # on loopback it is over when the call returns
            states.append(late.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO))
        return sock

    listener = socket.create_server(("127.0.0.1", 0)) if given else None
    server = http.create_server(hello)
    with socket.socket() as late, socket.socket() as early:
        server.listen(0, "127.0.0.1") if listener is None else server.listen(sock=listener)
        address: Any = server.address()
        crew: Any = server.crew
        door = crew._entrances[0].door
        monkeypatch.setattr(runtime, "accept", last_look)
        with crew.door_lock:
            early.connect(address)  # nobody lets it in before the end
            closing = Job(server.close, 5)
            until(lambda: server.draining)
        early.sendall(GET)
        assert early.recv(65536).startswith(b"HTTP/1.1 200 OK")
        early.close()
        closing.join()
    established, syn_sent = 1, 2
    assert states == [established if given else syn_sent]


def write_forever(res: Response) -> None:
    while True:
        res.write(b"x" * 65536)


def test_it_can_listen_again() -> None:
    server = http.create_server(hello)
    closed: list[int] = []
    server.on("close", lambda: closed.append(1))
    for _ in range(3):
        server.listen(0, "127.0.0.1")
        with dial(port_of(server)) as wire:
            wire.send(GET)
            assert wire.message()[1] == b"hello"
        server.close(0)
    assert closed == [1, 1, 1]


def test_max_connections() -> None:
    dropped: list[Any] = []

    def setup(server: Any) -> None:
        server.max_connections = 1
        server.on("drop", dropped.append)

    with serving(hello, setup=setup) as server, dial(port_of(server)) as wire:
        wire.send(GET)
        assert wire.message()[1] == b"hello"
        assert ask(port_of(server), GET) == b""
        assert len(dropped) == 1
