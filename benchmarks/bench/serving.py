"""Servers under wrk: the groups ``server``, ``churn`` and ``tls``."""

from __future__ import annotations

import contextlib
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .bars import BLOCKING, BROWSER, SMALL
from .catalogue import Certificate, certificate, floors, running, servers
from .machine import cpu_seconds
from .work import Failed, Plan, Work, contest
from .wrk import Load, need_wrk, run_wrk

__all__ = ["Started", "churn", "server", "start", "tls"]

FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Cookie: session=4f1a9c62d07e4b8fa3d5; theme=dark; consent=1",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Cache-Control: max-age=0",
)
"""With Host ten fields, as a browser sends them."""

ECHO = 'wrk.method = "POST"\nwrk.body = string.rep("a", 1024)\nwrk.headers["Content-Type"] = "text/plain"\n'
PIPELINE = """\
local depth = {}
init = function() for i = 1, 16 do depth[i] = wrk.format() end; depth = table.concat(depth) end
request = function() return depth end
"""

T = TypeVar("T")

ONLY_SMALL = ("floor", "nginx", "HAProxy")
POOL = "floor 64 threads"
BLOCKED = ("anywire sync", "gunicorn gthread", "waitress", "cheroot", POOL)
QUICK = (
    "anywire", "Node 13", "uvicorn httptools", "hypercorn trio", "gevent.pywsgi", "waitress", "cheroot",
    "gunicorn gthread", "floor",
)  # fmt: skip
"""Contenders that a bar names."""
QUICK_FIELDS = ("anywire", "Node 13", "uvicorn httptools")


@dataclass(frozen=True, slots=True)
class Started:
    """A server that runs."""

    port: int
    pid: int


def server(plan: Plan) -> Iterator[Work]:
    """Keep-alive, from a 14-byte answer to a handler that blocks."""
    need_wrk()
    commands = {**servers(), **{name: each for name, each in floors().items() if name != POOL}}
    with start(plan, commands) as (started, failed):
        about = "GET / with Host; the answer has 14 bytes."
        yield _measure(plan, _work("server", SMALL, about), started, failed, Load())
        about = "The same with ten header fields, as a browser sends them."
        fields = Load(fields=FIELDS)
        able = {name: each for name, each in started.items() if name.startswith(QUICK_FIELDS) or not plan.quick}
        yield _measure(plan, _work("server", BROWSER, about), able, failed, fields)
        for work, load in () if plan.quick else _more():
            able = started if load.path == "/" else _without(started, ONLY_SMALL)
            yield _measure(plan.shorter(), work, able, failed, load)
    yield from _blocking(plan, commands)


def _more() -> Iterator[tuple[Work, Load]]:
    for count in (1, 16, 256):
        yield _work("server", f"small, {count} connection{'s' if count > 1 else ''}"), Load(connections=count)
    about = "Each of 64 connections sends sixteen requests at once and waits for all answers."
    yield _work("server", "pipelined, 16 deep", about), Load(script=PIPELINE)
    about = "POST of 1 KiB with Content-Length, which is sent back."
    yield _work("server", "echo, 1 KiB", about), Load("/echo", script=ECHO)
    about = "The handler writes ten pieces of 1 KiB each, chunked."
    yield _work("server", "chunked, 10 × 1 KiB", about), Load("/chunks")


def _blocking(plan: Plan, commands: dict[str, list[str]]) -> Iterator[Work]:
    """Threads only, and a floor of its own: a pool of 64 threads with bare sockets."""
    chosen = {name: command for name, command in {**commands, **floors()}.items() if name in BLOCKED}
    about = "time.sleep(0.02) in the handler, 64 connections: 3 200 requests/s is what 64 threads can do."
    with start(plan, chosen, path="/wait", warm=1) as (started, failed):
        yield _measure(plan, _work("server", BLOCKING, about), started, failed, Load("/wait"))


def churn(plan: Plan) -> Iterator[Work]:
    """A connection for each request."""
    need_wrk()
    with start(plan, servers()) as (started, failed):
        about = "Each request says Connection: close, and the next needs a new connection; 64 at a time."
        yield _measure(plan.shorter(), _work("churn", "a connection each", about), started, failed, Load(churn=True))


def tls(plan: Plan) -> Iterator[Work]:
    """Keep-alive over TLS, then a handshake for each request."""
    need_wrk()
    with certificate() as made, start(plan, servers(made), tls=made) as (started, failed):
        about = "GET / with Host over TLS, 64 connections; the answer has 14 bytes."
        yield _measure(plan.shorter(), _work("tls", SMALL, about), started, failed, Load(tls=True))
        if not plan.quick:
            about = "Each request on a connection, and so with a handshake, of its own."
            load = Load(tls=True, churn=True)
            yield _measure(plan.shorter(), _work("tls", "a handshake each", about), started, failed, load)


def _work(group: str, name: str, about: str = "") -> Work:
    return Work(group, name, "requests/s", about=about)


# ---------------------------------------------------------------- how


@contextlib.contextmanager
def start(
    plan: Plan,
    commands: dict[str, list[str]],
    *,
    tls: Certificate | None = None,
    quick: tuple[str, ...] = QUICK,
    path: str = "/",
    warm: int = 300,
) -> Iterator[tuple[dict[str, Started], dict[str, str]]]:
    """Start all that are asked for (of a quick run those whose names begin so), and warm them up with some requests.

    All run at the same time, all but one without work: starting each of them anew for every turn would measure how
    warm an interpreter is.

    Yields:
        Who runs, and who does not and why.
    """
    started: dict[str, Started] = {}
    failed: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            if not plan.wants(name) or (plan.quick and not name.startswith(quick)):
                continue
            try:
                port, pid = stack.enter_context(running(command, cpus=plan.cpus[0], tls=tls))
                started[name] = Started(port, pid)
                _warm(port, path, warm, tls)
            except (RuntimeError, OSError) as error:
                started.pop(name, None)
                failed[name] = f"it did not start: {error}"
        yield started, failed


def _warm(port: int, path: str, count: int, tls: Certificate | None) -> None:
    """Some requests before anything is measured: caches fill, and Node compiles."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        if tls is not None:
            context = ssl.create_default_context(cafile=tls.cert)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = stack.enter_context(context.wrap_socket(sock))
        for _ in range(count):
            sock.sendall(request)
            if not sock.recv(65536):
                break


def _measure(plan: Plan, work: Work, started: dict[str, Started], failed: dict[str, str], load: Load) -> Work:
    work.failed |= failed
    busy: dict[str, list[float]] = {}
    costs: dict[str, list[float]] = {}

    def turn(name: str, one: Started) -> float:
        before, began = cpu_seconds(one.pid), time.perf_counter()
        rate = run_wrk(one.port, plan.seconds, load)
        share = (cpu_seconds(one.pid) - before) / (time.perf_counter() - began)
        busy.setdefault(name, []).append(share)
        costs.setdefault(name, []).append(share / rate)
        return rate

    turns: dict[str, Callable[[], float]] = {
        name: lambda name=name, one=one: turn(name, one)  # type: ignore[misc]
        for name, one in started.items()
    }
    contest(work, turns, plan.rounds)
    for name in work.values:
        cost, share = statistics.median(costs[name]), statistics.median(busy[name])
        work.notes[name] = f"{1e6 * cost:.0f} µs of processor each, {share:.0%} busy"
    if not work.values and work.failed:
        raise Failed(next(iter(work.failed.values())))
    return work


def _without(among: dict[str, T], starts: Iterable[str]) -> dict[str, T]:
    return {name: each for name, each in among.items() if not name.startswith(tuple(starts))}
