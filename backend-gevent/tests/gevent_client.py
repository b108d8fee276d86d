"""The client on gevent, against peers that are scripts of bytes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from gevent import socket
from gevent.monkey import get_original
from gevent_kit import OK, Certificates, Event, Job, Wire, counts, peer, pool, until

from anywire.core import AnywireError, ConnectError, ConnectionLost, StateError, TimedOut
from anywire.gevent import http, https


def always_ok(wire: Wire) -> None:
    while wire.message()[0]:
        wire.send(OK)


def test_one_exchange_to_the_byte() -> None:
    def script(wire: Wire) -> None:
        made.heads.append(wire.head())
        wire.send(OK)

    with peer(script) as made, pool(keep_alive=False) as agent:
        with http.get(made.url, agent=agent) as res:
            assert (res.status_code, res.read()) == (200, b"ok")
        assert made.heads == [b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % made.port]


def test_a_connection_is_used_again() -> None:
    with peer(always_ok) as made, pool() as agent:
        for number in range(5):
            req = http.request(made.url, method="POST", agent=agent)
            req.write(b"abc")
            req.end(b"def")
            with req as res:
                assert res.read() == b"ok"
            assert req.reused_socket == (number > 0)
            agent.check_invariants()
        assert len(made.wires) == 1


def test_a_deep_queue_shares_two_sockets() -> None:
    def ask() -> bytes:
        with http.get(made.url, agent=agent) as res:
            return res.read()

    with peer(always_ok) as made, pool(max_sockets=2) as agent:
        jobs = [Job(ask) for _ in range(40)]
        assert [job.join() for job in jobs] == [b"ok"] * 40
        assert len(made.wires) <= 2
        assert counts(agent) == (0, 0, len(made.wires), 0)


def test_an_idle_socket_that_the_peer_closed_is_never_handed_out() -> None:
    def script(wire: Wire) -> None:
        wire.head()
        wire.send(OK)  # and the connection ends, unannounced

    with peer(script) as made, pool() as agent:
        for number in range(3):
            # replay would hide it
            with http.get(made.url, agent=agent, replay=False) as res:
                assert res.read() == b"ok"
            assert len(made.wires) == number + 1
            # The FIN is here as soon as the descriptor is readable.
            (free,) = agent.free_sockets.values()
            assert get_original("select", "select")([free[0].connection.pump.info("socket")], [], [], 5.0)[0]


def test_an_early_answer_is_heard_with_its_body() -> None:
    """ASK-28: a server that refuses an upload and closes; our sends fail while its answer waits."""
    body = b"too large, really" * 100

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(
            b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        # Closing with unread input resets the connection.

    with peer(script) as made:
        for _ in range(30):
            req = http.request(made.url, method="POST", agent=http.Agent())
            for _ in range(1000):
                if not req.write(b"x" * 65536):
                    break
            else:
                raise AssertionError("64 MiB were written to nobody")
            with req as res:
                assert (res.status_code, res.read()) == (413, body)


def test_an_answer_that_waits_behind_a_failed_send_is_heard() -> None:
    """ASK-28: the connection is reset already when we write, and the answer stands in the kernel."""

    def script(wire: Wire) -> None:
        wire.sock.recv(10)
        wire.send(b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")

    with peer(script) as made:
        req = http.request(made.url, method="POST", agent=http.Agent())
        req.write(b"x")
        pump: Any = req._connection.pump  # type: ignore[union-attr]
        pump._loop.watch(pump.sock, 0, pump._ready)  # the hub is not to read it before we write
        poll = get_original("select", "poll")()
        poll.register(pump.sock.fileno(), 0)  # that is: errors
        until(lambda: poll.poll(0))
        req.write(b"y")
        req.end(b"z")
        with req as res:
            assert (res.status_code, res.read()) == (413, b"no")


def test_streaming_keeps_no_more_than_a_little() -> None:
    """64 MiB each way: flat memory."""
    count = 1024
    piece = b"x" * 65536

    def script(wire: Wire) -> None:
        wire.head()
        for _ in range(count):
            assert int(wire._file.readline(), 16) == len(piece)
            wire.exactly(len(piece) + 2)
        assert wire.exactly(5) == b"0\r\n\r\n"
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * len(piece)))
        for _ in range(count):
            wire.send(piece)

    with peer(script) as made:
        tracemalloc.start()
        try:
            req = http.request(made.url, method="POST", agent=http.Agent())
            for _ in range(count):
                assert req.write(piece)
            req.end()
            got = 0
            with req as res:
                for chunk in res:
                    got += len(chunk)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert got == count * len(piece)
    assert peak < 4 << 20


def test_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with peer(always_ok, path=path), pool() as agent, http.get("http://h/", socket_path=path, agent=agent) as res:
        assert res.read() == b"ok"


def test_nobody_listens() -> None:
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    with pool() as agent:
        req = http.get(f"http://127.0.0.1:{port}/", agent=agent)
        with pytest.raises(ConnectError) as caught:
            req.response()
        assert caught.value.code == "ECONNREFUSED"
        assert isinstance(caught.value, ConnectionRefusedError)


def test_a_name_is_looked_up() -> None:
    seen: list[str] = []

    def lookup(host: str, options: Any) -> str:
        seen.append(host)
        return "127.0.0.1"

    with peer(always_ok) as made, pool() as agent:
        with http.get(f"http://localhost:{made.port}/", agent=agent) as res:
            assert res.read() == b"ok"
        with http.get(f"http://no.such.host.invalid:{made.port}/", agent=agent, lookup=lookup) as res:
            assert res.read() == b"ok"
        assert seen == ["no.such.host.invalid"]
        with pytest.raises(ConnectError) as caught:
            http.get("http://no.such.host.invalid/", agent=agent, lookup=failing).response()
        assert caught.value.code == "ENOTFOUND"


def failing(host: str, options: Any) -> str:
    raise socket.gaierror(socket.EAI_NONAME, "nobody")


def silent(wire: Wire) -> None:
    wire.rest()


def half_an_answer(wire: Wire) -> None:
    wire.head()
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    wire.rest()


@pytest.mark.parametrize("option", ["deadline", "head_timeout", "timeout"])
def test_limits_on_the_head(option: str) -> None:
    with peer(silent) as made, pool() as agent:
        limit: Any = {option: 0.05}
        req = http.get(made.url, agent=agent, **limit)
        with pytest.raises(TimedOut):
            req.response()
        assert counts(agent) == (0, 0, 0, 0)


@pytest.mark.parametrize("option", ["deadline", "idle_timeout", "timeout"])
def test_limits_on_the_body(option: str) -> None:
    with peer(half_an_answer) as made, pool() as agent:
        limit: Any = {option: 0.05}
        res = http.get(made.url, agent=agent, **limit).response()
        with pytest.raises(AnywireError) as caught:
            res.read()
        assert isinstance(res.req.error, TimedOut), caught.value
        assert counts(agent) == (0, 0, 0, 0)


def test_limit_on_connecting(certificates: Certificates) -> None:
    # A peer that never says hello: the handshake hangs.
    with peer(silent) as made, https.Agent(ca=certificates.ca) as agent:
        with pytest.raises(TimedOut) as caught:
            https.get(f"https://localhost:{made.port}/", agent=agent, connect_timeout=0.05).response()
        assert caught.value.phase == "tls"
        assert counts(agent) == (0, 0, 0, 0)


def test_limit_on_the_queue() -> None:
    with peer(silent) as made, pool(max_sockets=1) as agent:
        first = Job(http.get(made.url, agent=agent, deadline=20).response)
        until(lambda: counts(agent)[0] == 1)
        with pytest.raises(TimedOut) as caught:
            http.get(made.url, agent=agent, queue_timeout=0.05).response()
        assert caught.value.phase == "queue"
        agent.destroy()
        with pytest.raises(ConnectionLost):
            first.join()


def test_destroy_from_another_greenlet_in_the_queue() -> None:
    with peer(silent) as made, pool(max_sockets=1) as agent:
        first = http.get(made.url, agent=agent)
        waiting = Job(first.response)
        until(lambda: counts(agent)[0] == 1)
        req = http.get(made.url, agent=agent)
        queued = Job(req.response)
        until(lambda: req._waiter is not None)
        req.destroy()
        with pytest.raises(ConnectionLost):
            queued.join()
        assert counts(agent) == (1, 0, 0, 0)
        first.destroy()
        with pytest.raises(ConnectionLost):
            waiting.join()
        assert counts(agent) == (0, 0, 0, 0)


def test_destroy_from_another_greenlet_while_connecting(certificates: Certificates) -> None:
    with peer(silent) as made, https.Agent(ca=certificates.ca) as agent:
        req = https.get(f"https://localhost:{made.port}/", agent=agent)
        waiting = Job(req.response)
        until(lambda: made.wires)
        req.destroy()
        with pytest.raises(ConnectionLost):
            waiting.join()
        assert counts(agent) == (0, 0, 0, 0)


def test_destroy_from_another_greenlet_before_the_head() -> None:
    with peer(silent) as made, pool() as agent:
        req = http.get(made.url, agent=agent)
        waiting = Job(req.response)
        until(lambda: made.wires)
        req.destroy()
        with pytest.raises(ConnectionLost):
            waiting.join()
        assert counts(agent) == (0, 0, 0, 0)


def test_destroy_from_another_greenlet_within_the_body() -> None:
    with peer(half_an_answer) as made, pool() as agent:
        res = http.get(made.url, agent=agent).response()
        assert res.read(4) == b"half"
        waiting = Job(res.read)
        pump: Any = res._connection.pump
        until(lambda: pump._waiting)
        res.req.destroy()
        with pytest.raises(AnywireError):
            waiting.join()
        assert counts(agent) == (0, 0, 0, 0)


def test_destroy_from_another_greenlet_while_writing() -> None:
    go = Event()

    def script(wire: Wire) -> None:
        wire.head()
        go.wait(20)

    def write() -> None:
        while True:
            req.write(b"x" * 65536)

    with peer(script) as made, pool() as agent:
        req = http.request(made.url, method="POST", agent=agent)
        waiting = Job(write)
        until(lambda: req._connection is not None and req._connection.pump.blocked)
        req.destroy()
        with pytest.raises(AnywireError):
            waiting.join()
        go.set()
        assert counts(agent) == (0, 0, 0, 0)


def test_the_agent_is_destroyed_under_a_reader() -> None:
    with peer(half_an_answer) as made, pool() as agent:
        res = http.get(made.url, agent=agent).response()
        waiting = Job(res.read)
        pump: Any = res._connection.pump
        until(lambda: pump._waiting)
        agent.destroy()
        with pytest.raises(AnywireError):
            waiting.join()


def test_upgrade_is_a_raw_stream_for_two_greenlets() -> None:
    def script(wire: Wire) -> None:
        wire.head()
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst")
        while data := wire._file.read1(65536):
            wire.send(data)

    with peer(script) as made:
        headers = {"Connection": "Upgrade", "Upgrade": "echo"}
        message, stream, head = http.get(made.url, headers=headers, agent=http.Agent()).upgraded()
        assert (message.status_code, head) == (101, b"first")
        size = 4 << 20

        def write() -> None:
            for _ in range(64):
                stream.send(b"x" * (size // 64))
            stream.send_eof()

        writing = Job(write)  # one greenlet writes, another reads
        assert sum(map(len, stream)) == size
        writing.join()
        stream.close()


def test_create_connection_may_return_a_socket() -> None:
    with peer(always_ok) as made:
        agent = http.Agent(create_connection=lambda options: socket.create_connection(("127.0.0.1", made.port)))
        with agent, http.get("http://elsewhere/", agent=agent) as res:
            assert res.read() == b"ok"
        agent = http.Agent(create_connection=lambda options: 5)
        with pytest.raises(TypeError, match="socket"):
            http.get("http://elsewhere/", agent=agent).response()


def test_hooks_are_plain_functions() -> None:
    with peer(always_ok) as made, pool() as agent:
        req = http.get(made.url, agent=agent)

        async def hook(*args: Any) -> None: ...

        with pytest.raises(TypeError, match="plain function"):
            req.on("upgrade", hook)
        req.destroy()


def test_unhandled_upgrade_is_an_error() -> None:
    def script(wire: Wire) -> None:
        wire.head()
        wire.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        wire.rest()

    with peer(script) as made:
        with pytest.raises(StateError) as caught:
            http.get(made.url, headers={"Connection": "Upgrade", "Upgrade": "echo"}, agent=http.Agent()).response()
        assert caught.value.code == "ERR_HTTP_UNHANDLED_UPGRADE"
