"""The pool on real sockets: limits under load, what an idle socket holds, dead addresses.

ASK-5, ASK-8, ASK-11, ASK-52, ASK-53. Not cases: they count objects, sockets of the system and a thousand requests.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import socket
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance.backends import Backend, resolve, settle
from anywire.core import AnywireError

from .pools.kit import OK, REAL, Conn, fetch, gather, run, serve, sleep

every_backend = pytest.mark.parametrize("name", REAL)


def answering(conn: Conn) -> None:
    while conn.request():
        conn.send(OK)


# ---------------------------------------------------------------- limits

LIMITS = {"max_sockets": 7, "max_total_sockets": 11, "max_free_sockets": 3}
REQUESTS = 1000


@pytest.mark.slow
@every_backend
def test_limits_hold_under_a_thousand_requests_of_which_many_are_aborted(name: str) -> None:
    """ASK-5, ASK-12: made at once, to two origins; some are given up at some moment, by who waits or by others."""

    def script(conn: Conn) -> None:
        chance = random.Random(conn.number)
        while head := conn.request():
            path = head.split(b" ")[1]
            body = path * chance.choice([1, 1, 1, 500])
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            if chance.random() < 0.05:
                return

    chance = random.Random(4050)
    outcomes: list[str] = []
    with serve(script) as one, serve(script) as two:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True, **LIMITS)

            def check() -> None:
                stats = agent.stats().values()
                live = [each.active + each.connecting + each.idle for each in stats]
                assert max(live) <= LIMITS["max_sockets"] and sum(live) <= LIMITS["max_total_sockets"]
                assert max(each.idle for each in stats) <= LIMITS["max_free_sockets"]

            def make(number: int) -> Any:
                req = backend.http.request(f"{(one, two)[number % 2].url}{number}", agent=agent)
                when = chance.choice(["", "", "now", "socket", "response", "later"])
                if when == "now":
                    req.destroy()
                elif when in ("socket", "response"):
                    req.on(when, lambda *_: req.destroy())
                elif when == "later":
                    req.on("close", lambda: made[(number * 7) % len(made)].destroy())
                return req

            async def use(req: Any) -> None:
                try:
                    res = await settle(req.response())
                    body = await settle(res.read())
                except AnywireError as error:
                    outcomes.append(error.code)
                else:
                    path = req.path.encode()
                    assert body == path * (len(body) // len(path)), "another's answer"
                    outcomes.append("answered")
                check()

            async def work(requests: Iterator[Any]) -> None:
                for req in requests:
                    await use(req)

            made: list[Any] = []
            made += [make(number) for number in range(REQUESTS)]
            assert max(len(queued) for queued in agent.requests.values()) > 300
            if name == "anywire.sync":  # as they were made: whoever was given a place has a thread
                turns, lock = iter(made), threading.Lock()

                def in_turn() -> Iterator[Any]:
                    while True:
                        with lock:
                            req = next(turns, None)
                        if req is None:
                            return
                        yield req

                await gather(backend, [lambda: work(in_turn())] * 100)
            else:
                await gather(backend, [partial(use, req) for req in made])
            check()
            agent.check_invariants()
            total = agent.total_stats()
            assert (total.active, total.connecting, total.queued) == (0, 0, 0)
            assert total.created == sum(total.closed.values()) + total.idle
            agent.destroy()

        run(name, scenario)
    assert len(outcomes) == REQUESTS
    assert outcomes.count("answered") > 300 and outcomes.count("ECONNRESET") > 100, set(outcomes)


# ---------------------------------------------------------------- idle sockets


@every_backend
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_idle_sockets_that_end_are_told_to_nobody(name: str, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """ASK-8: nothing is raised, logged or warned of; a counter moves."""
    over = threading.Event()
    ended = threading.Barrier(6)

    def script(conn: Conn) -> None:
        conn.request()
        conn.send(OK)
        if conn.number < 5:
            over.wait(20)
            conn.close() if how == "fin" else conn.reset()
            ended.wait(20)

    with serve(script) as server, warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            errors: list[Any] = []
            requests = [backend.http.get(server.url, agent=agent) for _ in range(5)]
            for req in requests:
                req.on("error", errors.append)
                await settle(req.response())
            for req in requests:
                await settle(req.res.read())
            over.set()
            ended.wait(20)
            await sleep(backend, 0.01)  # whoever watches idle sockets has seen it, or sees it below
            assert await fetch(backend, server.url, agent) == b"ok"
            stats = agent.total_stats()
            assert stats.created == 6 and set(stats.closed) <= {"peer", "stale"}
            assert sum(stats.closed.values()) == 5
            assert errors == []
            agent.destroy()

        run(name, scenario)
    assert [each for each in caplog.records if each.name != "asyncio" or each.levelno > logging.DEBUG] == []


class Body(bytearray):
    """Bytes of which can be told whether they live."""


@every_backend
def test_an_idle_socket_holds_nothing_of_its_exchange(name: str) -> None:
    """ASK-53: request, response, body and what listened to them die while their socket idles, and serves on."""
    with serve(answering) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)

            async def exchange() -> list[Any]:
                body = Body(b"x" * 1000)
                req = backend.http.request(server.url, method="POST", agent=agent, timeout=5.0)

                def listener(*_: Any) -> None:
                    return None

                for event in ("socket", "response", "timeout", "error", "close", "finish"):
                    req.on(event, listener)
                await settle(req.end(body))
                res = await settle(req.response())
                res.on("data", listener)
                assert await settle(res.read()) == b"ok"
                return [weakref.ref(each) for each in (body, req, res, listener)]

            for _ in range(2):
                refs = await exchange()
                gc.collect()
                assert [ref() for ref in refs] == [None] * 4
                ((idle,),) = agent.free_sockets.values()
                assert not idle.destroyed
            assert len(server.conns) == 1
            agent.destroy()

        run(name, scenario)


@every_backend
def test_listeners_do_not_pile_up_on_a_socket(name: str) -> None:
    """ASK-52: as many after a thousand exchanges as after two; nor does anything else (ASK-21)."""
    with serve(answering) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True, timeout=10.0)

            def listeners() -> int:
                ((idle,),) = agent.free_sockets.values()
                return sum(map(len, (idle._listeners or {}).values()))

            counts = []
            for number in range(1000):
                req = backend.http.request(server.url, agent=agent, timeout=5.0)
                req.on("socket", lambda _: None)
                req.on("timeout", lambda: None)
                res = await settle(req.response())
                res.on("close", lambda: None)
                await settle(res.read())
                if number in (1, 10, 999):
                    gc.collect()
                    counts.append((listeners(), sum(type(each) is type(req) for each in gc.get_objects())))
            assert counts[0] == counts[1] == counts[2]
            assert counts[0][0] == 0
            agent.destroy()

        run(name, scenario)
    assert len(server.conns) == 1


whose: ContextVar[str] = ContextVar("whose", default="nobody's")


@every_backend
def test_callbacks_see_the_context_of_their_request(name: str) -> None:
    """ASK-52: also on a socket that another context opened, whose timer another context set."""
    done = threading.Event()

    def script(conn: Conn) -> None:
        conn.request()
        conn.send(OK)
        conn.request()
        done.wait(20)

    with serve(script) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            seen: list[tuple[str, str]] = []

            def watch(req: Any) -> None:
                for event in ("socket", "finish", "response", "timeout", "error", "close"):
                    req.on(event, lambda *_, event=event: seen.append((event, whose.get())))

            whose.set("first")
            one = backend.http.request(server.url, agent=agent, timeout=0.05)
            watch(one)
            res = await settle(one.response())
            await settle(res.read())
            whose.set("second")
            two = backend.http.request(server.url, agent=agent, timeout=0.1)
            watch(two)
            two.on("timeout", lambda: two.destroy())
            whose.set("nobody's")
            with pytest.raises(ConnectionError):
                await settle(two.response())
            assert two.reused_socket
            events = ["socket", "finish", "response", "close"]
            assert seen[:4] == [(event, "first") for event in events]
            told = dict(seen[4:])
            assert set(told) == {"socket", "finish", "timeout", "error", "close"}
            assert told["timeout"] == told["error"] == told["close"] == "second"
            agent.destroy()

        run(name, scenario)
        done.set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of Python 3.12: our peers are threads
@every_backend
def test_a_forked_child_gets_sockets_of_its_own(name: str) -> None:
    """ASK-10: and the parent's serve the parent on."""

    with serve(answering) as server:

        async def in_child(backend: Backend, agent: Any) -> None:
            agent.check_invariants()
            stats = agent.total_stats()
            assert (stats.active, stats.idle, agent.free_sockets) == (0, 0, {})
            assert await fetch(backend, server.url + "child", agent) == b"ok"
            agent.destroy()

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)
            assert await fetch(backend, server.url + "parent", agent) == b"ok"
            before = len(server.conns[0].got)
            child = os.fork()
            if child == 0:
                # Another thread: trio does not run within trio, be it another process.
                status = [1]

                def work() -> None:
                    other = resolve(name)
                    other.run(lambda: in_child(other, agent))
                    status[0] = 0

                signal.alarm(20)
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                os._exit(status[0])
            assert os.waitpid(child, 0)[1] == 0  # noqa: ASYNC222
            assert len(server.conns) == 2 and b"GET /child " in server.conns[1].got
            assert len(server.conns[0].got) == before
            req = backend.http.get(server.url + "parent", agent=agent, deadline=10.0)
            res = await settle(req.response())
            assert await settle(res.read()) == b"ok"
            assert req.reused_socket
            agent.destroy()

        run(name, scenario)


