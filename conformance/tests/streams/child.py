"""How much memory bodies take that pass a peer who stalls (ASK-27), in a process that does nothing else.

``python child.py BACKEND MEBIBYTES`` prints the growth of resident memory in KiB of each way a body can go, against a
body of 2 MiB. ``test_streaming.py`` runs it with 64; 1024 is for by hand. With ``traced`` behind it, it prints what
Python's objects take at their most, with 2 MiB and with that many: resident memory is what the allocator makes of
it, which keeps a few blocks more or less from run to run.
"""

from __future__ import annotations

import importlib
import json
import re
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from anywire.conformance import awaiting, blocking
from anywire.conformance.backends import Backend, resolve, settle

CHUNK = b"x" * 65536
MEBI = 1 << 20
STALL = 0.25
"""Seconds for which nobody reads: long enough for a writer to fill all there is. Nothing relies on it."""


def sizes(total: int) -> list[int]:
    """Where a reader stalls: at the beginning, and in the middle."""
    return [0, total // 2]


def take(sock: socket.socket, total: int) -> None:
    """Read so many bytes, with two stalls."""
    room = memoryview(bytearray(65536))
    stalls = sizes(total)
    done = 0
    while done < total:
        if stalls and done >= stalls[0]:
            stalls.pop(0)
            time.sleep(STALL)
        got = sock.recv_into(room[: min(len(room), total - done)])
        if not got:
            raise EOFError(f"{total - done} bytes are missing")
        done += got


def give(sock: socket.socket, total: int) -> None:
    for _ in range(total // len(CHUNK)):
        sock.sendall(CHUNK)


def head(sock: socket.socket) -> None:
    """Read a head byte by byte: nothing of what follows."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += sock.recv(1)


class Peer:
    """A thread with the other end."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._problem: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as problem:
            self._problem = problem

    def join(self) -> None:
        self._thread.join()
        if self._problem is not None:
            raise self._problem


async def pause(backend: Backend) -> None:
    module = backend.name.partition("+")[0].rpartition(".")[2]
    await settle(importlib.import_module({"sync": "time"}.get(module, module)).sleep(STALL))


async def drink(backend: Backend, message: Any, total: int) -> None:
    """Read a body piece by piece, with two stalls."""
    stalls = sizes(total)
    done = 0
    while True:
        if stalls and done >= stalls[0]:
            stalls.pop(0)
            await pause(backend)
        piece = await settle(message.read(65536))
        if not piece:
            break
        done += len(piece)
    assert done == total, done


async def pour(message: Any, total: int) -> None:
    for _ in range(total // len(CHUNK)):
        await settle(message.write(CHUNK))


async def upload(backend: Backend, total: int) -> None:
    """Our client to a server that stalls."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                head(sock)
                take(sock, total)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        peer = Peer(serve)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        req = backend.http.request(url, method="PUT", headers={"Content-Length": total}, agent=False)
        await pour(req, total)
        await settle(req.end())
        res = await settle(req.response())
        await settle(res.read())
        peer.join()


async def download(backend: Backend, total: int) -> None:
    """Our client, which stalls, from a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                head(sock)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
                give(sock, total)

        peer = Peer(serve)
        req = backend.http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", agent=False)
        await drink(backend, await settle(req.response()), total)
        peer.join()


async def serving(backend: Backend, app: Any, client: Callable[[socket.socket], None]) -> None:
    server = backend.http.create_server(backend.hook(app))
    await settle(server.listen(0, "127.0.0.1"))

    def ask() -> None:
        with socket.create_connection(server.address()) as sock:
            client(sock)
        done.set()

    done = backend.flag()
    peer = Peer(ask)
    await settle(done.wait())
    peer.join()
    await settle(server.close(0.0))


async def respond(backend: Backend, total: int) -> None:
    """Our server to a client that stalls."""

    async def app(req: Any, res: Any) -> None:
        res.write_head(200, {"Content-Length": total})
        await pour(res, total)
        await settle(res.end())

    def client(sock: socket.socket) -> None:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        head(sock)
        take(sock, total)

    await serving(backend, app, client)


async def receive(backend: Backend, total: int) -> None:
    """Our server, whose handler stalls, from a client."""

    async def app(req: Any, res: Any) -> None:
        await drink(backend, req, total)
        await settle(res.end())

    def client(sock: socket.socket) -> None:
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % total)
        give(sock, total)
        head(sock)

    await serving(backend, app, client)


WAYS: dict[str, Callable[[Backend, int], Coroutine[Any, Any, None]]] = {
    "upload": upload,
    "download": download,
    "respond": respond,
    "receive": receive,
}


def peak() -> int:
    """Most resident memory since this was asked last, in KiB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    assert found, "this is Linux"
    Path("/proc/self/clear_refs").write_text("5")
    return int(found[1])


def most_traced(work: Callable[[], None]) -> int:
    """Most memory of objects made by `work` at once, in KiB."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most // 1024


def main(name: str, mebibytes: int, traced: bool = False) -> None:
    for module in (awaiting, blocking):
        module.PATIENCE = 600.0  # type: ignore[attr-defined]
    backend = resolve(name)
    told: dict[str, int | list[int]] = {}
    for way, work in WAYS.items():

        def run(total: int, work: Callable[[Backend, int], Coroutine[Any, Any, None]] = work) -> None:
            backend.run(lambda: work(backend, total * MEBI))

        if traced:
            run(2)
            told[way] = [most_traced(lambda run=run, total=total: run(total)) for total in (2, mebibytes)]  # type: ignore[misc]
        else:
            peak()
            run(2)
            before = peak()
            run(mebibytes)
            told[way] = peak() - before
        assert backend.reports == [], backend.reports
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["traced"])
