"""Parser cases: what a parser makes of some bytes, as lines of text.

:func:`events` is the one function that feeds a parser; cases, property tests
and fuzzing all go through it, so that "the same for every split" means the
same everywhere. The log has these lines::

    request GET /path HTTP/1.1 length=5 keep-alive chunked-ok
    response 200 HTTP/1.1 length=chunked keep-alive chunked-ok: OK
    field Host: a               one for each field, in order
    body b'...'                 all pieces between two other lines together
    trailer X: y
    end                         the message is complete (only after a body)
    rest b'...'                 what follows the head (key `Then: rest`)
    more                        the input ends inside an element
    eof                         the peer ended the connection between two messages
    error CODE at 17, 400, head: reason

Keys of a case: ``Role`` (``request`` or ``response``), ``Method`` (of the request
that a response answers), ``Lenient: yes``, ``Limits`` (``max_header_size=100, ...``),
``Then: rest``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from anywire.core._errors import ParseError
from anywire.core._fields import parse_fields
from anywire.core._framing import (
    CHUNKED,
    CHUNKED_OK,
    EXPECT_CONTINUE,
    EXPECT_OTHER,
    KEEP_ALIVE,
    NO_BODY,
    REQUEST,
    UNTIL_CLOSE,
    UPGRADE,
)
from anywire.core._limits import Limits
from anywire.core._parser import Parser

from .documents import Document

__all__ = ["Setup", "events", "setup_of", "splits"]

_FLAGS = {
    KEEP_ALIVE: "keep-alive",
    EXPECT_CONTINUE: "expect-continue",
    EXPECT_OTHER: "expect-other",
    UPGRADE: "upgrade",
    CHUNKED_OK: "chunked-ok",
    NO_BODY: "no-body",
}
_LENGTHS = {CHUNKED: "chunked", UNTIL_CLOSE: "until-close"}


@dataclass(slots=True)
class Setup:
    """How the parser of a case is made and asked."""

    role: str
    limits: Limits
    lenient: bool = False
    method: str | None = None
    take_rest: bool = False
    tolerate: frozenset[str] = frozenset()


def setup_of(document: Document) -> Setup:
    """Read the keys of a case."""
    keys = document.keys
    limits = Limits()
    for setting in keys["Limits"].split(",") if "Limits" in keys else ():
        name, _, value = setting.strip().partition("=")
        if not hasattr(limits, name):
            raise ValueError(f"{document.name}: no limit is called {name!r}")
        setattr(limits, name, int(value))
    return Setup(keys["Role"], limits, keys.get("Lenient") == "yes", keys.get("Method"), keys.get("Then") == "rest")


def splits(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut `data` into pieces of the given sizes; what is left over is the last piece."""
    pieces = []
    at = 0
    for size in sizes:
        if at >= len(data):
            break
        pieces.append(data[at : at + size])
        at += size
    if at < len(data):
        pieces.append(data[at:])
    return pieces


def events(setup: Setup, pieces: Iterable[bytes], *, end: bool = False) -> list[str]:
    """Feed `pieces` to a parser, asking it for everything after each; return the log.

    Args:
        setup: the parser to make.
        pieces: the input.
        end: whether the peer ends the connection afterwards.
    """
    log = _Log(setup)
    for piece in pieces:
        log.parser.receive_data(piece)
        if not log.drain():
            return log.dead()
    if end:
        log.parser.receive_eof()
        if not log.drain():
            return log.dead()
    log.finish()
    return log.lines


class _Log:
    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.parser = Parser(setup.role, setup.limits, lenient=setup.lenient, tolerate=setup.tolerate)
        self.lines: list[str] = []
        self.in_body = False
        self.taking = False
        self.run = b""  # body or rest not yet written down

    def drain(self) -> bool:
        """Ask for all there is; False when an error ended it."""
        try:
            while True:
                if self.taking:
                    self.run += self.parser.take_rest()
                    return True
                if not (self.next_piece() if self.in_body else self.next_head()):
                    return True
        except ParseError as error:
            self.flush()
            self.lines.append(
                f"error {error.code} at {error.bytes_parsed}, {error.status_hint}, {error.phase}: {error.reason}"
            )
            return False

    def dead(self) -> list[str]:
        """The log, after making sure that nothing parses behind an error (WIR-107)."""
        last = len(self.lines) - 1
        for more in (b"", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n0\r\n\r\n"):
            self.parser.receive_data(more)
            if self.drain() or self.lines[last:] != [self.lines[last]] * 2:
                self.lines.append("the parser goes on")
                return self.lines
            self.lines.pop()
        return self.lines

    def next_piece(self) -> bool:
        piece = self.parser.next_body()
        if piece is None:
            return False
        if piece:
            self.run += piece
            return True
        self.flush()
        self.fields("trailer", self.parser.raw_trailers)
        self.lines.append("end")
        self.in_body = False
        return True

    def next_head(self) -> bool:
        if self.setup.role == REQUEST:
            request = self.parser.next_request()
            if request is None:
                return False
            method, target, minor, fields, length, flags = request
            self.lines.append(f"request {method} {target} HTTP/1.{minor} {_framing(length, flags)}")
        else:
            response = self.parser.next_response(self.setup.method)
            if response is None:
                return False
            status, reason, minor, fields, length, flags = response
            self.lines.append(f"response {status} HTTP/1.{minor} {_framing(length, flags)}:{_shown(reason)}")
        self.fields("field", fields)
        self.in_body = length != 0
        self.taking = self.setup.take_rest
        return True

    def fields(self, word: str, fields: bytes) -> None:
        flat = parse_fields(fields)
        for index in range(0, len(flat), 2):
            self.lines.append(f"{word} {flat[index]}:{_shown(flat[index + 1])}")

    def flush(self) -> None:
        if self.run or self.taking:
            self.lines.append(f"{'rest' if self.taking else 'body'} {self.run!r}")
            self.run = b""

    def finish(self) -> None:
        self.flush()
        if self.taking:
            return
        if self.in_body or self.parser.started:
            self.lines.append("more")
        elif self.parser.at_eof:
            self.lines.append("eof")


def _framing(length: int, flags: int) -> str:
    words = [f"length={_LENGTHS.get(length, length)}"]
    words += [word for bit, word in _FLAGS.items() if flags & bit]
    return " ".join(words)


def _shown(text: str) -> str:
    """A space and the text, escaped, so that no line of a log ends in white space."""
    shown = text.encode("unicode_escape").decode("ascii")
    if shown.endswith(" "):
        shown = shown[:-1] + "\\x20"
    return f" {shown}" if shown else ""