@every_backend
def test_a_handler_sees_nothing_that_another_one_set(name: str) -> None:
    """ASK-52: of exchanges on one connection each has a context of its own, and its callbacks have it too."""

    async def scenario(backend: Backend) -> None:
        seen: list[tuple[str, str]] = []
        gone = backend.flag()

        async def app(req: Any, res: Any) -> None:
            seen.append(("before", whose.get()))
            whose.set(req.url)
            await sleep(backend, 0.001)
            seen.append(("after", whose.get()))
            for event in ("aborted", "close"):
                req.on(event, lambda event=event: seen.append((event, whose.get())))
            if req.url == "/third":
                res.on("close", gone.set)
                await settle(res.write("part"))
                await settle(gone.wait())
                seen.append(("woken", whose.get()))
            else:
                await settle(res.end("ok"))

        server = backend.http.create_server(backend.hook(app))
        await settle(server.listen(0, "127.0.0.1"))
        url = f"http://127.0.0.1:{server.address()[1]}"
        agent = backend.http.Agent(keep_alive=True)
        for path in ("/first", "/second"):
            assert await fetch(backend, url + path, agent) == b"ok"
        req = backend.http.get(url + "/third", agent=agent)
        await settle(req.response())
        assert req.reused_socket
        req.destroy()
        await settle(server.close(10.0))
        agent.destroy()
        mine = {
            path: [(event, value) for event, value in seen if value == path] for path in ("/first", "/second", "/third")
        }
        assert {event for event, value in seen if not value.startswith("/")} == {"before"}
        assert len({value for event, value in seen if event == "before"}) == 1  # threads begin with nothing
        assert mine["/first"] == [("after", "/first"), ("close", "/first")]
        assert mine["/second"] == [("after", "/second"), ("close", "/second")]
        assert {event for event, _ in mine["/third"]} == {"after", "aborted", "close", "woken"}

    run(name, scenario)


