"""A server that closes while clients are at it: what became of every one of them (ASK-45, ASK-46, ASK-47).

The server is a process of its own, told on its standard input what to do; the clients are
threads with bare sockets, on loopback, bounded in number and by the close. By hand:

    python conformance/tests/closing_load.py --cycles 20 --backend anywire.trio --tls

What is counted:

* *answered*: complete answers.
* *last*: of these, the ones that said ``Connection: close``, and then a FIN came.
* *refused*: there was nobody to connect to any more. Each client that comes late ends so.
* *unanswered*: a FIN came in place of an answer. A client that sends on an idle connection when the FIN is on its way
  has to expect that; one that had just connected has not.
* *reset*: what must not happen.
* *not let in*: reset before anything was answered. The server never saw it: its handshake was over between the
  server's last ``accept()`` and the ``close()`` of the listening socket.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter

PATIENCE = 20.0
"""Seconds after which a client gives up: a failure, and nothing relies on it."""

CERTIFICATES = Path(__file__).parents[1] / "certificates"
PEM = str(CERTIFICATES / "localhost.pem")
ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]


def say(line: str) -> None:
    """To standard output, now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# ---------------------------------------------------------------- the server


def connected() -> list[int]:
    """The local port of each TCP socket of this process that is connected."""
    ports: list[int] = []
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode):
                with socket.socket(fileno=os.dup(int(name))) as sock:
                    sock.getpeername()
                    if sock.family == socket.AF_INET:
                        ports.append(sock.getsockname()[1])
    return ports


def serve(name: str, secure: bool) -> None:
    """Serve and close, once for each line of standard input: a number of seconds, the grace."""
    backend = resolve(name)
    for line in sys.stdin:
        told = backend.run(lambda line=line: _cycle(backend, secure, float(line)))  # type: ignore[misc]
        say(json.dumps(told))


async def _cycle(backend: Any, secure: bool, grace: float) -> dict[str, Any]:
    async def app(req: Any, res: Any) -> None:
        if req.url == "/short":
            await settle(res.end("ok"))
            return
        stopped = backend.flag()
        if req.url == "/stream":
            res.on("closing", stopped.set)
        await settle(res.write("first"))
        await settle(stopped.wait())
        await settle(res.end("last"))

    def stop() -> None:
        sys.stdin.readline()
        closing.set()

    closing = backend.flag()
    before = len(connected())
    module = backend.https if secure else backend.http
    server = module.create_server(backend.hook(app), **({"cert": PEM, "key": PEM} if secure else {}))
    await settle(_enter(server))
    await settle(server.listen(0, "127.0.0.1", backlog=511))
    server.on("closing", lambda: say(json.dumps("closing")))
    threading.Thread(target=stop, daemon=True).start()
    say(json.dumps({"port": server.address()[1]}))
    await settle(closing.wait())
    counted = server.get_connections()
    start = time.monotonic()
    await settle(server.close(grace))
    seconds = time.monotonic() - start
    await settle(leave(server))
    left = len(connected()) - before
    return {"at_close": counted, "seconds": seconds, "left": left, "counted": server.get_connections()}


