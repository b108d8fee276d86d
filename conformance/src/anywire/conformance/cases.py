"""Cases, found and read: documents with their scripts in a form that can be run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from .documents import Document, DocumentError, load
from .folders import beside
from .language import Program, Step, parse_application, parse_peer
from .peers import BYTES

__all__ = ["TRAILING", "WHOLE", "Case", "beside", "cases_folder", "load_cases", "matches", "statement_ids"]

WHOLE: Final = "whole"
TRAILING: Final = "trailing"
PARSER_ROLES: Final = frozenset({"request", "response"})
ROLES: Final = PARSER_ROLES | {"agent", "client", "server"}
_KEYS: Final = frozenset(
    "Shows Role Secure Source Deviation Golden Variants Order Time Data Reports Needs Environment".split()
)
_PARSER_KEYS: Final = frozenset("Shows Role Source Deviation Golden Limits Lenient Method Then".split())
_TRAIL = b"GET /trailing HTTP/1.1\r\nHost: trailing\r\n\r\n"
_DEVIATION = re.compile(r"((?:[A-Z]{3}-L?\d+)(?:, *[A-Z]{3}-L?\d+)*) *: *(.+)")


@dataclass(slots=True)
class Case:
    """One case, ready to be run.

    Attributes:
        document: as written.
        program: what the application does (not of parser cases).
        peers: what each peer does, in the order of connections.
        expected: lines of the event log.
        variants: how it is run: ``whole``, ``bytes`` (one at a time), ``trailing`` (more input after the last request).
        deviations: ID → why our behaviour is not Node's.
    """

    document: Document
    program: Program = field(default_factory=Program)
    peers: list[list[Step]] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    variants: tuple[str, ...] = (WHOLE,)
    deviations: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Folder, file, line and title."""
        return f"{self.document.path.parent.name}/{self.document.name}"

    @property
    def role(self) -> str:
        """``server``, ``client``, ``agent``, or a role of the parser."""
        return self.document.keys["Role"]

    @property
    def ids(self) -> tuple[str, ...]:
        """What it shows."""
        return self.document.shows

    @property
    def secure(self) -> bool:
        """It is about https."""
        return self.document.keys.get("Secure") == "yes"

    @property
    def cancels(self) -> bool:
        """It cancels a task."""
        return any(operation.verb == "cancel" for operation in self.program.main.operations)

    @property
    def streams(self) -> bool:
        """It needs a connection over a stream that is no socket."""
        return any(each.verb == "duplex" for section in self.program.sections for each in section.operations)

    @property
    def sleeps(self) -> bool:
        """Somebody in it sleeps."""
        program = self.program
        sections = program.sections
        return any(operation.verb == "sleep" for section in sections for operation in section.operations) or any(
            step.verb == "sleep" for steps in self.peers for step in steps
        )

    def __str__(self) -> str:
        return self.name


def statement_ids() -> list[str]:
    """Every ID of the specification, in its order."""
    return (resources.files(__package__) / "ids.txt").read_text(encoding="ascii").split()


def cases_folder() -> Path:
    """Where the cases are."""
    return beside("cases")


def load_cases(folder: Path | None = None, *, only: Iterable[str] = ()) -> list[Case]:
    """Read all cases.

    Args:
        folder: where; default: those that belong to this distribution.
        only: IDs; cases that show none of them are left out. ``AGT`` stands for all of that file.

    Raises:
        DocumentError: a document is not written as it should be.
    """
    wanted = tuple(only)
    cases = _read(folder) if folder else _own()
    return [case for case in cases if not wanted or any(matches(each, wanted) for each in case.ids)]


@cache
def _own() -> list[Case]:
    return _read(cases_folder())


def _read(folder: Path) -> list[Case]:
    known = set(statement_ids())
    return [_case(document, known) for path in sorted(folder.glob("*/*.md")) for document in load(path)]


