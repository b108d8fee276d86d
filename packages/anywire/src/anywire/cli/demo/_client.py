"""The demo's client, all of it that does not wait: what is asked for, and what the answers should be.

A driver (``awaiting``, ``blocking``) subclasses :class:`Client` and adds the calls that wait.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from .._words import human_bytes
from ..static import content_digest, quote_path
from ._job import Job, Material, Memory, Rate, Result
from ._memory import Watch
from ._origin import HINTS, LIMIT
from ._report import Phase, Reporter
from ._stream import PIECE, stream
from ._tree import Entry, compare

__all__ = ["DEADLINE", "EXPECTATIONS", "Client", "Copy", "Expectation", "StreamUp", "Wrong", "expect"]

SILENCE: Final = 60.0
"""Seconds without a byte after which an exchange has failed."""
WHOLE: Final = 900.0
"""Seconds after which any has: whatever hangs, the demo does not."""
DEADLINE: Final = 30.0
"""Seconds for an exchange that is only shown."""
ECHO: Final = 1 << 18

CHUNKED: Final = {"Transfer-Encoding": "chunked", "Trailer": "Content-Digest"}


class Wrong(Exception):
    """Something answered, but not as it should."""


class Message(Protocol):
    """A response, as far as it is looked at here."""

    @property
    def status_code(self) -> int | None:
        """Its status."""


def expect(message: Message, status: int, text: bytes = b"") -> None:
    """Complain about any other `status`, with the answer's `text`.

    Raises:
        Wrong: it is another one.
    """
    if message.status_code != status:
        said = f": {text.decode('utf-8', 'replace').strip()[:200]}" if text else ""
        raise Wrong(f"answered with {message.status_code} instead of {status}{said}")


class Expectation(NamedTuple):
    """A PUT with ``Expect``.

    Attributes:
        name: what the line is called.
        expect: the field.
        length: the announced Content-Length.
        body: what is sent when the server says so.
        status: what the final answer has to be.
        shown: what to say if it is.
    """

    name: str
    expect: str
    length: int
    body: bytes
    status: int
    shown: str


_ACCEPTED = b"".join(stream(LIMIT))

EXPECTATIONS: Final = (
    Expectation(
        "413",
        "100-continue",
        5 << 30,
        b"",
        413,
        "Expect: 100-continue with 5 GiB was refused, and not a byte of them sent",
    ),
    Expectation("417", "200-maybe", 4, b"", 417, "Expect: 200-maybe was refused"),
    Expectation(
        "100",
        "100-continue",
        LIMIT,
        _ACCEPTED,
        200,
        f"Expect: 100-continue with {human_bytes(LIMIT)} was accepted, then sent",
    ),
)


class Copy:
    """A file that is being written or read. It is opened late: there are far more requests than descriptors.

    Attributes:
        path: where it is.
        size: bytes so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._file: FileIO | None = None

    def _open(self, mode: str) -> FileIO:
        # These files are in the page cache, where a thread for each read would cost more than the read.
        self._file = file = FileIO(os.fspath(self.path), mode)
        return file

    def write(self, piece: bytes) -> None:
        """Store a piece."""
        file = self._file or self._open("w")
        file.write(piece)
        self.size += len(piece)

    def pieces(self) -> Iterator[bytes]:
        """Read it."""
        file = self._open("r")
        while piece := file.read(PIECE):
            self._digest.update(piece)
            self.size += len(piece)
            yield piece

    @property
    def trailers(self) -> dict[str, str]:
        """The digest of what was read."""
        return {"Content-Digest": content_digest(self._digest.digest())}

    def finish(self) -> None:
        """All of it was written, even if that was nothing."""
        if self._file is None:
            self._open("w")

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()