class Server:
    """The server's process."""

    def __init__(self, name: str, *, secure: bool) -> None:
        command = [sys.executable, "-W", "error::ResourceWarning", __file__, "--serve", name]
        self._process = subprocess.Popen(
            command + ["--tls"] * secure,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        assert self._process.stderr is not None
        self._reader = threading.Thread(target=self.errors.extend, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def say(self, line: str) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """What it tells next."""
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        if not told:
            self._reader.join()
            raise AssertionError("the server ended:\n" + "".join(self.errors))
        return json.loads(told)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            self._reader.join()
            process.stdout.close()
            process.stderr.close()


# ---------------------------------------------------------------- the clients


class Unanswered(Exception):
    """A FIN in place of an answer."""


class Cut(Exception):
    """A FIN in the middle of an answer."""


class Clients:
    """All clients of one cycle."""

    def __init__(self, port: int, *, secure: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._port = port
        self._context = ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem")) if secure else None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._begun = threading.Semaphore(0)
        self._waiting = 0
        self._local = threading.local()
        self.closing = threading.Event()

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    def start(self, kind: Callable[[Clients], None], number: int, *, begins: bool) -> None:
        """So many clients of a kind; if it `begins`, :meth:`ready` waits until each says so."""
        self._waiting += number if begins else 0
        for _ in range(number):
            thread = threading.Thread(target=self._run, args=(kind,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, kind: Callable[[Clients], None]) -> None:
        try:
            kind(self)
        except ConnectionRefusedError:
            self.count("refused")
        except (ConnectionResetError, BrokenPipeError) as error:
            self.count("reset" if self._local.answered else "not let in")
            self.count(f"{kind.__name__}: {error!r}")
        except Unanswered:
            self.count("unanswered")
            self.count(f"{kind.__name__}: unanswered")
        except Exception as error:
            self.count("other")
            self.count(f"{kind.__name__}: {error!r}")
        finally:
            self._begun.release()

    def begun(self) -> None:
        """One of them is where it wants to be when the server closes."""
        self._begun.release()

    def ready(self) -> None:
        """Wait for all of them."""
        for _ in range(self._waiting):
            assert self._begun.acquire(timeout=PATIENCE), "a client does not begin"

    def join(self) -> None:
        """Wait for the end of all."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a client hangs"

    # ---------------------------------------------------------------- what a client does

    def bare(self) -> socket.socket:
        self._local.answered = False
        return socket.create_connection(("127.0.0.1", self._port), PATIENCE)

    def connect(self) -> socket.socket:
        sock = self.bare()
        if self._context is None:
            return sock
        try:
            return self._context.wrap_socket(sock, server_hostname="localhost")
        except ssl.SSLEOFError:
            raise Unanswered from None

    def ask(self, sock: socket.socket, target: str = "/short") -> None:
        sock.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def answer(self, sock: socket.socket, end: bytes = b"\r\n\r\nok") -> bool:
        """Take an answer. True if it was the last, and the FIN came behind it."""
        data = b""
        while not data.endswith(end):
            piece = sock.recv(4096)
            if not piece:
                raise Cut if data else Unanswered
            data += piece
        self._local.answered = True
        self.count("answered")
        if b"Connection: close" not in data:
            return False
        assert sock.recv(1) == b"", "more than the answer"
        self.count("last")
        return True

    def told(self, sock: socket.socket) -> bool:
        self.ask(sock)
        return self.answer(sock)


def steady(clients: Clients) -> None:
    """One request after the other on one connection, until told that it was the last. Then another connection."""
    first = True
    while True:
        with clients.connect() as sock:
            while not clients.told(sock):
                if first:
                    clients.begun()
                first = False


def storm(clients: Clients) -> None:
    """A connection for each request, one after the other, until nobody is there."""
    while True:
        with clients.connect() as sock:
            clients.told(sock)


def late(clients: Clients) -> None:
    """An idle connection, and a request on it when the server is closing."""
    with clients.connect() as sock:
        clients.told(sock)
        clients.begun()
        assert clients.closing.wait(PATIENCE)
        time.sleep(random.random() * 0.1)
        assert clients.told(sock), "the server forgot to say that it was the last"
        clients.count("late requests answered")


def silent(clients: Clients) -> None:
    """A connection on which nothing is ever sent."""
    with clients.bare() as sock:
        clients.begun()
        assert sock.recv(1) == b""
        clients.count("silent ones closed")


def stream(clients: Clients) -> None:
    """An answer without end, whose handler ends it when the server is closing."""
    with clients.connect() as sock:
        clients.ask(sock, "/stream")
        data = sock.recv(4096)
        clients.begun()
        while piece := sock.recv(4096):
            data += piece
        assert data.endswith(b"4\r\nlast\r\n0\r\n\r\n"), data
        clients.count("streams ended")


def endless(clients: Clients) -> None:
    """An answer without end, whose handler does not care."""
    with clients.connect() as sock:
        clients.ask(sock, "/endless")
        data = sock.recv(4096)
        clients.begun()
        with suppress(ConnectionResetError):
            while piece := sock.recv(4096):
                data += piece
        assert not data.endswith(b"0\r\n\r\n"), data
        clients.count("endless ones cut")


# ---------------------------------------------------------------- one cycle


def cycle(server: Server, *, secure: bool, steadies: int = 64, storms: int = 16, others: int = 0, grace: float) -> Any:
    """Load, close, count. Returns the counts of the clients, and what the server tells."""
    server.say(str(grace))
    clients = Clients(server.hear()["port"], secure=secure)
    clients.start(steady, steadies, begins=True)
    for kind in (late, silent, stream, endless):
        clients.start(kind, others, begins=True)
    clients.start(storm, storms, begins=False)
    clients.ready()
    server.say("close")
    assert server.hear() == "closing"
    clients.closing.set()
    told = server.hear()
    clients.join()
    return clients.counts, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=ON_SOCKETS, action="append")
    parser.add_argument("--serve", choices=ON_SOCKETS)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--steady", type=int, default=64)
    parser.add_argument("--storm", type=int, default=16)
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--grace", type=float, default=5.0)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.tls)
        return
    for name in options.backend or ON_SOCKETS:
        counts: Counter[str] = Counter()
        seconds: list[float] = []
        left = at_close = 0
        with Server(name, secure=options.tls) as server:
            for _ in range(options.cycles):
                sizes = {"steadies": options.steady, "storms": options.storm, "others": options.others}
                found, told = cycle(server, secure=options.tls, grace=options.grace, **sizes)
                counts += found
                seconds.append(told["seconds"])
                left += told["left"] + told["counted"]
                at_close += told["at_close"]
        say(f"{name}{' TLS' if options.tls else ''}: {options.cycles} closes, {at_close} connections open at them,")
        say(f"    {dict(sorted(counts.items()))}")
        say(f"    close took {min(seconds):.3f} to {max(seconds):.3f} s; left behind: {left}")
        if server.errors:
            say(f"    said {len(server.errors)} lines: {server.errors[0].strip()!r} … {server.errors[-1].strip()!r}")


if __name__ == "__main__":
    main()
