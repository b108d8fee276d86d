"""A peer that has said its last word costs no work (SEC-46): turns of the loop are counted, for no case can.

All states are there at once, each with a FIN from its peer, which stays to read. Beside them somebody asks one
request after the other. A loop that is told of the same FIN again and again would turn many times for each.
"""

from __future__ import annotations

import importlib
import selectors
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance.awaiting import Asyncio
from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter

CERTIFICATES = Path(__file__).parents[1] / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")
PEM = str(CERTIFICATES / "localhost.pem")
PATIENCE = 20.0
ASKED = 400
MOST = 3 * ASKED
"""Turns: one or two for each request are what it takes."""

HALF_OPEN = {
    "nothing was sent": b"",
    "in the head": b"GET / HTTP/1.1\r\nHos",
    "in a body that is read": b"POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
    "in a body that nobody reads": b"POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx",
    "while the handler works": b"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n",
    "more than is read ahead": b"POST /wait HTTP/1.1\r\nHost: h\r\nContent-Length: 999999\r\n\r\n" + b"x" * 300_000,
    "after the answer": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "on a raw stream": b"GET /wait HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
}


class Turns:
    """How often the loop of a backend turned."""

    def __init__(self) -> None:
        self.count = 0

    def one(self, *_: object) -> None:
        self.count += 1


def on_asyncio(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> Any:
    asyncio: Any = importlib.import_module("asyncio")

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> Any:
            turns.one()
            return super().select(timeout)

    return Asyncio(
        "anywire.asyncio",
        importlib.import_module("anywire.asyncio.http"),
        lambda: asyncio.SelectorEventLoop(Selector()),
    )


def on_trio(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> Any:
    trio: Any = importlib.import_module("trio")
    backend: Any = resolve("anywire.trio")

    class Instrument(trio.abc.Instrument):  # type: ignore[misc]
        def before_io_wait(self, timeout: float) -> None:
            turns.one()

    run = trio.run
    monkeypatch.setattr(trio, "run", lambda *args: run(*args, instruments=[Instrument()]))
    return backend


def on_gevent(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> Any:
    gevent: Any = importlib.import_module("gevent")
    backend: Any = resolve("anywire.gevent")
    inside = backend.inside

    def counting(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        watcher = gevent.get_hub().loop.prepare()
        watcher.start(turns.one)
        return inside(scenario)

    backend.inside = counting
    return backend


def on_sync(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> Any:
    runtime: Any = importlib.import_module("anywire.sync._runtime")
    poll = runtime.Poller.poll

    def counting(self: Any, due: float) -> Any:
        turns.one()
        return poll(self, due)

    monkeypatch.setattr(runtime.Poller, "poll", counting)
    return resolve("anywire.sync")


BACKENDS = {
    "anywire.asyncio": on_asyncio,
    "anywire.trio": on_trio,
    "anywire.gevent": on_gevent,
    "anywire.sync": on_sync,
}


@contextmanager
def half_open(address: Any, context: ssl.SSLContext | None) -> Iterator[None]:
    """A peer for each state."""
    with ExitStack() as stack:
        for said in HALF_OPEN.values():
            peer = stack.enter_context(socket.create_connection(address, PATIENCE))
            if context is not None:
                peer = stack.enter_context(context.wrap_socket(peer, server_hostname="localhost"))
            peer.settimeout(1.0)
            try:
                peer.sendall(said)
                if b" / " in said and said.endswith(b"\r\n\r\n"):
                    assert peer.recv(4096)
            except TimeoutError:
                pass  # it takes no more than it has to
            peer.shutdown(socket.SHUT_WR)
        yield


ASK = f"""
import socket, ssl, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])), {PATIENCE})
if len(sys.argv) > 2:
    peer = ssl.create_default_context(cafile=sys.argv[2]).wrap_socket(peer, server_hostname="localhost")
for _ in range({ASKED}):
    peer.sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
    data = b""
    while not data.endswith(b"\\r\\n\\r\\nok"):
        piece = peer.recv(4096)
        assert piece, data
        data += piece
peer.close()
"""
"""A process of its own, or it would wait for the interpreter as often as a loop that turns and turns."""


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", [name for name in BACKENDS if name in installed()])
def test_half_open_peers_turn_no_loop_SEC_46(name: str, secure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    backend = BACKENDS[name](turns, monkeypatch)
    context = ssl.create_default_context(cafile=AUTHORITY) if secure else None
    errors: list[BaseException] = []
    turned = [0]

    async def scenario() -> None:
        over, done = backend.flag(), backend.flag()
        waiting: list[Any] = []

        async def app(req: Any, res: Any) -> None:
            if req.url == "/wait":
                waiting.append(req)
                await settle(over.wait())
            elif req.url == "/read":
                await settle(req.read())
            await settle(res.end("ok"))

        async def upgrade(req: Any, sock: Any, head: bytes) -> None:
            waiting.append(sock)
            await settle(sock.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"))
            await settle(over.wait())
            sock.destroy()

        def clients(address: Any) -> None:
            try:
                with half_open(address, context):
                    before = turns.count
                    subprocess.run([sys.executable, "-c", ASK, str(address[1]), *[AUTHORITY] * secure], check=True)
                    turned[0] = turns.count - before
            except BaseException as error:
                errors.append(error)
            done.set()

        module = backend.https if secure else backend.http
        server = module.create_server(backend.hook(app), **({"cert": PEM, "key": PEM} if secure else {}))
        server.on("upgrade", backend.hook(upgrade))
        server.http_allow_half_open = True
        server.timeout = 0.0
        await settle(_enter(server))
        await settle(server.listen(0, "127.0.0.1"))
        thread = threading.Thread(target=clients, args=(server.address(),), daemon=True)
        thread.start()
        await settle(done.wait())
        over.set()
        thread.join()
        assert len(waiting) == 4, "each handler that waits was there"
        await settle(server.close(grace=0))
        await settle(leave(server))

    backend.run(scenario)
    if errors:
        raise errors[0]
    assert turned[0] <= MOST, turned
