"""Cases held against their goldens: is what a case expects what Node did?

A case is *equal* to its golden, or *differs* from it and says why (``Deviation:``), or has *none* and says why
(``Golden: none, …``). Anything else is a fault of the case, of the code, or of a golden that is out of date.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from .cases import PARSER_ROLES, Case
from .goldens import Golden, conversation, digest, exported, place, wanted, whole_peers
from .language import Step
from .observing import compare

__all__ = ["DIFFERS", "EQUAL", "NONE", "at_odds", "differences", "standing", "tally"]

EQUAL: Final = "equal"
DIFFERS: Final = "differs"
NONE: Final = "none"

Goldens = Mapping[tuple[str, str], Golden]


def standing(case: Case) -> str:
    """What a case claims about its golden."""
    if not wanted(case):
        return NONE
    return DIFFERS if case.deviations else EQUAL


def tally(cases: Iterable[Case]) -> str:
    """How many cases stand how, in words."""
    counts = Counter(map(standing, cases))
    return (
        f"{counts[EQUAL]} cases equal to Node's golden, {counts[DIFFERS]} that differ from it as they say, "
        f"{counts[NONE]} that can have none"
    )


def at_odds(case: Case, goldens: Goldens) -> str | None:
    """Is what a case claims about its golden true? None if it is, else what is wrong, in lines."""
    golden = goldens.get((place(case), case.document.title))
    if not wanted(case):
        return None if golden is None else "a golden of a case that says it has none (make goldens)"
    if golden is None:
        return "there is no golden (make goldens), and no key says why: Golden: none, …"
    if golden.ran != digest(exported(case)):
        return "the golden is of another version of the case (make goldens)"
    differ = differences(case, golden)
    if case.deviations and not differ:
        return f"Node does what the case says it does not: {', '.join(case.deviations)}"
    if differ and not case.deviations:
        return "\n".join(["Node (+) does not do this (-), and no Deviation: says why", *differ])
    return None


def differences(case: Case, golden: Golden, *, from_node: bool = False) -> list[str]:
    """What a case expects (``-``) where Node did something else (``+``); empty if they agree.

    Times count where the case tells them, messages of errors where it tells them.

    Args:
        case: as it is now.
        golden: what Node did.
        from_node: the other way round: what Node does (``-``), and what the case expects instead (``+``).
    """
    found: list[str] = []
    for ours, theirs in _sides(case, golden):
        both = (theirs, ours) if from_node else (ours, theirs)
        found += (line.rstrip() for line in difflib.ndiff(*both) if line[0] in "-+")
    return found


def _sides(case: Case, golden: Golden) -> Iterator[tuple[list[str], list[str]]]:
    """What the case expects and what Node did: the log, each connection, and what should not be there."""
    if case.role in PARSER_ROLES:
        yield _parser_logs(case, golden)
        return
    known, lines = _without_later(case.expected, golden)
    by_object = case.document.keys.get("Order") == "per object"
    differs = compare(known, [_stamped(line) for line in lines], by_object=by_object, virtual=True)
    if differs is not None:
        yield differs
    for number, steps in enumerate(whole_peers(case)):
        ours = conversation(_item(step) for step in steps if step.verb != "bare" and step.text != "{}").splitlines()
        yield ours, golden.peers[number].splitlines() if number < len(golden.peers) else ["(no connection)"]
    for extra in golden.peers[len(case.peers) :]:
        yield [], ["(one more connection)", *extra.splitlines()]
    if golden.waiting:
        yield [], [f"waits for ever: {each}" for each in golden.waiting]


def _item(step: Step) -> tuple[str, str]:
    verb = {"want": "<", "packet": "<", "send": ">"}.get(step.verb, step.verb)
    return verb, " ".join(filter(None, (step.flag or step.data.decode("latin-1"), step.text)))


def _stamped(line: str) -> tuple[float, str]:
    if line.startswith("at "):
        _, seconds, rest = line.split(" ", 2)
        return float(seconds), rest
    return 0.0, line


def _without_later(expected: list[str], golden: Golden) -> tuple[list[str], list[str]]:
    """Both logs without what this Node has no word for."""
    texts = [line.removesuffix(" not in Node") for line in golden.log if line.endswith(" not in Node")]
    ours = [
        line
        for line in expected
        if not any(line.startswith((f"{each} -> ", f"{each} throws ", f"{each} ok")) for each in texts)
    ]
    return ours, [line for line in golden.log if not line.endswith(" not in Node")]


# ---------------------------------------------------------------- parser cases

_HIDDEN = re.compile(r" (?:length=[^ :]+|upgrade|no-body)")
_FLAGS = re.compile(r"(?<=HTTP/\d\.\d)[^:]*")
_ERROR = re.compile(r"error (\S+)( at \d+)(, \d+)?(?:, (\w+))?: (.*)")
_FRAMING = frozenset({"HPE_INVALID_CONTENT_LENGTH", "HPE_INVALID_TRANSFER_ENCODING", "HPE_UNEXPECTED_CONTENT_LENGTH"})


def _parser_logs(case: Case, golden: Golden) -> tuple[list[str], list[str]]:
    """Both logs of a parser case, as far as one who uses Node can see what the parser did.

    Not seen are how a body is framed, and that the input ends inside a message; of what is handed over (upgrade,
    CONNECT), whether the connection could go on. Where an error is counts if it is in the first head, and not one of
    framing, which we judge when the head is complete. A server's answer is seen; what a client would answer is not.
    """
    ours: list[str] = []
    empty = False
    heads = 0
    counts = False
    server = case.role == "request"
    for line in case.document.lines():
        word = line.split(" ", 1)[0]
        if word in ("request", "response", "error", "more", "eof"):
            if empty:
                ours.append("end")
            empty = " length=0" in line
        if word in ("more", "eof"):
            continue
        if word in ("request", "response"):
            heads += 1
            line = _HIDDEN.sub("", line)
            if case.document.keys.get("Then") == "rest" or " CONNECT " in line:
                line = _FLAGS.sub("", line, count=1)
            if not server:
                line = line.replace(" chunked-ok", "")
        elif word == "rest":
            empty = False
        elif error := _ERROR.fullmatch(line):
            counts = heads == 0 and error[1] not in _FRAMING
            line = _error(error, counts=counts, answer=server)
        ours.append(line)
    if empty:
        ours.append("end")
    theirs = []
    for line in golden.log:
        if error := _ERROR.fullmatch(line):
            theirs.append(_error(error, counts=counts, answer=server))
        elif line != "aborted":
            theirs.append(line)
    return ours, theirs


def _error(error: re.Match[str], *, counts: bool, answer: bool) -> str:
    return f"error {error[1]}{error[2] if counts else ''}{error[3] or '' if answer else ''}: {error[5]}"