class StreamUp:
    """The stream on its way up.

    Attributes:
        req: the request.
        trailers: its digest, once :meth:`pieces` are through.
    """

    def __init__(self, material: Material, req: Any, phase: Phase) -> None:
        self.req = req
        self.trailers: dict[str, str] = {}
        self._material = material
        self._phase = phase

    def pieces(self) -> Iterator[bytes]:
        """What to send."""
        digest = hashlib.sha256()
        for piece in stream(self._material.stream_size):
            digest.update(piece)
            yield piece
            self._phase.advance(len(piece))
        self.trailers["Content-Digest"] = content_digest(digest.digest())

    def judge(self, message: Message, text: bytes) -> None:
        """Did the server take all of it?"""
        expect(message, 200, text)
        told, size = json.loads(text), self._material.stream_size
        right = content_digest(self._material.stream_digest)
        if (told["size"], told["digest"], told["trailer"]) != (size, right, right):
            raise Wrong(f"{told['size']} of {size} bytes went up, or others than were sent")
        self._phase.note = f"{human_bytes(size)}, SHA-256 is right"


class Client:
    """One run of the demo's client.

    Args:
        http: the backend's ``http`` module.
        job: what to do.
        result: what came of it.
        reporter: hears of everything.

    Attributes:
        http: as the argument.
        job: as the argument.
        agent: the one Agent.
    """

    def __init__(self, http: Any, job: Job, result: Result, reporter: Reporter) -> None:
        self.http = http
        self.job = job
        self.agent = http.Agent(keep_alive=True, max_sockets=job.sockets)
        self._result = result
        self._reporter = reporter
        self._fetched: list[Entry] = []
        self._lock = threading.Lock()  # on some backends the works of mirror and upload are threads

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Do one step. If it fails that is an error, and the next one is tried all the same."""
        errors = self._result.errors
        before = len(errors)
        try:
            yield
        except (Wrong, OSError, ValueError) as error:  # every error of ours about a peer is one of these
            errors.append(f"{name}: {error}")
        self._result.steps += 1
        self._result.passed += len(errors) == before

    def request(self, method: str, path: str, **options: Any) -> Any:
        """A request through the one Agent, counted."""
        self._result.requests += 1
        return self.http.request(
            self.job.url(path), method=method, agent=self.agent, timeout=SILENCE, deadline=WHOLE, **options
        )

    def alone(self, method: str, path: str, **options: Any) -> Any:
        """A request on a connection of its own."""
        return self.http.request(self.job.url(path), method=method, agent=False, deadline=DEADLINE, **options)

    # ---------------------------------------------------------------- the tree

    def check_manifest(self, text: bytes) -> None:
        """Does the server serve the files that we know from the disk?"""
        tree, there = self.job.material.tree, set(json.loads(text))
        if missing := [entry.path for entry in tree.files if entry.path not in there and not tree.changed(entry)]:
            raise Wrong(f"the server does not have {len(missing)} of the files, {missing[0]!r} for one")

    @contextmanager
    def mirroring(self) -> Iterator[Iterator[tuple[Entry, Any, Phase]]]:
        """Make the request for every file. Yields them: the file, its request, and whom to tell."""
        entries = self.job.material.tree.files
        for folder in {(self.job.mirror / entry.path).parent for entry in entries}:
            folder.mkdir(parents=True, exist_ok=True)
        with self._reporter.phase("mirror", len(entries)) as phase, self._result.down.timed():
            # Every request there will be is made now, and ended: it waits in the Agent's queue for its socket.
            asked = [(entry, self.request("GET", _url("/tree", entry)), phase) for entry in entries]
            for _, req, _ in asked:
                req.end_nowait()
            queued = self._count_queue()
            yield iter(asked)
            note = f"{queued:,} requests queued for {self.job.sockets} sockets"
            phase.note = f"{_amount(self._result.down)}  {note}"

    @contextmanager
    def uploading(self) -> Iterator[Iterator[tuple[Entry, Any, Phase]]]:
        """As :meth:`mirroring`, for the way back of what came."""
        entries = self._fetched
        with self._reporter.phase("upload", len(entries)) as phase, self._result.up.timed():
            asked = [(entry, self.request("PUT", _url("/uploads", entry), headers=CHUNKED), phase) for entry in entries]
            self._count_queue()
            yield iter(asked)
            phase.note = f"{_amount(self._result.up)}  chunked, digests in the trailer sections"

    def _count_queue(self) -> int:
        queued = sum(map(len, self.agent.requests.values()))
        self._result.queued = max(self._result.queued, queued)
        return queued

    @contextmanager
    def fetching(self, entry: Entry, phase: Phase) -> Iterator[Copy]:
        """One file is coming down. If it does not that is an error, unless somebody wrote to it meanwhile."""
        with self._one("GET", entry, self._result.down, phase) as copy:
            yield copy
            copy.finish()
            self._fetched.append(entry)

    @contextmanager
    def sending(self, entry: Entry, phase: Phase) -> Iterator[Copy]:
        """One file is going up. If it does not that is an error."""
        with self._one("PUT", entry, self._result.up, phase) as copy:
            yield copy

    @contextmanager
    def _one(self, method: str, entry: Entry, rate: Rate, phase: Phase) -> Iterator[Copy]:
        copy = Copy(self.job.mirror / entry.path)
        try:
            yield copy
        except (Wrong, OSError, ValueError) as error:
            if method == "PUT" or not self.job.material.tree.changed(entry):
                self._result.errors.append(f"{method} {entry.path}: {error}")
        else:
            with self._lock:
                rate.files += 1
                rate.bytes += copy.size
                phase.advance()
        finally:
            copy.close()

    @contextmanager
    def verifying(self, what: str, copy: Path) -> Iterator[Callable[[], None]]:
        """Compare a copy with the tree. Yields what does it, and takes its time."""
        material = self.job.material
        differences: list[str] = []
        with self._reporter.phase("verify", len(material.digests)) as phase:
            yield lambda: differences.extend(compare(copy, material.tree, material.digests, phase.advance))
            phase.note = f"{phase.done:,} files of the {what} by SHA-256, {len(differences)} differences"
        self._result.errors.extend(f"{what}: {difference}" for difference in differences)

    # ---------------------------------------------------------------- the stream

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Watch our memory."""
        watch = Watch()
        try:
            yield
        finally:
            self._result.client.before, self._result.client.after = watch.before, watch.peak()

    def tell_memory(self, text: bytes) -> None:
        """What the server says of its own."""
        told = json.loads(text)
        self._result.server = Memory(told["before"], told["after"])
        for name, memory in (("client", self._result.client), ("server", self._result.server)):
            grown = f"{human_bytes(memory.before)} before, {human_bytes(memory.after)} at the peak"
            self._reporter.line("memory", f"{name}: {grown}")

    @contextmanager
    def stream_down(self) -> Iterator[Callable[[bytes], None]]:
        """Yields what takes the pieces, and compares their digest in the end."""
        size, digest, rate = self.job.material.stream_size, hashlib.sha256(), self._result.stream_down
        with self._reporter.phase("stream down", size) as phase, rate.timed():

            def take(piece: bytes) -> None:
                digest.update(piece)
                phase.advance(len(piece))

            yield take
            rate.bytes = phase.done
            if (phase.done, digest.digest()) != (size, self.job.material.stream_digest):
                raise Wrong(f"{phase.done} of {size} bytes came down, or others than were sent")
            phase.note = f"{human_bytes(size)}, SHA-256 is right"

    @contextmanager
    def stream_up(self) -> Iterator[StreamUp]:
        """Yields what is sent, and what judges the server's answer."""
        with self._reporter.phase("stream up", self.job.material.stream_size) as phase:
            up = StreamUp(self.job.material, self.request("PUT", "/stream", headers=CHUNKED), phase)
            with self._result.stream_up.timed():
                yield up
            self._result.stream_up.bytes = phase.done

    def check_sockets(self, text: bytes) -> None:
        """Does the server agree about the number of connections?"""
        told, result = json.loads(text), self._result
        result.server.peak = told["peak"]
        result.sockets = self.agent.total_stats().created
        self._reporter.line(
            "sockets", f"{result.requests:,} requests on {result.sockets:,} connections, {result.reuse:.2%} reused one"
        )
        if told["accepted"] != result.sockets:
            raise Wrong(f"the Agent says it opened {result.sockets}, the server accepted {told['accepted']}")

    # ---------------------------------------------------------------- shown

    def wrong_digests(self) -> Iterator[tuple[Any, bytes, dict[str, str]]]:
        """Uploads to be refused: request, body, trailers."""
        wrong = {"Content-Digest": content_digest(hashlib.sha256(b"other bytes").digest())}
        for path in ("/uploads/wrong", "/stream"):
            yield self.alone("PUT", path, headers=CHUNKED), b"these bytes", wrong
        if left := [*self.job.uploads.glob("*wrong*"), *self.job.uploads.glob(".anywire-*")]:
            raise Wrong(f"the server kept {left[0].name} though its digest is wrong")
        self._reporter.line("422", "an upload with a wrong digest in its trailer was refused, and nothing of it kept")

    def tunnel_to(self, host: str, port: int) -> Any:
        """A CONNECT request."""
        return self.http.request(
            host="127.0.0.1",
            port=self.job.port,
            method="CONNECT",
            path=f"{host}:{port}",
            agent=False,
            deadline=DEADLINE,
        )

    def tunnelled(self, message: Message, socket: Any, head: bytes) -> Any:
        """What a tunnel is if it was opened."""
        if message.status_code != 200 or head:
            socket.destroy()
            raise Wrong(f"CONNECT was answered with {message.status_code} and {len(head)} bytes")
        return socket

    @staticmethod
    def url_of(server: Any) -> str:
        """Where a server of ours listens."""
        return "http://{}:{}/".format(*server.address())

    def check_tunnel(self, answers: list[bytes], url: str, created: int, elsewhere: Message) -> None:
        """Two requests for `url` through one tunnel, and none to somewhere else."""
        if answers != [f"GET {urlsplit(url).netloc}".encode()] * 2:
            raise Wrong(f"the origin behind the tunnel got other requests: {answers}")
        if created != 1:
            raise Wrong(f"two requests took {created} tunnels")
        expect(elsewhere, 403)
        shown = "CONNECT, and two requests to another server through one tunnel; a tunnel elsewhere was refused (403)"
        self._reporter.line("tunnel", shown)

    @contextmanager
    def echoing(self, message: Message, socket: Any, head: bytes) -> Iterator[tuple[bytes, bytearray]]:
        """Yields what to send, and where to put what comes back."""
        expect(message, 101)
        socket.set_timeout(DEADLINE)
        sent, came = b"".join(stream(ECHO)), bytearray(head)
        yield sent, came
        if came != sent:
            raise Wrong(f"{len(came)} bytes came back of {len(sent)}, or others")
        shown = f"101 to the echo protocol, {human_bytes(len(sent))} there and back, then FIN both ways"
        self._reporter.line("upgrade", shown)

    def expecting(self, wanted: Expectation) -> tuple[Any, Callable[[Message, bytes], None]]:
        """A request that says ``Expect``, and what judges its answer."""
        called = False
        fields = {"Expect": wanted.expect, "Content-Length": wanted.length}
        req = self.alone("PUT", "/limited", headers=fields)

        def go_on() -> None:
            nonlocal called
            if not wanted.body:
                raise Wrong("the body was called for")
            called = True
            req.end_nowait(wanted.body)

        def judge(message: Message, text: bytes) -> None:
            expect(message, wanted.status, text)
            if wanted.body and not called:
                raise Wrong("the body was not called for")
            if called and json.loads(text)["size"] != wanted.length:
                raise Wrong(f"other than {wanted.length} bytes came: {text!r}")
            self._reporter.line(wanted.name, wanted.shown)

        req.on("continue", go_on)
        return req, judge

    def asking_for_hints(self) -> tuple[Any, Callable[[], None]]:
        """A request whose answer has a 103 before it, and what judges that."""
        hints: list[Any] = []
        req = self.alone("GET", "/hints")
        req.on("information", hints.append)

        def judge() -> None:
            if [(hint.status_code, hint.headers.get("link")) for hint in hints] != [(103, HINTS["Link"])]:
                raise Wrong(f"{len(hints)} interim answers came, not one 103 with its Link")
            self._reporter.line("103", f"Early Hints before the answer: Link: {HINTS['Link']}")

        return req, judge


def _url(prefix: str, entry: Entry) -> str:
    return prefix + quote_path(entry.path.split("/"))


def _amount(rate: Rate) -> str:
    return f"{rate.files:,} files, {human_bytes(rate.bytes)}"
