"""What workers are asked: the groups ``client``, ``core``, ``pool`` and ``linear``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from .bars import AT_ONCE, LINEAR, ONE_BY_ONE, SHARED
from .catalogue import BENCHED, floors, nodes, peer_python, running
from .work import Failed, Plan, Work, contest
from .workers import Worker, compete, workers

__all__ = ["client", "core", "linear", "pool"]

PROGRAMS = BENCHED / "workers"
QUICK_CLIENTS = ("anywire", "Node 13", "aiohttp", "httpx2", "geventhttpclient", "http.client", "urllib3")
POOL_SIZES = (10, 100, 1000, 10_000)


def client(plan: Plan) -> Iterator[Work]:
    """GET over a keep-alive agent, one by one and 32 at a time, from the floor of uvloop on the other processor.

    One by one both sides wait for each other, and what is measured is above all how fast a processor that sleeps is
    woken by another. So it is done again with both on one processor.
    """
    about = "GET of 14 bytes over one keep-alive connection, the next when the answer was read."
    works = [Work("client", ONE_BY_ONE, "requests/s", about=about)]
    text = "32 tasks, threads or greenlets, each as above, over at most 32 connections of one agent or pool."
    works.append(Work("client", AT_ONCE, "requests/s", about=text))
    yield from _from_floor(plan, works, plan.cpus[1])
    about += " Client and server share the client's processor: the time is what both of them cost."
    yield from _from_floor(plan, [Work("client", SHARED, "requests/s", about=about)], plan.cpus[0])


def _from_floor(plan: Plan, works: list[Work], cpus: frozenset[int]) -> Iterator[Work]:
    floor = floors()
    with running(floor.get("floor uvloop") or floor["floor asyncio"], cpus=cpus) as (port, _):
        commands = _clients(str(port))
        if plan.quick:
            commands = {name: command for name, command in commands.items() if name.startswith(QUICK_CLIENTS)}
        yield from compete(works, commands, plan)


def _clients(port: str) -> dict[str, list[str]]:
    own = [sys.executable]
    found = {
        f"anywire {'asyncio+uvloop' if runtime == 'uvloop' else runtime}": [
            *own, str(PROGRAMS / "client_anywire_awaiting.py"), runtime, port,
        ]
        for runtime in ("uvloop", "asyncio", "trio")
    }  # fmt: skip
    for runtime in ("gevent", "sync"):
        found[f"anywire {runtime}"] = [*own, str(PROGRAMS / "client_anywire_blocking.py"), runtime, port]
    for name, path in nodes().items():
        found[name] = [path, str(PROGRAMS / "client_node.js"), port]
    if peer := peer_python():
        for kind in ("aiohttp", "httpx", "httpx2", "httpcore"):
            found[kind] = [peer, str(PROGRAMS / "client_peers_awaiting.py"), kind, port]
        for kind in ("http.client", "urllib3", "requests", "geventhttpclient"):
            found[kind] = [peer, str(PROGRAMS / "client_peers_blocking.py"), kind, port]
    for kind in ("asyncio", "uvloop", "trio", "gevent", "threads"):
        found[f"floor {kind}"] = [*own, str(PROGRAMS / "client_floor.py"), kind, port]
    return found


def core(plan: Plan) -> Iterator[Work]:
    """Parsers and serializers without sockets."""
    commands = {"anywire": [sys.executable, str(PROGRAMS / "codec.py"), "anywire"]}
    if peer := peer_python():
        commands |= {
            "httptools (parses only)" if kind == "httptools" else kind: [peer, str(PROGRAMS / "codec.py"), kind]
            for kind in ("h11", "httptools", "zttp")
        }
    about = {
        "small cycle": "A request with Host taken in, and an answer of 14 bytes made; no sockets.",
        "browser cycle": "The same with ten header fields.",
        "small head in 1-byte pieces": "The first again, each byte taken in alone.",
        "tiny chunks": "A body in chunks of one byte that are there at once: time for each.",
    }
    works = [Work("core", name, "µs", more=False, about=text) for name, text in about.items()]
    yield from compete(works[: 2 if plan.quick else None], commands, plan, value=lambda rate: 1e6 / rate)


def pool(plan: Plan) -> Iterator[Work]:
    """What one request costs the Agent, however many sockets there are. The sizes take turns."""
    about = (
        "One request through the Agent of the core, over ten hosts. Idle: takes an idle connection and gives it back. "
        "Queued: as many requests wait as connections are in use; one is handed over, and one more joins the queue."
    )
    works = [Work("pool", f"{size:,} sockets".replace(",", " "), "µs", more=False, about=about) for size in POOL_SIZES]
    commands = {f"anywire, {kind}": [sys.executable, str(PROGRAMS / "pool.py"), kind] for kind in ("idle", "queued")}
    with workers(commands, plan) as running_now:
        for _ in range(plan.rounds):
            for work, size in zip(works, POOL_SIZES, strict=True):
                contest(work, {name: _microseconds(one, size, plan) for name, one in running_now.items()}, 1)
    yield from works


def linear(plan: Plan) -> Iterator[Work]:
    """Whether twice as much takes twice as long."""
    commands = {kind: [sys.executable, str(PROGRAMS / "linear.py"), kind] for kind in LINEAR}
    about = (
        "A message of 2N 1-byte segments, chunks, fields or trailers, and a queue of 2N requests, against one of N; "
        "each time is the least of five."
    )
    work = Work("linear", "time(2N) / time(N)", "ratio", more=False, compared=False, about=about)

    with workers(commands, plan) as running_now:
        yield contest(work, {name: _doubling(one, plan) for name, one in running_now.items()}, plan.rounds)


def _microseconds(one: Worker, sockets: int, plan: Plan) -> Callable[[], float]:
    return lambda: 1e6 / one.ask(f"{sockets}-sockets", plan.seconds)


def _doubling(one: Worker, plan: Plan) -> Callable[[], float]:
    def turn() -> float:
        twice, once = one.numbers("double", plan.seconds)
        if not once:
            raise Failed("it took no time")
        return twice / once

    return turn