def matches(identifier: str, wanted: Iterable[str]) -> bool:
    """Is it one of these? ``AGT`` stands for all of that file, ``RFC 9112`` for all its sections."""
    return any(identifier == each or identifier.startswith((f"{each}-", f"{each} ", f"{each}.")) for each in wanted)


def _case(document: Document, known: set[str]) -> Case:
    where = f"{document.path}:{document.line}"
    role = document.keys.get("Role", "")
    if role not in ROLES:
        raise DocumentError(f"{where}: Role: must be one of {', '.join(sorted(ROLES))}, not {role!r}")
    if unknown := set(document.keys) - (_PARSER_KEYS if role in PARSER_ROLES else _KEYS):
        raise DocumentError(f"{where}: unknown keys: {', '.join(sorted(unknown))}")
    for each in document.shows:
        if each[0].isupper() and each[3:4] == "-" and each not in known and not each.startswith(("SEC-", "ASK-")):
            raise DocumentError(f"{where}: {each} is no statement of the specification")
    golden = document.keys.get("Golden")
    if golden is not None and not golden.startswith("none, "):
        raise DocumentError(f"{where}: Golden: must be 'none, why', not {golden!r}")
    if role in PARSER_ROLES:
        return Case(document, deviations=_deviations(document, where))
    case = Case(
        document,
        parse_application(document.blocks.get("app", ""), where),
        [_encrypted(steps) if document.keys.get("Secure") == "yes" else steps for steps in _peers(document, where)],
        [line for line in document.lines() if line.strip()] if "log" in document.blocks else [],
        deviations=_deviations(document, where),
    )
    if case.sleeps and document.keys.get("Time") != "virtual":
        raise DocumentError(f"{where}: only cases with 'Time: virtual' may sleep")
    case.variants = _variants(case)
    return case


def _peers(document: Document, where: str) -> Iterable[list[Step]]:
    number = 1
    while (text := document.blocks.get("peer" if number == 1 else f"peer {number}")) is not None:
        yield parse_peer(text, where)
        number += 1


def _encrypted(steps: list[Step]) -> list[Step]:
    """The steps with TLS where it goes without saying: at once, unless the first thing said is ``bare`` or ``tls``."""
    at = 0
    while at < len(steps) and steps[at].verb in ("connect", "inject", "refused", "signal", "sleep", "wait"):
        at += 1
    if at < len(steps) and steps[at].verb in ("bare", "tls"):
        return steps
    return [*steps[:at], Step("tls", text="{}"), *steps[at:]]


def _deviations(document: Document, where: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for line in document.keys.get("Deviation", "").splitlines():
        match = _DEVIATION.fullmatch(line)
        if match is None:
            raise DocumentError(f"{where}: Deviation: must be 'ID, ID: why', not {line!r}")
        for each in match[1].split(","):
            if each.strip() not in document.shows:
                raise DocumentError(f"{where}: deviates from {each.strip()}, which it does not show")
            made[each.strip()] = match[2]
    return made


def _variants(case: Case) -> tuple[str, ...]:
    if given := case.document.keys.get("Variants"):
        return tuple(part.strip() for part in given.split(","))
    variants = [WHOLE]
    if any(step.verb == "send" for steps in case.peers for step in steps):
        variants.append(BYTES)
        if case.role == "server" and trailing(case.peers[0]) is not None:
            hooks = {section.words[0] for section in case.program.hooks}
            if hooks.isdisjoint({"client_error", "connect", "upgrade"}) and len(case.peers) == 1:
                variants.append(TRAILING)
    return tuple(variants)


def trailing(steps: list[Step]) -> list[Step] | None:
    """The steps with another request behind the last packet; None unless the application then ends the connection."""
    verbs = [step.verb for step in steps]
    if verbs[-1:] != ["end"] or "eof" in verbs or "send" not in verbs:
        return None
    last = len(verbs) - 1 - verbs[::-1].index("send")
    if not set(verbs[last + 1 :]) <= {"want", "packet", "end"}:
        return None
    made = list(steps)
    made[last] = Step("send", steps[last].data + _TRAIL)
    return made
