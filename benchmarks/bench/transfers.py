"""Large bodies: the group ``bulk``, throughput and peak memory of servers that send or receive 1 GiB."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .catalogue import servers
from .machine import resident, tree
from .serving import start
from .work import Failed, Plan, Work, contest

__all__ = ["bulk"]

GIB = 1 << 30
SHORT = 1 << 26
QUICK = ("anywire", "Node 13", "aiohttp", "uvicorn httptools")
PIECE = bytes(1 << 18)
PATIENCE = 60.0


def bulk(plan: Plan) -> Iterator[Work]:
    """One connection; bare blocking sockets on the other side, which look at the head and count the rest."""
    size = SHORT if plan.quick else GIB
    commands = {name: each for name, each in servers().items() if not name.startswith(("nginx", "HAProxy"))}
    grown: dict[str, dict[str, list[float]]] = {"down": {}, "up": {}}
    peaks: dict[str, int] = {}
    with start(plan, commands, quick=QUICK) as (started, failed):
        directions: tuple[tuple[str, Callable[[int, int], None]], ...] = (("down", download), ("up", upload))
        for name, transfer in directions:
            about = f"{size >> 20} MiB in one {'answer' if name == 'down' else 'request'} with Content-Length."
            work = Work("bulk", name, "MiB/s", about=about, failed=dict(failed))

            def turn(
                who: str, port: int, pid: int, name: str = name, transfer: Callable[[int, int], None] = transfer
            ) -> float:
                _forget_peak(pid)
                before, began = resident(pid), time.perf_counter()
                transfer(port, size)
                took = time.perf_counter() - began
                peaks[who] = resident(pid, "VmHWM")
                grown[name].setdefault(who, []).append((peaks[who] - before) / (1 << 20))
                return size / (1 << 20) / took

            turns = {
                who: lambda who=who, one=one, turn=turn: turn(who, one.port, one.pid) for who, one in started.items()
            }
            yield contest(work, turns, min(3, plan.rounds))
            about = "By how much the resident memory of the server was greater at its peak than before."
            memory = Work("bulk", f"{name}: memory", "MiB", more=False, compared=False, about=about)
            memory.values = {who: values for who, values in grown[name].items() if who in work.values}
            memory.notes = {who: f"peak {peaks[who] >> 20} MiB" for who in memory.values}
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
