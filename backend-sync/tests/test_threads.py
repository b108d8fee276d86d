"""Many threads, many descriptors, forks and signals: our client against our server."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from sync_kit import GET, OK, Job, Wire, counts, descriptors, dial, peer, pool, port_of, serving, until, url_of

from anywire.core import AnywireError
from anywire.core._server import Connections
from anywire.core._sessions import Sessions
from anywire.sync import _sleep, http

Request = http.IncomingMessage
Response = http.ServerResponse


def mixed(req: Request, res: Response) -> None:
    """Echo; the path says what else."""
    if req.url == "/reset":
        req.destroy()
        return
    if req.url == "/close":
        res.set_header("Connection", "close")
    res.write_head(200)
    for chunk in req:
        res.write(chunk)
    res.end("!")


def one_of_many(agent: http.Agent, url: str, chance: random.Random) -> str:
    """One request of a random kind; says how it ended."""
    kind = chance.choice(["get", "post", "close", "reset", "destroy", "leave", "limit"])
    path = kind if kind in ("close", "reset") else ""
    if kind == "post":
        size = chance.choice([0, 10, 100_000, 300_000])
        req = http.request(url, method="POST", agent=agent)
        for _ in range(0, size, 50_000):
            req.write(b"x" * min(size, 50_000))
        req.end()
        with req as res:
            got = len(res.read())
        assert got in (size + 1, 1), (got, size)
        return "done"
    options: dict[str, Any] = {"queue_timeout": 0.001, "head_timeout": 5.0} if kind == "limit" else {}
    req = http.get(url + path, agent=agent, **options)
    killer = Job(req.destroy) if kind == "destroy" else None
    try:
        if kind == "leave":
            req.response()  # and away, its body unread
            req.destroy()
            return "left"
        with req as res:
            assert res.read() == b"!"
        return "done"
    except AnywireError:
        assert kind in ("reset", "destroy", "limit"), kind
        return "failed"
    finally:
        if killer is not None:
            killer.join()


@pytest.mark.parametrize("limits", [{}, {"max_sockets": 8}, {"max_total_sockets": 5, "max_free_sockets": 2}], ids=str)
def test_one_agent_for_64_threads(limits: dict[str, Any]) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  # shown if it fails

    def work(number: int) -> list[str]:
        chance = random.Random(f"{seed} {number}")
        return [one_of_many(agent, url_of(server), chance) for _ in range(20)]

    with serving(mixed) as server, pool(**limits) as agent:
        jobs = [Job(work, number) for number in range(64)]
        while not all(job.done for job in jobs):
            agent.check_invariants()
            until(lambda: True)
        endings = [ending for job in jobs for ending in job.join()]
        assert endings.count("done") > 400
        agent.check_invariants()
        active, connecting, idle, queued = counts(agent)
        assert (active, connecting, queued) == (0, 0, 0)
        if limits:
            assert idle <= 8


def test_an_exchange_that_several_threads_end_ends_once() -> None:
    """ASK-10: one reads, two destroy. What without a GIL is told twice now and then, a GIL makes very rare."""

    def ended(agent: http.Agent, url: str) -> list[str]:
        told: list[str] = []
        req = http.request(url, agent=agent)
        req.on("socket", lambda each: each.on("close", lambda: told.append("socket close")))
        req.on("response", lambda res: res.on("close", lambda: told.append("res close")))
        for event in ("error", "close"):
            req.on(event, lambda *_, event=event: told.append(event))
        req.end()
        res = req.response()
        jobs = [Job(req.destroy), Job(req.destroy)]
        with suppress(AnywireError):
            res.read()
        for job in jobs:
            job.join()
        return told

    with serving(mixed) as server, pool() as agent:
        for _ in range(300):
            told = ended(agent, url_of(server))
            assert told.count("close") == told.count("res close") == 1, told
            assert len(told) == len(set(told)), told
        agent.check_invariants()


def test_tls_sessions_are_shared() -> None:
    """ASK-10: without a GIL two threads that changed an OrderedDict at once ended the process."""
    sessions = Sessions(3)

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(5000):
            name = chance.choice("abcdef")
            sessions.keep(name, None, name)
            assert sessions.find(name, None) in (name, None)
            if chance.random() < 0.5:
                sessions.drop(name)

    for job in [Job(work, number) for number in range(8)]:
        job.join()
    assert len(sessions) <= 3


def test_connections_are_gone_through_while_they_change() -> None:
    """ASK-10: ``list()`` of what is more than a plain dict takes many steps without a GIL."""
    connections = Connections()

    def work(number: int) -> None:
        for each in range(3000):
            made: Any = (number, each)
            connections.add(made)
            assert made in connections.copy()
            if each % 50:  # they become many, so that going through them takes a while
                connections.discard(made)

    for job in [Job(work, number) for number in range(4)]:
        job.join()
    assert len(connections) == 4 * 60


def test_descriptors_above_1024() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1400
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"no more than {hard} descriptors allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            stack.callback(os.close, os.dup(0))
        server = stack.enter_context(serving(mixed))
        with pool() as agent:
            for _ in range(2):
                with http.get(url_of(server), agent=agent) as res:
                    assert res.read() == b"!"
                    assert res.socket._pump.fd > 1024
                assert all(connection.pump.fd > 1024 for connection in server.connections)


def test_a_forked_child_leaves_the_parents_sockets_alone() -> None:
    """ASK-10."""

    def script(wire: Wire) -> None:
        while head := wire.head():
            made.heads.append(head)
            wire.send(OK)

    with peer(script) as made, pool() as agent:
        with http.get(made.url + "parent", agent=agent) as res:
            res.read()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert counts(agent) == (0, 0, 0, 0)
                agent.check_invariants()
                with http.get(made.url + "child", agent=agent) as res:
                    assert res.read() == b"ok"
                agent.destroy()
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        req = http.get(made.url + "parent", agent=agent)
        with req as res:
            assert res.read() == b"ok"
        assert req.reused_socket
        assert len(made.wires) == 2
        assert [head.split()[1] for head in made.heads] == [b"/parent", b"/child", b"/parent"]


def test_a_forked_child_has_no_server() -> None:
    with serving(mixed) as server, dial(port_of(server)) as wire:
        wire.send(GET)
        wire.message()
        child = os.fork()
        if child == 0:
            os._exit(1 if server.listening or server.connections else 0)
        assert os.waitpid(child, 0)[1] == 0
        wire.send(GET)
        assert wire.message()[1] == b"!"


def test_interrupted_serve_forever_drains_and_returns() -> None:
    program = textwrap.dedent("""
        import sys, threading, time, traceback
        from anywire.sync import http

        inside, release = threading.Event(), threading.Event()
        main = threading.get_ident()

        def app(req, res):
            inside.set()
            res.write("begun, ")
            release.wait(20)
            res.end("done")

        def control():
            inside.wait(20)
            while "serve_forever" not in [frame.name for frame in traceback.extract_stack(sys._current_frames()[main])]:
                time.sleep(0.001)
            print("inside", flush=True)
            input()
            release.set()

        threading.Thread(target=control, daemon=True).start()
        with http.create_server(app) as server:
            server.listen(0, "127.0.0.1")
            server.on("close", lambda: print("closed", flush=True))
            print(server.address()[1], flush=True)
            server.serve_forever()
            print("returned", flush=True)
    """)
    child = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    with child, dial(int(child.stdout.readline())) as wire:
        wire.send(GET)
        assert child.stdout.readline() == "inside\n"
        child.send_signal(signal.SIGINT)
        # It accepts no more before it waits for who is inside.
        port = wire.sock.getpeername()[1]
        until(lambda: refused(port))
        child.stdin.write("\n")
        child.stdin.flush()
        assert wire.message()[1] == b"begun, done"
        wire.close()
        assert child.stdout.readline() == "closed\n"
        assert child.stdout.readline() == "returned\n"
        assert child.wait(20) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_burst_of_sleepers_costs_descriptors_for_a_while_only() -> None:
    before = descriptors()
    sleepers = [_sleep.borrow() for _ in range(100)]
    for sleeper in sleepers:
        _sleep.give_back(sleeper)
    assert len(descriptors() - before) <= 2 * _sleep.KEPT


def test_who_wakes_a_closed_sleeper_writes_to_nobody_else() -> None:
    sleeper = _sleep.Sleeper()
    sleeper.close()
    reader, writer = os.pipe()  # the same numbers, most likely
    try:
        os.set_blocking(reader, False)
        sleeper.wake()
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)
