"""Large bodies: the group ``bulk``, throughput and memory of servers and clients that send or receive 1 GiB."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .catalogue import BENCHED, nodes, peer_python, running, servers
from .machine import resident, tree
from .serving import start
from .work import Failed, Plan, Work, contest
from .workers import Worker, workers

__all__ = ["bulk"]

GIB = 1024
SHORT = 64
QUICK = ("anywire", "Node 13", "aiohttp", "uvicorn httptools")
PIECE = bytes(1 << 18)
PATIENCE = 60.0


def bulk(plan: Plan) -> Iterator[Work]:
    """One connection; on the other side bare blocking sockets, which look at the head and count the rest."""
    plan = plan.shorter()
    mib = SHORT if plan.quick else GIB
    commands = {name: each for name, each in servers().items() if not name.startswith(("nginx", "HAProxy"))}
    with start(plan, commands, quick=QUICK) as (started, failed):
        pids = {name: one.pid for name, one in started.items()}
        for way, transfer in (("down", download), ("up", upload)):
            about = f"{mib} MiB in one {'answer' if way == 'down' else 'request'} with Content-Length, of a server."
            work = Work("bulk", way, "MiB/s", about=about, failed=dict(failed))
            turns = {name: _served(one.port, transfer, mib) for name, one in started.items()}
            yield from _watched(work, turns, pids, plan)
    with (
        running([sys.executable, str(BENCHED / "servers" / "floor_bulk.py"), "{port}"], cpus=plan.cpus[1]) as (
            port,
            _,
        ),
        workers(_clients(str(port), plan), plan) as found,
    ):
        pids = {name: one.pid for name, one in found.items()}
        for way in ("down", "up"):
            about = f"{mib} MiB in one {'answer' if way == 'down' else 'request'} with Content-Length, of a client."
            turns = {name: _asked(one, way, mib) for name, one in found.items()}
            yield from _watched(Work("bulk", f"client, {way}", "MiB/s", about=about), turns, pids, plan)


def _served(port: int, transfer: Callable[[int, int], None], mib: int) -> Callable[[], float]:
    def turn() -> float:
        began = time.perf_counter()
        transfer(port, mib << 20)
        return mib / (time.perf_counter() - began)

    return turn


def _asked(one: Worker, way: str, mib: int) -> Callable[[], float]:
    return lambda: one.ask(way, mib)


def _clients(port: str, plan: Plan) -> dict[str, list[str]]:
    own, programs = sys.executable, BENCHED / "workers"
    awaiting, blocking = str(programs / "bulk_awaiting.py"), str(programs / "bulk_blocking.py")
    found = {
        f"anywire {'asyncio+uvloop' if kind == 'uvloop' else kind}": [own, awaiting, kind, port]
        for kind in ("uvloop", "asyncio", "trio")
    }
    found |= {f"anywire {kind}": [own, blocking, kind, port] for kind in ("gevent", "sync")}
    found |= {name: [path, str(programs / "bulk_node.js"), port] for name, path in nodes().items()}
    if peer := peer_python():
        found |= {kind: [peer, awaiting, kind, port] for kind in ("aiohttp", "httpx2")}
        found |= {kind: [peer, blocking, kind, port] for kind in ("http.client", "urllib3")}
    return {name: command for name, command in found.items() if not plan.quick or name.startswith(QUICK)}


def _watched(work: Work, turns: dict[str, Callable[[], float]], pids: dict[str, int], plan: Plan) -> Iterator[Work]:
    """The work, and by how much the memory of who did it grew meanwhile."""
    about = "By how much the resident memory was greater at its peak than before."
    memory = Work("bulk", f"{work.name}: memory", "MiB", more=False, compared=False, about=about)

    def watched(name: str, turn: Callable[[], float]) -> Callable[[], float]:
        def measured() -> float:
            _forget_peak(pids[name])
            before = resident(pids[name])
            rate = turn()
            peak = resident(pids[name], "VmHWM")
            memory.values.setdefault(name, []).append(max(0, peak - before) / (1 << 20))
            memory.notes[name] = f"peak {peak >> 20} MiB"
            return rate

        return measured

    yield contest(work, {name: watched(name, turn) for name, turn in turns.items()}, plan.rounds)
    memory.values = {name: values for name, values in memory.values.items() if name in work.values}
    yield memory


def _forget_peak(pid: int) -> None:
    """Let the kernel count the peak anew."""
    for each in tree(pid):
        try:
            Path(f"/proc/{each}/clear_refs").write_text("5")
        except OSError:
            continue


def download(port: int, size: int) -> None:
    """Receive a body of `size`.

    Raises:
        Failed: it ended early.
    """
    request = f"GET /down?size={size} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(request.encode())
        head, body = _head(sock)
        if b" 200 " not in head[:16]:
            raise Failed(f"the answer was {head[:40]!r}")
        got, buffer = len(body), bytearray(1 << 20)
        while got < size:
            count = sock.recv_into(buffer)
            if not count:
                raise Failed(f"it ended after {got} bytes")
            got += count


def upload(port: int, size: int) -> None:
    """Send a body of `size`; the answer is how much arrived.

    Raises:
        Failed: that is another number.
    """
    head = f"POST /up HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(head.encode())
        for _ in range(size // len(PIECE)):
            sock.sendall(PIECE)
        got, answer = _head(sock)
        while str(size).encode() not in answer:
            piece = sock.recv(4096)
            if not piece:
                raise Failed(f"the answer was {got[:40]!r} {answer[:40]!r}")
            answer += piece


def _head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise Failed(f"the answer was {data[:40]!r}")
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest
