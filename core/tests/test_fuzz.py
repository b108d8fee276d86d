"""The corpus of the fuzzer, and mutations of it that are the same every time. `make fuzz` goes on from there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance.documents import escape
from anywire.core._chunked import ChunkLine
from anywire.core._client_connection import ClientConnection
from anywire.core._grammar import HeadGrammar
from anywire.core._lenient_grammar import LenientGrammar
from anywire.core._parser import Parser
from anywire.core._server_connection import ServerConnection

from ..fuzz import corpus, programs
from ..fuzz.mutating import mutations
from ..fuzz.targets import TARGETS

MUTATIONS = {"requests": 1500, "responses": 1500, "server": 600, "client": 300, "exchanges": 1500}


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_and_mutations(target: str) -> None:
    inputs = corpus.load(target)
    assert len(inputs) > 50
    for data in inputs:
        TARGETS[target](data)
    for data in mutations(inputs, f"{target} 1", MUTATIONS[target]):
        try:
            TARGETS[target](data)
        except Exception as error:
            error.add_note(f"python -m core.fuzz --targets {target} --input {escape(data)!r}")
            raise


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in corpus.FOLDER.iterdir()) < 250_000


@pytest.mark.parametrize("target", TARGETS)
def test_seeds(target: str) -> None:
    """Cases and probes still give inputs."""
    assert len(corpus.seeds(target)) >= 5


def test_programs_are_what_they_say() -> None:
    steps: list[bytes | int] = [b"GET", programs.CUT, b" \xff\xe0", 0xE7, b"x", programs.CUT, b"y"]
    assert programs.read(programs.write(b"ab", steps), 2) == (b"ab", steps)
    assert list(programs.joined(steps)) == [b"GET \xff\xe0", 0xE7, b"xy"]
    assert list(programs.bytewise(steps)) == [b"G", b"E", b"T", b" ", b"\xff", b"\xe0", 0xE7, b"x", b"y"]


def test_the_command_replays_an_input() -> None:
    command = [sys.executable, "-m", "core.fuzz", "--targets", "requests", "--input", "\\0GET / HTTP/1.1\\r\\n"]
    assert subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode == 0


# ---- the checks themselves: each of these faults is found within the mutations above ---------------------------------


_finish = Parser.__dict__["_finish_head"]


def _longer(self: Parser, *args: Any) -> Any:
    """One more byte of each body of known size."""
    made = _finish(self, *args)
    if made[1] > 2:
        self._left += 1
    return made


def _forgetful(self: ChunkLine, buf: bytes, start: int) -> bool:
    """Each call begins at the size again."""
    self._state = 0
    return _feed(self, buf, start)


_feed = ChunkLine.feed


def _raising(self: ServerConnection) -> Any:
    """A bug that shows with a trailer."""
    event = _next(self)
    if self._parser.raw_trailers:
        raise KeyError("trailers")
    return event


_next = ServerConnection.next_event


def _eager(self: LenientGrammar, buf: bytes, start: int, end: int) -> bool:
    """What is to be taken depends on how much has come."""
    return end - self.at > 3 and _bends(self, buf, start, end)


_bends = LenientGrammar._start_line_bends


def _spoilt(self: ClientConnection) -> bool:
    """A connection with bytes on it may go on."""
    return not self._lost


@pytest.mark.parametrize(
    ("target", "owner", "name", "fault"),
    [
        ("requests", Parser, "_finish_head", _longer),
        ("requests", ChunkLine, "feed", _forgetful),
        ("responses", LenientGrammar, "fields", HeadGrammar.fields),
        ("responses", LenientGrammar, "_start_line_bends", _eager),
        ("server", ServerConnection, "next_event", _raising),
        ("client", ClientConnection, "reusable", property(_spoilt)),
    ],
)
def test_faults_are_found(
    monkeypatch: pytest.MonkeyPatch, target: str, owner: type, name: str, fault: Callable[..., Any]
) -> None:
    monkeypatch.setattr(owner, name, fault)
    with pytest.raises((AssertionError, KeyError)):
        test_corpus_and_mutations(target)
