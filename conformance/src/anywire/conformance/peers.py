"""The other side of every scenario: a script of bytes on bare sockets, without a line of anywire.

A peer never sleeps to synchronise: it waits for the bytes it expects, for the end of the
connection, or for a flag of the application, each within :data:`~.backends.PATIENCE`.

:class:`Threads` is where peers live on real networks: one thread per connection, blocking sockets. A backend with
a network of its own hands in its own world with the same methods, which may then be coroutines.
"""

from __future__ import annotations

import re
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .backends import PATIENCE, drive, settle
from .language import Step
from .secure_peers import Contexts, RaggedEnd, SecureStream

__all__ = ["BYTES", "NOWHERE", "Conversation", "Signals", "Talk", "Threads", "split", "without_dates"]

BYTES: Final = "bytes"
"""The variant that sends one byte at a time."""

_DAYS = b"Mon|Tue|Wed|Thu|Fri|Sat|Sun"
_MONTHS = b"Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_DATE = re.compile(rb"(?:%b), \d\d (?:%b) \d{4} \d\d:\d\d:\d\d GMT" % (_DAYS, _MONTHS))
_DATE_LENGTH: Final = 29
_ALERT = re.compile(rb"\x15\x03.\0\x02..", re.DOTALL)
_ANY: Final = b"Ddd, dd Mmm dddd dd:dd:dd GMT"


class Signal:
    """A flag that both sides can set and wait for."""

    def __init__(self, flag: Any) -> None:
        self.flag = flag
        self.event = threading.Event()

    def set(self) -> None:
        """Let both sides go on."""
        self.event.set()
        self.flag.set()


class Signals:
    """The named signals of one run."""

    def __init__(self, flag: Callable[[], Any]) -> None:
        self._flag = flag
        self._lock = threading.Lock()
        self._signals: dict[str, Signal] = {}

    def __getitem__(self, name: str) -> Signal:
        with self._lock:
            if name not in self._signals:
                self._signals[name] = Signal(self._flag())
            return self._signals[name]


@dataclass(slots=True)
class Conversation:
    """What one peer did and saw.

    Attributes:
        number: of the connection, from 1.
        seen: everything received, in order.
        wanted: everything that should have been received up to the first difference.
        problem: what went wrong, or None.
    """

    number: int
    seen: bytes = b""
    wanted: bytes = b""
    problem: str | None = None


class _Mismatch(Exception):
    pass


@dataclass(slots=True)
class Talk:
    """One peer on its connection.

    Args:
        stream: the connection.
        world: where it lives.
        signals: shared with the application.
        conversation: what is done and seen goes here.
        contexts: of TLS, shared by the peers of a run.
        accepted: the peer was connected to, so it is the server in TLS too.
        port: what ``PORT`` stands for.
        variant: ``bytes`` to send one byte at a time.
    """

    stream: Any
    world: Any
    signals: Signals
    conversation: Conversation
    contexts: Contexts
    accepted: bool
    port: int
    variant: str

    async def follow(self, steps: list[Step]) -> None:
        """Carry out the steps; what differs goes into the conversation."""
        try:
            for step in steps:
                await self._take(step)
        except _Mismatch as mismatch:
            self.conversation.problem = str(mismatch)
            self.conversation.seen += await settle(self.stream.drain())
        finally:
            await settle(self.stream.close())

    async def _take(self, step: Step) -> None:
        verb, stream = step.verb, self.stream
        if verb == "send":
            for piece in split(step.data.replace(b"PORT", b"%d" % self.port), self.variant):
                if not await settle(stream.send(piece)):
                    break  # the application closed; what it said before is still to be read
        elif verb in ("want", "packet"):
            wanted = step.data.replace(b"PORT", b"%d" % self.port)
            await _want(wanted, stream, self.conversation, whole=verb == "packet")
        elif verb == "eof":
            await settle(stream.send_eof())
        elif verb == "reset":
            await settle(stream.reset())
        elif verb == "close":
            await settle(stream.close())
        elif verb == "signal":
            self.signals[step.flag].set()
        elif verb == "wait":
            if not await settle(self.world.wait(self.signals[step.flag])):
                raise _Mismatch(f"the application never signalled {step.flag!r}")
        elif verb == "sleep":
            await settle(self.world.sleep(float(step.flag)))
        elif verb in ("tls", "has", "fin", "goodbye", "raw", "ask"):
            await self._take_secure(step)
        elif verb == "alert":
            await _want_alert(stream, self.conversation)
        elif verb == "hello":
            await _want_hello(stream)
        elif verb != "bare":
            await _want_end(verb, stream, self.conversation)

    async def _take_secure(self, step: Step) -> None:
        stream = self.stream
        if step.verb == "fin":
            await stream.send_fin()
        elif step.verb == "goodbye":
            await stream.goodbye()
        elif step.verb == "ask":
            await stream.ask()
        elif step.verb == "raw":
            await stream.send_raw(step.data)
        elif step.verb == "has":
            value = stream.agreed(step.flag)
            if value != step.options:
                raise _Mismatch(f"TLS has {step.flag} {value!r}, not {step.options!r}")
        else:
            self.stream = made = self.contexts.wrap(
                stream, step.options, server_side=self.accepted, in_bytes=self.variant == BYTES
            )
            await _shake(made, refused=bool(step.options.get("refused")))