# ---------------------------------------------------------------- dead addresses


@contextmanager
def black_hole() -> Iterator[int]:
    """Nobody answers at this port of 127.0.0.1: a listener that accepts nothing more, and whose backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = []
        try:
            for _ in range(8):
                filler = socket.socket()
                filler.setblocking(False)
                fillers.append(filler)
                filler.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def connecting_to(port: int) -> int:
    """Sockets of this system that wait for an answer of that port (SYN_SENT)."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[2].endswith(f":{port:04X}") and line.split()[3] == "02" for line in lines)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the system does not tell of its sockets")
@every_backend
def test_a_dead_address_does_not_hold_up_the_next(name: str) -> None:
    """ASK-11: the second address is connected to while the first does not answer, and nothing is left of that."""
    with black_hole() as port, serve(answering, "127.0.0.2", port) as server:
        before = connecting_to(server.port)
        assert before > 0, "the hole is none"

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True)

            def lookup(host: str, options: Any) -> list[str]:
                return ["127.0.0.1", "127.0.0.2"]

            req = backend.http.get(f"http://h.test:{server.port}/", agent=agent, lookup=lookup, deadline=20.0)
            began = backend.now()
            res = await settle(req.response())
            took = backend.now() - began
            assert await settle(res.read()) == b"ok"
            assert req.socket.remote_address == "127.0.0.2"
            assert took >= 0.24, "the first was not tried"
            assert connecting_to(server.port) == before, "the loser is still connecting"
            print(f"{name}: {took:.3f} s")  # noqa: T201
            agent.destroy()

        run(name, scenario)


# ---------------------------------------------------------------- age

AGE = 0.002
"""Seconds. Few exchanges take as long; so some connection is used again, and none for ever."""

TRIES = 20_000


@every_backend
def test_an_old_connection_is_replaced_and_the_name_looked_up_anew_ASK_6(name: str) -> None:
    """In real time: that none is used beyond its age to the second is for a virtual clock (agent/safety)."""
    lookups: list[str] = []

    def lookup(host: str, options: Any) -> str:
        lookups.append(host)
        return "127.0.0.1"

    with serve(answering) as server:

        async def scenario(backend: Backend) -> None:
            agent = backend.http.Agent(keep_alive=True, max_socket_age=AGE)
            for _ in range(TRIES):
                req = backend.http.get(host="h.test", port=server.port, agent=agent, lookup=lookup)
                res = await settle(req.response())
                assert await settle(res.read()) == b"ok"
                seen[:] = agent.stats().values()
                if seen[0].closed.get("age", 0) >= 3:
                    break
            agent.destroy()

        seen: list[Any] = []
        run(name, scenario)
    (stats,) = seen
    assert stats.closed["age"] >= 3
    assert set(lookups) == {"h.test"}
    assert len(lookups) == stats.created
