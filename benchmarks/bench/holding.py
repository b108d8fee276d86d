"""Resident memory: the group ``memory``, what an idle connection holds on to."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

from .catalogue import floors, running, servers
from .machine import resident
from .work import Failed, Plan, Work, contest

__all__ = ["memory"]

BEFORE = 500
IDLE = 2000
QUICK = ("anywire asyncio", "Node 13", "aiohttp", "uvicorn httptools", "floor asyncio")


def memory(plan: Plan) -> Iterator[Work]:
    """What a connection holds on to that has had one exchange and waits for the next."""
    about = (
        f"Resident memory that {IDLE} connections, each after one exchange, add to a server that has {BEFORE} already; "
        "for each of them. A new process for every round. What the kernel holds is not counted."
    )
    commands = {**servers(), **{name: each for name, each in floors().items() if name != "floor 64 threads"}}
    chosen = {
        name: command
        for name, command in commands.items()
        if plan.wants(name) and (not plan.quick or name in QUICK or name.startswith("Node 13"))
    }
    work = Work("memory", "idle connection", "KiB", more=False, about=about)
    turns = {name: lambda command=command: idle_kib(command, plan) for name, command in chosen.items()}
    yield contest(work, turns, 1 if plan.quick else min(3, plan.rounds))


def idle_kib(command: list[str], plan: Plan) -> float:
    """Of one server, in KiB for each connection.

    Raises:
        Failed: it did not start, or did not serve so many.
    """
    try:
        with running(command, cpus=plan.cpus[0]) as (port, pid), contextlib.ExitStack() as stack:
            _exchange(port, BEFORE, stack)
            before = _settled(pid)
            _exchange(port, IDLE, stack)
            return (_settled(pid) - before) / IDLE / 1024
    except (RuntimeError, OSError) as error:
        raise Failed(str(error)) from error


def _settled(pid: int) -> int:
    """Resident bytes when they do not change any more; after two seconds as they are."""
    now = resident(pid)
    for _ in range(20):
        time.sleep(0.1)
        before, now = now, resident(pid)
        if before == now:
            break
    return now


def _exchange(port: int, count: int, stack: contextlib.ExitStack) -> None:
    """So many connections with one exchange each, which stay open."""
    request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    for number in range(count):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        sock.sendall(request)
        answer = b""
        while not answer.endswith(b"\n") or b"\r\n\r\n" not in answer[:-1]:
            piece = sock.recv(4096)
            if not piece:
                raise Failed(f"connection {number + 1} was closed")
            answer += piece
            if answer.endswith(b"World!"):
                break  # HAProxy's has no line end