async def _want_hello(stream: Any) -> None:
    """A client's first record of TLS must come; what it says is not looked at."""
    record = b""
    while len(record) < 5 + int.from_bytes(record[3:5], "big"):
        try:
            data = await settle(stream.receive(5 - len(record) if len(record) < 5 else 65536))
        except OSError as error:
            raise _Mismatch(f"the connection broke: {error}") from error
        if not data or not b"\x16\x03".startswith((record + data)[:2]):
            raise _Mismatch("a ClientHello should have come")
        record += data


async def _want_alert(stream: Any, conversation: Conversation) -> None:
    """TLS may say in an alert why it ends the connection; nothing else."""
    said = b""
    try:
        while data := await settle(stream.receive(65536)):
            said += data
    except OSError:
        data = b""
    if data is None:
        raise _Mismatch("the connection should have ended by now")
    if said and not _ALERT.fullmatch(said):
        conversation.seen += said
        raise _Mismatch("the connection should have ended with a TLS alert at most")


async def _shake(stream: SecureStream, *, refused: bool) -> None:
    try:
        done = await stream.shake()
        if refused:  # of a certificate a client hears when it believes to be done
            await stream.receive(1)
    except OSError as error:
        if not refused:
            raise _Mismatch(f"the handshake failed: {error}") from error
        return
    if refused:
        raise _Mismatch("TLS should have been refused")
    if not done:
        raise _Mismatch("nothing more came of the handshake")


async def _want(template: bytes, stream: Any, conversation: Conversation, *, whole: bool) -> None:
    parts = template.split(b"<D>")
    wanted = _ANY.join(parts)
    conversation.wanted += wanted
    got = b""
    while len(got) < len(wanted):
        try:
            data = await settle(stream.receive(len(wanted) - len(got)))
        except OSError as error:
            raise _Mismatch(f"the connection broke: {error}") from error
        if data is None:
            raise _Mismatch(f"nothing more came; {len(wanted) - len(got)} bytes are missing")
        if not data:
            raise _Mismatch(f"the connection ended; {len(wanted) - len(got)} bytes are missing")
        got += data
        conversation.seen += data
        if not _agrees(parts, got):
            raise _Mismatch("other bytes came")
        if whole and len(got) < len(wanted) and getattr(stream, "packets", False):
            raise _Mismatch("the right bytes came, but not in one packet")


def _agrees(parts: list[bytes], got: bytes) -> bool:
    """Is `got` the beginning of the text whose `parts` stand between dates?"""
    at = 0
    for index, part in enumerate(parts):
        if index:
            date = got[at : at + _DATE_LENGTH]
            if len(date) < _DATE_LENGTH:
                return True
            if not _DATE.fullmatch(date):
                return False
            at += _DATE_LENGTH
        piece = got[at : at + len(part)]
        if piece != part[: len(piece)]:
            return False
        at += len(part)
    return True


_ENDS: Final = {"cut": "a reset", "end": "a FIN"}


