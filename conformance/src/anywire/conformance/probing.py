"""Probes: what RFC 9110 and 9112 ask of a server, asked of any server.

A probe is a document like a case: bytes that are sent, and what has to come of it whatever the
server is for. So nothing here depends on what it serves, and a server that nobody of us has
ever seen can be asked, in another language or behind a proxy.

Each probe has a level, the RFC's own word: ``must``, ``should`` or ``may`` (which is not a
fault, but worth knowing: it is where two parsers can disagree). It is tried twice, with
each packet whole and byte by byte, on a connection of its own.

Everything is bounded: the bytes that are sent, the bytes that are read (:data:`MOST`), and
the time a server may take for an answer.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

from anywire.core import RESPONSE, Limits, ParseError, Parser, TruncatedError, parse_fields

from .cases import beside
from .documents import Document, DocumentError, load

__all__ = ["LEVELS", "Answer", "Exchange", "Finding", "Probe", "ask", "load_probes", "probe", "tally"]

LEVELS: Final = ("must", "should", "may")

MOST: Final = 1 << 20
"""Bytes read in one try; a server that answers with more is not read to its end."""

QUIET: Final = 0.25
"""Seconds without another byte after which a server is taken to have said all it has to say."""

_KEYS: Final = frozenset({"Shows", "Level", "Expect", "Method", "Split"})
_CLAUSE: Final = re.compile(
    r"(?:refused|answered|status)(?: \d\w\w| \d)*|(?:no )?(?:continue|body)|(?:no )?field [A-Za-z-]+"
    r"|at most \d|no second|closes|stays"
)


@dataclass(slots=True)
class Probe:
    """One question.

    Attributes:
        document: as written.
        level: ``must``, ``should`` or ``may``.
        packets: what is sent; before each but the first an answer is awaited.
        eof: then the sending side is ended.
        expect: alternatives of clauses that must hold together.
        method: of the request, for reading the answer (HEAD has no body).
    """

    document: Document
    level: str
    packets: list[bytes]
    eof: bool
    expect: list[list[str]]
    method: str

    @property
    def name(self) -> str:
        """File and title."""
        return f"{self.document.path.stem}: {self.document.title}"

    @property
    def shows(self) -> tuple[str, ...]:
        """Sections and IDs."""
        return self.document.shows


@dataclass(slots=True)
class Answer:
    """One response as it was read.

    Attributes:
        status: of the response.
        minor: of its HTTP/1 version.
        fields: lower-case name → value.
        body: how many bytes of body came.
        complete: it came whole.
    """

    status: int
    minor: int
    fields: dict[str, str]
    body: int = 0
    complete: bool = False


@dataclass(slots=True)
class Exchange:
    """What came of one try.

    Attributes:
        answers: final responses, in order.
        interim: status codes of 1xx responses.
        closed: the server ended or reset the connection.
        noise: what was not HTTP, or None.
    """

    answers: list[Answer] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    closed: bool = False
    noise: str | None = None

    def __str__(self) -> str:
        parts = [str(status) for status in self.interim]
        parts += [str(a.status) + ("" if a.complete else " cut short") for a in self.answers]
        if self.noise is not None:
            parts.append(self.noise)
        parts.append("closed" if self.closed else "open")
        return ", ".join(parts)


@dataclass(slots=True)
class Finding:
    """The verdict of one probe on one server.

    Attributes:
        probe: which.
        passed: both tries met the expectation.
        seen: what came of each try; one entry if they were the same.
    """

    probe: Probe
    passed: bool
    seen: list[str]

    @property
    def verdict(self) -> str:
        """``pass``, ``fail`` (a *must* is not met), ``weak`` (a *should*) or ``differs`` (a *may*)."""
        return "pass" if self.passed else {"must": "fail", "should": "weak", "may": "differs"}[self.probe.level]


# ---------------------------------------------------------------- documents


def load_probes(folder: Path | None = None, *, only: Iterable[str] = ()) -> list[Probe]:
    """Read all probes.

    Args:
        folder: where; default: those that belong to this distribution.
        only: IDs or RFC sections; probes that show none of them are left out.

    Raises:
        DocumentError: a document is not written as it should be.
    """
    wanted = set(only)
    found = []
    for path in sorted((folder or beside("probes")).glob("*.md")):
        found += [_probe(document) for document in load(path) if not wanted or wanted & set(document.shows)]
    return found


def _probe(document: Document) -> Probe:
    where = f"{document.path}:{document.line}"
    keys = document.keys
    if unknown := set(keys) - _KEYS:
        raise DocumentError(f"{where}: unknown keys: {', '.join(sorted(unknown))}")
    if keys.get("Level") not in LEVELS:
        raise DocumentError(f"{where}: Level: must be one of {', '.join(LEVELS)}, not {keys.get('Level')!r}")
    expect = [[part.strip() for part in each.split(",")] for each in keys.get("Expect", "").split(" or ")]
    for clause in chain.from_iterable(expect):
        if not _CLAUSE.fullmatch(clause):
            raise DocumentError(f"{where}: Expect: cannot read {clause!r}")
    packets = []
    eof = False
    for block in ("send", "then", "then 2"):
        if block in document.blocks:
            data, eof = document.input(block)
            packets.append(data)
    if not packets:
        raise DocumentError(f"{where}: nothing is sent")
    return Probe(document, keys["Level"], packets, eof, expect, keys.get("Method", "GET"))


# ---------------------------------------------------------------- asking


def probe(address: tuple[str, int], question: Probe, *, patience: float = 3.0) -> Finding:
    """Ask one server one question, whole and byte by byte.

    Args:
        address: host and port.
        question: what.
        patience: seconds a server may take for an answer.

    Raises:
        OSError: nobody listens there.
    """
    passed = True
    seen: list[str] = []
    for whole in (True, False) if question.document.keys.get("Split") != "no" else (True,):
        exchange = ask(address, question, patience=patience, whole=whole)
        passed = passed and any(all(_holds(c, exchange) for c in clauses) for clauses in question.expect)
        if str(exchange) not in seen:
            seen.append(str(exchange))
    return Finding(question, passed, seen)


def ask(address: tuple[str, int], question: Probe, *, patience: float = 3.0, whole: bool = True) -> Exchange:
    """Send what a probe sends, once, and say what came.

    Args:
        address: host and port.
        question: what.
        patience: seconds the server may take for an answer.
        whole: each packet at once; else byte by byte.

    Raises:
        OSError: nobody listens there.
    """
    host = f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return _Try(address, question, patience, host.encode(), whole=whole).run()


class _Try:
    """One connection."""

    def __init__(self, address: tuple[str, int], question: Probe, patience: float, host: bytes, *, whole: bool) -> None:
        self.address = address
        self.question = question
        self.patience = patience
        self.host = host
        self.whole = whole
        self.exchange = Exchange()
        # What a server sends is read as generously as possible: it is not its responses that are judged.
        self.parser = Parser(RESPONSE, Limits(max_header_size=MOST), lenient=True)
        self.answer: Answer | None = None
        self.taken = 0

    def run(self) -> Exchange:
        question = self.question
        with socket.create_connection(self.address, self.patience) as self.sock:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number, packet in enumerate(question.packets):
                if number:
                    self._read(until=number)
                if self.exchange.closed:
                    break
                self._send(packet.replace(b"HOST", self.host))
            if question.eof:
                try:
                    self.sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it is gone; what it said is still to be read
            self._read(until=None)
        return self.exchange

    def _send(self, data: bytes) -> None:
        # Byte by byte as far as a limit of size is not what is asked for: then the beginning will do.
        pieces = [data] if self.whole else [*(data[at : at + 1] for at in range(min(len(data), 2000))), data[2000:]]
        try:
            for piece in pieces:
                if piece:
                    self.sock.sendall(piece)
        except OSError:
            pass  # it does not want to hear more

    def _read(self, until: int | None) -> None:
        """Read until so many responses of any kind came, or until nothing more does."""
        exchange = self.exchange
        due = time.monotonic() + self.patience
        while not exchange.closed and self.taken < MOST:
            if until is not None and len(exchange.interim) + len(exchange.answers) >= until and self.answer is None:
                return
            # Who has answered everything has a moment to say more; who has not has its time.
            waiting = not exchange.answers or self.answer is not None or until is not None
            left = (due - time.monotonic()) if waiting else QUIET
            if left <= 0:
                return
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                return
            except OSError:
                data = b""
            self.taken += len(data)
            if data:
                self.parser.receive_data(data)
            else:
                exchange.closed = True
                self.parser.receive_eof()
            try:
                while self._parse():
                    pass
            except (ParseError, TruncatedError) as error:
                exchange.noise = f"not HTTP ({error.code})"
                return

    def _parse(self) -> bool:
        if self.answer is not None:
            piece = self.parser.next_body()
            if piece is None:
                return False
            self.answer.body += len(piece)
            if not piece:
                self.answer.complete = True
                self.answer = None
            return True
        head = self.parser.next_response(self.question.method)
        if head is None:
            return False
        status, _, minor, fields, length, _ = head
        if 100 <= status < 200 and status != 101:
            self.exchange.interim.append(status)
            return True
        flat = parse_fields(fields)
        named = {name.lower(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
        answer = Answer(status, minor, named, complete=length == 0)
        self.exchange.answers.append(answer)
        if length != 0:
            self.answer = answer
        return True


# ---------------------------------------------------------------- judging


_UNREADABLE: Final = frozenset({400, 411, 413, 414, 417, 431, 501, 505})


def _holds(clause: str, exchange: Exchange) -> bool:
    answers = exchange.answers
    words = clause.split()
    if words[0] == "refused":
        # Closing without a word is a refusal too, unless the RFC says which word.
        if not answers:
            return exchange.closed and exchange.noise is None and len(words) == 1
        wanted = words[1:] or ["4xx", "5xx"]
        return len(answers) == 1 and exchange.closed and any(_status(w, answers[0].status) for w in wanted)
    if words[0] == "answered":
        count = int(words[1]) if len(words) > 1 else 1
        return len(answers) == count and all(a.complete and a.status not in _UNREADABLE for a in answers)
    if words[0] == "status":
        return bool(answers) and any(_status(word, answers[-1].status) for word in words[1:])
    if clause in ("continue", "no continue"):
        return (100 in exchange.interim) is (words[0] != "no")
    if clause in ("body", "no body"):
        return exchange.noise is None and any(a.body for a in answers) is (words[0] != "no")
    if "field" in words:
        return bool(answers) and (words[-1].lower() in answers[-1].fields) is (words[0] != "no")
    if clause == "no second":
        return exchange.noise is None and all(answer.status >= 400 for answer in answers[1:])
    if words[0] == "at":
        return exchange.noise is None and len(answers) <= int(words[2])
    return exchange.closed is (clause == "closes")


def _status(wanted: str, status: int) -> bool:
    return wanted.replace("xx", "") == str(status)[: 1 if wanted.endswith("xx") else 3]


def tally(findings: Sequence[Finding]) -> dict[str, tuple[int, int]]:
    """Level → how many passed, of how many."""
    return {
        level: (
            sum(f.passed for f in findings if f.probe.level == level),
            sum(f.probe.level == level for f in findings),
        )
        for level in LEVELS
    }
