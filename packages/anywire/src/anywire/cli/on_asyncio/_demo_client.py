"""The demo's client on asyncio: every exchange of the job."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Coroutine
from io import FileIO
from pathlib import Path
from typing import Any, Literal

from anywire.asyncio import http

from .._words import human_bytes
from ..demo import PIECE, Entry, Job, Memory, Phase, Rate, Reporter, Result, Watch, compare, stream
from ..static import content_digest, quote_path
from ._demo_server import HINTS, LIMIT
from ._run import run

__all__ = ["run_demo"]

SILENCE = 60.0
"""Seconds without a byte after which an exchange has failed."""
DEADLINE = 30.0
"""Seconds for an exchange that is only shown."""
WHOLE = 900.0
"""Seconds for all of it: whatever hangs, the demo does not."""


class Wrong(Exception):
    """Something answered, but not as it should."""


def run_demo(job: Job, result: Result, reporter: Reporter) -> None:
    """Run the job; see :class:`anywire.cli._backends.Driver`."""
    run(_Client(job, result, reporter).run(), uvloop=job.uvloop)


class _Client:
    def __init__(self, job: Job, result: Result, reporter: Reporter) -> None:
        self._job = job
        self._result = result
        self._reporter = reporter
        self._agent = http.Agent(keep_alive=True, max_sockets=job.sockets)
        self._fetched: list[Entry] = []

    async def run(self) -> None:
        try:
            async with asyncio.timeout(WHOLE), self._agent:
                # The stream first: what thousands of requests leave in the heap would hide its growth.
                await self._step("stream", self._streams())
                await self._step("manifest", self._manifest())
                await self._step("mirror", self._mirror())
                await self._step("upload", self._upload())
                await self._step("sockets", self._sockets())
                for name, show in (
                    ("422", self._wrong_digest),
                    ("tunnel", self._tunnel),
                    ("upgrade", self._upgrade),
                    ("413", self._refused),
                    ("417", self._unknown_expectation),
                    ("100", self._accepted),
                    ("103", self._hints),
                ):
                    await self._step(name, self._show(name, show))
        except TimeoutError:
            self._result.errors.append(f"not done after {WHOLE:.0f} seconds")

    async def _step(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Do one step. If it fails that is an error, and the next one is tried all the same."""
        try:
            await work
        except (Wrong, OSError, ValueError) as error:  # every error of ours about a peer is one of these
            self._result.errors.append(f"{name}: {error}")

    async def _show(self, name: str, show: Callable[[], Awaitable[str]]) -> None:
        self._reporter.line(name, await show())

    def _request(self, method: str, path: str, **options: Any) -> http.ClientRequest:
        """A request through the one Agent, counted."""
        self._result.requests += 1
        return http.request(self._job.url(path), method=method, agent=self._agent, timeout=SILENCE, **options)

    # ---------------------------------------------------------------- the tree

    def _copy(self, entry: Entry) -> str:
        return os.path.join(self._job.mirror, entry.path)

    async def _manifest(self) -> None:
        tree = self._job.material.tree
        async with self._request("GET", "/manifest") as res:
            _expect(res, 200)
            there = set(json.loads(await res.read()))
        if missing := [entry.path for entry in tree.files if entry.path not in there and not tree.changed(entry)]:
            raise Wrong(f"the server does not have {len(missing)} of the files, {missing[0]!r} for one")

    async def _mirror(self) -> None:
        job, result = self._job, self._result
        tree = job.material.tree
        entries = tree.files
        for folder in {os.path.dirname(self._copy(entry)) for entry in entries}:
            os.makedirs(folder, exist_ok=True)
        with self._reporter.phase("mirror", len(entries)) as phase, result.down.timed():
            # Every request there will be is made now, and ended: it waits in the Agent's queue for its socket.
            asked = [(entry, self._request("GET", "/tree" + quote_path(entry.path.split("/")))) for entry in entries]
            for _, req in asked:
                req.end_nowait()
            queued = sum(map(len, self._agent.requests.values()))
            result.queued = max(result.queued, queued)
            await self._all((self._fetch(entry, req, phase) for entry, req in asked), result.down)
            phase.note = self._rate(result.down) + f"  {queued:,} requests queued for {job.sockets} sockets"
        await self._verify("mirror", job.mirror)

    async def _all(self, works: Any, rate: Rate) -> None:
        """Run works together; one that fails is an error and does not end the others."""
        for outcome in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(outcome, int):
                rate.files += 1
                rate.bytes += outcome
            elif isinstance(outcome, (Wrong, OSError, ValueError)):
                self._result.errors.append(str(outcome))
            else:
                raise outcome

    async def _fetch(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> int:
        size = 0
        try:
            async with req as res:
                _expect(res, 200)
                with _open(self._copy(entry), "wb") as file:
                    async for piece in res:
                        file.write(piece)
                        size += len(piece)
        except (Wrong, OSError, ValueError) as error:
            if not self._job.material.tree.changed(entry):
                raise Wrong(f"GET {entry.path}: {error}") from error
        else:
            self._fetched.append(entry)
        phase.advance()
        return size

    async def _upload(self) -> None:
        job, result = self._job, self._result
        entries = self._fetched
        with self._reporter.phase("upload", len(entries)) as phase, result.up.timed():
            asked = [
                (
                    entry,
                    self._request(
                        "PUT",
                        "/uploads" + quote_path(entry.path.split("/")),
                        headers={"Transfer-Encoding": "chunked", "Trailer": "Content-Digest"},
                    ),
                )
                for entry in entries
            ]
            result.queued = max(result.queued, sum(map(len, self._agent.requests.values())))
            await self._all((self._put(entry, req, phase) for entry, req in asked), result.up)
            phase.note = self._rate(result.up) + "  chunked, digests in the trailer sections"
        await self._verify("upload", job.uploads)

    async def _put(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> int:
        digest = hashlib.sha256()
        size = 0
        try:
            # Waits for a socket. Only then is the file opened: there are far more requests than descriptors.
            await req.flush_headers()
            with _open(self._copy(entry), "rb") as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
                    size += len(piece)
                    if not await req.write(piece):
                        break  # the answer is there already
            await req.end(trailers={"Content-Digest": content_digest(digest.digest())})
            async with req as res:
                text = await res.read()
                _expect(res, 201, text)
        except (OSError, ValueError) as error:
            raise Wrong(f"PUT {entry.path}: {error}") from error
        except Wrong as error:
            raise Wrong(f"PUT {entry.path}: {error}") from None
        phase.advance()
        return size

    def _rate(self, rate: Rate) -> str:
        return f"{rate.files:,} files, {human_bytes(rate.bytes)}"

    async def _verify(self, what: str, copy: Path) -> None:
        material = self._job.material
        with self._reporter.phase("verify", len(material.digests)) as phase:
            # In a thread, so that the loop hears what happens on the idle sockets of the Agent.
            differences = await asyncio.to_thread(compare, copy, material.tree, material.digests, phase.advance)
            phase.note = f"{phase.done:,} files of the {what} by SHA-256, {len(differences)} differences"
        self._result.errors.extend(f"{what}: {difference}" for difference in differences)

    # ---------------------------------------------------------------- the stream

    async def _streams(self) -> None:
        size, result = self._job.material.stream_size, self._result
        async with self._request("POST", "/watch") as res:
            _expect(res, 204)
        watch = Watch()
        result.client.before = watch.before
        try:
            with self._reporter.phase("stream down", size) as phase, result.stream_down.timed():
                await self._stream_down(size, phase)
                phase.note = f"{human_bytes(phase.done)}, SHA-256 is right"
            with self._reporter.phase("stream up", size) as phase, result.stream_up.timed():
                await self._stream_up(size, phase)
                phase.note = f"{human_bytes(phase.done)}, SHA-256 is right"
        finally:
            result.client.after = watch.peak()
        async with self._request("GET", "/watch") as res:
            told = json.loads(await res.read())
        result.server = Memory(told["before"], told["after"])
        for name, memory in (("client", result.client), ("server", result.server)):
            text = f"{name}: {human_bytes(memory.before)} before, {human_bytes(memory.after)} at the peak"
            self._reporter.line("memory", text)

    async def _stream_down(self, size: int, phase: Phase) -> None:
        digest = hashlib.sha256()
        async with self._request("GET", f"/stream?size={size}") as res:
            _expect(res, 200)
            async for piece in res:
                digest.update(piece)
                phase.advance(len(piece))
        self._result.stream_down.bytes = phase.done
        if (phase.done, digest.digest()) != (size, self._job.material.stream_digest):
            raise Wrong(f"{phase.done} of {size} bytes came down, or others than were sent")

    async def _stream_up(self, size: int, phase: Phase) -> None:
        digest = hashlib.sha256()
        req = self._request("PUT", "/stream", headers={"Transfer-Encoding": "chunked", "Trailer": "Content-Digest"})
        for piece in stream(size):
            digest.update(piece)
            if not await req.write(piece):
                break
            phase.advance(len(piece))
        await req.end(trailers={"Content-Digest": content_digest(digest.digest())})
        async with req as res:
            text = await res.read()
            _expect(res, 200, text)
        self._result.stream_up.bytes = phase.done
        told = json.loads(text)
        if (told["size"], told["digest"]) != (size, content_digest(self._job.material.stream_digest)):
            raise Wrong(f"{told['size']} of {size} bytes went up, or others than were sent")

    async def _sockets(self) -> None:
        """Does the server agree about the number of connections?"""
        async with self._request("GET", "/watch") as res:
            told = json.loads(await res.read())
        result = self._result
        result.server.peak = told["peak"]
        result.sockets = self._agent.total_stats().created
        self._reporter.line(
            "sockets", f"{result.requests:,} requests on {result.sockets:,} connections, {result.reuse:.2%} reused one"
        )
        if told["accepted"] != result.sockets:
            raise Wrong(f"the Agent says it opened {result.sockets}, the server accepted {told['accepted']}")

    # ---------------------------------------------------------------- shown

    async def _wrong_digest(self) -> str:
        job = self._job
        wrong = {"Content-Digest": content_digest(hashlib.sha256(b"other bytes").digest())}
        for path in ("/uploads/wrong", "/stream"):
            req = http.request(job.url(path), method="PUT", headers={"Trailer": "Content-Digest"}, deadline=DEADLINE)
            await req.write(b"these bytes")
            await req.end(trailers=wrong)
            async with req as res:
                _expect(res, 422, await res.read())
        if left := list(job.uploads.glob("*wrong*")) + list(job.uploads.glob(".anywire-*")):
            raise Wrong(f"the server kept {left[0].name} though its digest is wrong")
        return "an upload with a wrong digest in its trailer was refused, and nothing of it kept"

    async def _tunnel(self) -> str:
        """HTTP to an origin of our own through a tunnel of the server."""

        async def inner(req: http.IncomingMessage, res: http.ServerResponse) -> None:
            await res.end(f"{req.method} {req.headers['host']}")

        async def through(options: dict[str, Any]) -> http.Socket:
            target = f"{options['host']}:{options['port']}"
            req = http.request(
                host="127.0.0.1", port=self._job.port, method="CONNECT", path=target, agent=False, deadline=DEADLINE
            )
            message, socket, head = await req.upgraded()
            if message.status_code != 200 or head:
                socket.destroy()
                raise Wrong(f"CONNECT {target} was answered with {message.status_code} and {len(head)} bytes")
            return socket

        async with http.create_server(inner) as origin:
            await origin.listen(0, "127.0.0.1")
            address = origin.address()
            assert isinstance(address, tuple)
            url = f"http://127.0.0.1:{address[1]}/"
            async with http.Agent(keep_alive=True, create_connection=through) as agent:
                for _ in range(2):
                    async with http.get(url, agent=agent, deadline=DEADLINE) as res:
                        _expect(res, 200)
                        if await res.read() != f"GET 127.0.0.1:{address[1]}".encode():
                            raise Wrong("the origin behind the tunnel got another request")
                created = agent.total_stats().created
        if created != 1:
            raise Wrong(f"two requests took {created} tunnels")
        req = http.request(
            host="127.0.0.1", port=self._job.port, method="CONNECT", path="192.0.2.1:80", agent=False, deadline=DEADLINE
        )
        message, socket, _ = await req.upgraded()
        socket.destroy()
        _expect(message, 403)
        return "CONNECT, and two requests to another server through one tunnel; a tunnel elsewhere was refused (403)"

    async def _upgrade(self) -> str:
        req = http.request(
            self._job.url("/"), headers={"Connection": "Upgrade", "Upgrade": "echo"}, agent=False, deadline=DEADLINE
        )
        message, socket, head = await req.upgraded()
        sent = b"".join(stream(1 << 18))
        async with socket, asyncio.timeout(DEADLINE):
            _expect(message, 101)

            async def say() -> None:
                await socket.send(sent)
                await socket.send_eof()

            saying = asyncio.create_task(say())
            came = bytearray(head)
            async for data in socket:
                came += data
            await saying
        if came != sent:
            raise Wrong(f"{len(came)} bytes came back of {len(sent)}, or others")
        return f"101 to the echo protocol, {human_bytes(len(sent))} there and back, then FIN both ways"

    async def _expecting(self, path: str, expectation: str, body: bytes, length: int) -> tuple[int, str, bool]:
        """PUT with Expect. Returns the final status, its text, and whether the body was called for."""
        called = False
        req = http.request(
            self._job.url(path),
            method="PUT",
            headers={"Expect": expectation, "Content-Length": length},
            agent=False,
            deadline=DEADLINE,
        )

        def go_on() -> None:
            nonlocal called
            called = True
            req.end_nowait(body)

        req.on("continue", go_on)
        await req.flush_headers()
        async with req as res:
            text = await res.read()
        return res.status_code or 0, text.decode().strip(), called

    async def _refused(self) -> str:
        status, text, called = await self._expecting("/limited", "100-continue", b"", 5 << 30)
        if status != 413 or called:
            raise Wrong(f"5 GiB were announced, and {'called for' if called else f'answered with {status}: {text}'}")
        return "Expect: 100-continue with 5 GiB was refused, and not a byte of them sent"

    async def _unknown_expectation(self) -> str:
        status, text, called = await self._expecting("/limited", "200-maybe", b"", 4)
        if status != 417 or called:
            raise Wrong(f"Expect: 200-maybe was answered with {status}: {text}")
        return "Expect: 200-maybe was refused"

    async def _accepted(self) -> str:
        body = b"".join(stream(LIMIT))
        status, text, called = await self._expecting("/limited", "100-continue", body, len(body))
        if status != 200 or not called or text != f"{len(body)} bytes came":
            raise Wrong(f"{status} {text}, the body was {'' if called else 'not '}called for")
        return f"Expect: 100-continue with {human_bytes(len(body))} was accepted, then sent"

    async def _hints(self) -> str:
        hints: list[Any] = []
        req = http.get(self._job.url("/hints"), deadline=DEADLINE)
        req.on("information", hints.append)
        async with req as res:
            _expect(res, 200, await res.read())
        if [(hint.status_code, hint.headers.get("link")) for hint in hints] != [(103, HINTS["Link"])]:
            raise Wrong(f"{len(hints)} interim answers came, not one 103 with its Link")
        return f"Early Hints before the answer: Link: {HINTS['Link']}"


def _open(path: str, mode: Literal["rb", "wb"]) -> FileIO:
    # On the loop: these files are in the page cache, where a thread for each read would cost more than the read.
    return open(path, mode, buffering=0)


def _expect(message: http.IncomingMessage, status: int, text: bytes = b"") -> None:
    if message.status_code != status:
        said = f": {text.decode('utf-8', 'replace').strip()[:200]}" if text else ""
        raise Wrong(f"answered with {message.status_code} instead of {status}{said}")