async def _want_end(verb: str, stream: Any, conversation: Conversation) -> None:
    try:
        data = await settle(stream.receive(65536))
    except OSError as error:
        if verb == "end" or (verb == "cut" and isinstance(error, RaggedEnd)):
            raise _Mismatch(f"{_ENDS[verb]} should have come, and the connection broke: {error}") from error
        return
    if data is None:
        raise _Mismatch("the connection should have ended by now")
    if data:
        conversation.seen += data
        raise _Mismatch("the connection should have ended, and more came")
    if verb == "cut":
        raise _Mismatch("a reset should have come, and a FIN did")


def without_dates(data: bytes) -> bytes:
    """Well-formed dates, and what stands for one, as they are written in cases."""
    return _DATE.sub(b"<D>", data.replace(_ANY, b"<D>"))


def split(data: bytes, variant: str) -> list[bytes]:
    """The pieces in which a packet is sent."""
    return [data[at : at + 1] for at in range(len(data))] if variant == BYTES else [data]


class _Nowhere:
    """The connection of a peer that was refused: there is none."""

    def close(self) -> None: ...
    def drain(self) -> bytes:
        return b""


NOWHERE: Final = _Nowhere()


# ---------------------------------------------------------------- on bare sockets


class SocketStream:
    """A connection of a peer, blocking."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock

    def send(self, data: bytes) -> bool:
        """Send it all; False if the other side is gone."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        time.sleep(0)  # lets the application see each piece on its own
        return True

    def receive(self, most: int) -> bytes | None:
        """Some bytes, ``b""`` after a FIN, None if nothing comes. Raises OSError after a reset."""
        try:
            return self._sock.recv(most)
        except TimeoutError:
            return None

    def drain(self) -> bytes:
        """What else has come, for the report of a failure."""
        self._sock.settimeout(0.1)
        try:
            return self._sock.recv(65536)
        except OSError:
            return b""

    def send_eof(self) -> None:
        """FIN."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # gone already

    def reset(self) -> None:
        """RST."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def close(self) -> None:
        """Close. Idempotent."""
        self._sock.close()


@dataclass
class SocketListener:
    """A listening socket of a peer."""

    sock: socket.socket
    port: int = field(init=False)
    last: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        self.port = self.sock.getsockname()[1]

    def accept(self) -> SocketStream | None:
        """The next connection; None once closed."""
        sock, address = self.sock.accept()
        if address != self.last:
            return SocketStream(sock)
        sock.close()
        self.sock.close()
        return None

    def close(self) -> None:
        """Stop once what the application opened before was accepted: the last connection is our own."""
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self.last = last.getsockname()
            last.connect(("127.0.0.1", self.port))


class Threads:
    """Peers as threads with blocking sockets on 127.0.0.1."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def connect(self, port: int) -> SocketStream:
        """Connect to the application."""
        return SocketStream(socket.create_connection(("127.0.0.1", port), PATIENCE))

    def dial(self, port: int) -> socket.socket:
        """Connect to a peer; what the application may return from ``create_connection``."""
        return socket.create_connection(("127.0.0.1", port), PATIENCE)

    def listen(self) -> SocketListener:
        """Be what the application connects to."""
        return SocketListener(socket.create_server(("127.0.0.1", 0)))

    def start(self, work: Callable[[], Coroutine[Any, Any, None]], done: Any) -> None:
        """Run `work` in a thread; set `done` when it ends."""

        def body() -> None:
            try:
                drive(work())
            finally:
                done.set()

        threading.Thread(target=body, daemon=True).start()

    def wait(self, signal: Signal) -> bool:
        """Wait for a signal of the application; False if it does not come."""
        return signal.event.wait(PATIENCE)

    def refused(self, port: int) -> bool:
        """Wait until connections are refused; False if they go on being accepted."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            except OSError:
                return True
        return False

    def pair(self) -> tuple[SocketStream, socket.socket]:
        """Two ends of a connection that goes through no listener: a peer's, and what the server is handed."""
        ours, theirs = socket.socketpair()
        return SocketStream(ours), theirs

    def path(self, name: str, *, there: bool = False) -> str:
        """A path in the folder of this run; with `there`, of a file that exists."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="anywire-")
        path = Path(self._folder.name, name)
        if there:
            path.touch()
        return str(path)

    def clear(self) -> None:
        """A run is over."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()
