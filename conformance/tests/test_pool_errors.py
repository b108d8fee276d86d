"""What the error of a request says, against a server that counts bytes; what is sent again, and what is not.

ASK-15, ASK-51, SEC-47. Not cases: they count what the kernel took, and strike between our
look at a socket and our send.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

from anywire.conformance.backends import Backend, settle
from anywire.core import AnywireError, ConnectError, ConnectionLost, TimedOut, TruncatedError

from .pools.kit import OK, REAL, Conn, fetch, run, serve

BODY = b"x" * 1000

every_backend = pytest.mark.parametrize("name", REAL)


async def failure(backend: Backend, url: str, agent: Any, method: str, **options: Any) -> tuple[Any, Any]:
    """The request and the error of an exchange that fails."""
    req = backend.http.request(url, method=method, agent=agent, **options)
    try:
        await settle(req.end(BODY if method == "POST" else None))
        res = await settle(req.response())
        await settle(res.read())
    except AnywireError as error:
        return req, error
    raise AssertionError("it succeeded")


def silent(conn: Conn) -> None:
    """Reads a request, says nothing, closes."""
    conn.request()


def once(conn: Conn) -> None:
    """Answers the first request; reads the second and closes."""
    conn.request()
    conn.send(OK)
    conn.request()


def beginning(conn: Conn) -> None:
    conn.request()
    conn.send(b"HTTP/1.1 200 O")


def part(conn: Conn) -> None:
    conn.request()
    conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")


def checked(error: Any, method: str, url: str, phase: str) -> None:
    """ASK-51: never empty; code, method, origin, phase, reused and elapsed; and all of it survives pickling."""
    origin = url.rstrip("/")
    assert (error.method, error.origin, error.phase) == (method, origin, phase)
    assert error.elapsed is not None and error.elapsed >= 0
    said = str(error)
    for word in (error.code, f"{method} {origin}", phase, f"after {error.elapsed:.3f} s"):
        assert word in said, said
    assert ("reused connection" in said) == error.reused
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error) and str(copy) == said and copy.__dict__ == error.__dict__
    assert getattr(copy, "errno", None) == getattr(error, "errno", None)


@every_backend
@pytest.mark.parametrize(
    ("script", "method", "reused", "started", "safe", "kind", "phase"),
    [
        (silent, "GET", False, False, "yes", ConnectionLost, "head"),
        (silent, "POST", False, False, "unknown", ConnectionLost, "head"),
        (once, "POST", True, False, "unknown", ConnectionLost, "head"),
        (beginning, "POST", False, True, "no", ConnectionLost, "head"),
        (part, "POST", False, True, "no", TruncatedError, "body"),
    ],
)
def test_errors_tell_what_the_server_got(
    name: str,
    script: Callable[[Conn], None],
    method: str,
    reused: bool,
    started: bool,
    safe: str,
    kind: type[AnywireError],
    phase: str,
) -> None:
    with serve(script) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            before = 0
            if reused:
                assert await fetch(backend, server.url, agent) == b"ok"
                before = server.received
            req, error = await failure(backend, server.url, agent, method)
            assert type(error) is kind
            assert (error.reused, req.reused_socket) == (reused, reused)
            assert error.bytes_written == server.received - before > 0
            assert (error.response_started, error.replay_safe) == (started, safe)
            checked(error, method, server.url, phase)
            agent.destroy()

        run(name, scenario)


@every_backend
def test_errors_before_a_byte_was_sent(name: str) -> None:
    """Refused, or given up in the queue: whatever the method, it may be sent again."""
    with serve(silent) as gone:
        pass

    def mute(conn: Conn) -> None:
        while conn.receive():
            pass

    with serve(mute) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True, max_sockets=1)
            _, error = await failure(backend, gone.url, agent, "POST")
            assert isinstance(error, ConnectError) and isinstance(error.__cause__, OSError)
            assert error.errno == error.__cause__.errno
            checked(error, "POST", gone.url, "connect")
            first = backend.http.get(server.url, agent=agent)
            _, late = await failure(backend, server.url, agent, "POST", queue_timeout=0.01)
            assert isinstance(late, TimedOut) and late.limit == 0.01
            checked(late, "POST", server.url, "queue")
            for each in (error, late):
                assert (each.bytes_written, each.response_started, each.replay_safe) == (0, False, "yes")
                assert "nothing sent" in str(each)
            first.destroy()
            agent.destroy()

        run(name, scenario)
    assert server.received == 0


@every_backend
def test_a_reset_upload_tells_no_less_than_what_arrived(name: str) -> None:
    def script(conn: Conn) -> None:
        while len(conn.got) < 300_000:
            conn.receive()
        conn.reset()

    with serve(script) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent()
            req = backend.http.request(server.url, method="POST", agent=agent)
            written = 0
            error: Any = None
            try:
                while True:
                    await settle(req.write(b"x" * 65536))
                    written += 65536
            except ConnectionLost as caught:
                error = caught
            assert error.bytes_written is not None and server.received <= error.bytes_written
            assert error.replay_safe == "unknown"
            assert error.__cause__ is None or isinstance(error.__cause__, OSError)
            assert written >= 262144
            agent.destroy()

        run(name, scenario)


class Struck:
    """A server whose first connection is reset while :meth:`strike` is called, which blocks any loop meanwhile."""

    def __init__(self) -> None:
        self._now, self._done = threading.Event(), threading.Event()

    def __call__(self, conn: Conn) -> None:
        conn.request()
        conn.send(OK)
        if conn.number == 0:
            self._now.wait(20)
            conn.reset()
            self._done.set()
        while conn.request():
            conn.send(OK)

    def strike(self) -> None:
        self._now.set()
        assert self._done.wait(20)


def unseen(agent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on we believe in pooled connections without looking: as if the reset came a moment later."""
    ((socket,),) = agent.free_sockets.values()
    monkeypatch.setattr(type(socket.connection.pump), "usable", lambda self: not self.closed)


