"""Cases held against their goldens: is what a case expects what Node did?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from .cases import PARSER_ROLES, Case
from .goldens import Golden, conversation, whole_peers
from .language import Step
from .observing import compare

__all__ = ["differences"]


def differences(case: Case, golden: Golden) -> list[str]:
    """What a case expects (``-``) where Node did something else (``+``); empty if they agree."""
    if case.role in PARSER_ROLES:
        return _diff(*_parser_logs(case, golden))
    found = []
    known, lines = _without_later(case.expected, golden)
    seen = [_stamped(line) for line in lines]
    by_object = case.document.keys.get("Order") == "per object"
    differs = compare(known, seen, by_object=by_object, virtual=True)
    if differs is not None:
        found += _diff(*differs)
    for number, steps in enumerate(whole_peers(case)):
        ours = conversation(map(_item, steps)).splitlines()
        theirs = golden.peers[number].splitlines() if number < len(golden.peers) else ["(no connection)"]
        found += _diff(ours, theirs)
    for extra in golden.peers[len(case.peers) :]:
        found += ["+ (one more connection)", *(f"+ {line}" for line in extra.splitlines())]
    found += [f"+ waits for ever: {each}" for each in golden.waiting]
    return found


def _item(step: Step) -> tuple[str, str]:
    return {"want": "<", "packet": "<", "send": ">"}.get(step.verb, step.verb), step.flag or step.data.decode("latin-1")


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


def _diff(ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    return [line for line in difflib.ndiff(list(ours), list(theirs)) if line[0] in "-+"]


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
