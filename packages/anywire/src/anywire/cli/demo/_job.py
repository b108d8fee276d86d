"""What is to be done, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ._tree import Tree

__all__ = ["MEMORY_BOUND", "Job", "Material", "Memory", "OriginOptions", "Rate", "Result"]

MEMORY_BOUND = 16 << 20
"""Bytes by which peak memory may grow while the stream passes."""


class Material(NamedTuple):
    """The input, and what it is: found out without HTTP.

    Attributes:
        tree: the files to mirror.
        digests: path → SHA-256 of each file.
        stream_size: bytes in the generated stream.
        stream_digest: its SHA-256.
    """

    tree: Tree
    digests: dict[str, bytes]
    stream_size: int
    stream_digest: bytes


class Job(NamedTuple):
    """One run of the demo's client.

    Attributes:
        backend: its runtime.
        material: the input.
        sockets: ``max_sockets`` of the Agent.
        uvloop: run on uvloop.
        port: where the demo's server listens, on 127.0.0.1.
        mirror: an empty folder for what is downloaded.
        uploads: the folder in which the server puts what is uploaded.
    """

    backend: str
    material: Material
    sockets: int
    uvloop: bool
    port: int
    mirror: Path
    uploads: Path

    def url(self, path: str) -> str:
        """The URL of `path` on the demo's server."""
        return f"http://127.0.0.1:{self.port}{path}"


class OriginOptions(NamedTuple):
    """What the demo's server is told.

    Attributes:
        backend: its runtime.
        root: the tree it serves.
        uploads: the folder it puts uploads into.
        uvloop: run on uvloop.
    """

    backend: str
    root: Path
    uploads: Path
    uvloop: bool


@dataclass(slots=True)
class Rate:
    """So much in so long."""

    files: int = 0
    bytes: int = 0
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    @property
    def files_per_second(self) -> float:
        """0 if nothing was measured."""
        return self.files / self.seconds if self.seconds else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """10**6 bytes; 0 if nothing was measured."""
        return self.bytes / self.seconds / 1e6 if self.seconds else 0.0


@dataclass(slots=True)
class Memory:
    """Resident memory of one process while the stream passed, in bytes.

    Attributes:
        before: when it began.
        after: the peak when it had passed.
        peak: the peak of the whole run.
    """

    before: int = 0
    after: int = 0
    peak: int = 0

    @property
    def growth(self) -> int:
        """What streaming cost."""
        return max(0, self.after - self.before)


@dataclass(slots=True)
class Result:
    """What one backend did.

    Attributes:
        backend: its name.
        requests: exchanges that went through the one Agent.
        sockets: connections it opened.
        queued: requests that waited at once, at most.
        down, up: the tree.
        stream_down, stream_up: the stream.
        client, server: memory of the two processes.
        steps: how many things were tried.
        passed: how many of them went as they should.
        seconds: the whole run.
        errors: everything that was not as it should be, one line each.
    """

    backend: str
    requests: int = 0
    sockets: int = 0
    queued: int = 0
    down: Rate = field(default_factory=Rate)
    up: Rate = field(default_factory=Rate)
    stream_down: Rate = field(default_factory=Rate)
    stream_up: Rate = field(default_factory=Rate)
    client: Memory = field(default_factory=Memory)
    server: Memory = field(default_factory=Memory)
    steps: int = 0
    passed: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def reuse(self) -> float:
        """The part of requests that ran on a connection that had carried another one before."""
        return 1 - self.sockets / self.requests if self.requests else 0.0