# uvloop writes at the end of its turn: that nothing was taken cannot be known there, and so it is not claimed.
@pytest.mark.parametrize("name", [each for each in REAL if "uvloop" not in each])
@pytest.mark.parametrize("replay", [True, False])
def test_a_post_of_which_nothing_was_taken(name: str, replay: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be sent again, and is unless ``replay=False``: nobody can have acted on it."""
    script = Struck()
    with serve(script) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            await fetch(backend, server.url, agent)
            before = server.received
            unseen(agent, monkeypatch)
            script.strike()
            if replay:
                req = backend.http.request(server.url, method="POST", agent=agent)
                await settle(req.end(BODY))
                res = await settle(req.response())
                assert await settle(res.read()) == b"ok"
                assert not req.reused_socket
            else:
                _, error = await failure(backend, server.url, agent, "POST", replay=False)
                assert (error.reused, error.bytes_written, error.replay_safe) == (True, 0, "yes")
                assert server.received == before
                checked(error, "POST", server.url, "head")
            agent.destroy()

        run(name, scenario)
        assert sum(conn.got.count(b"POST ") for conn in server.conns) == int(replay)


@every_backend
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_is_sent_again_is_the_same_to_the_byte(name: str, method: str) -> None:
    """SEC-47: also if its headers or body were changed meanwhile; and it goes to a new connection, once."""

    def script(conn: Conn) -> None:
        while conn.request():
            seen.append(conn.got)
            if conn.number < 3 and len(seen) > 3:
                return  # the request that came on a pooled connection is not answered
            conn.send(OK)
            if len(seen) == 3:
                pooled.set()

    seen: list[bytes] = []
    pooled = threading.Event()
    with serve(script) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            requests = [backend.http.get(server.url, agent=agent) for _ in range(3)]
            for req in requests:  # three connections
                await settle(req.response())
            for req in requests:
                await settle(req.res.read())
            assert agent.stats().popitem()[1].idle == 3
            body = bytearray(BODY)
            sockets: list[Any] = []
            req = backend.http.request(server.url, method=method, agent=agent, headers={"X-Once": "1"})
            req.on("socket", sockets.append)
            req.on("socket", lambda _: body.__setitem__(0, 0))
            await settle(req.end(body if method == "PUT" else None))
            res = await settle(req.response())
            assert await settle(res.read()) == b"ok"
            assert len(sockets) == 2
            assert agent.stats().popitem()[1].idle == 3  # the other two were left alone
            agent.destroy()

        run(name, scenario)
        assert [len(server.conns), len(seen)] == [4, 5]
        (first,) = [conn.got for conn in server.conns[:3] if b"X-Once" in conn.got]
        assert first[first.index(method.encode() + b" /", 1) :] == server.conns[3].got
