"""Leniencies: what a client may take from a broken server, one name for each.

Each entry of :data:`LENIENCIES` is one departure from the strict grammar, off unless a request or its Agent names it
(ASK-36). Three rules hold for all of them:

- **They only add.** What the strict parser takes is read the same with any set of them.
- **They are about heads of responses.** Requests, chunks and trailers have none: a server cannot be given one.
- **Where two readers could see different ends, nothing follows**: a response that needed one, other than
  ``control_chars``, is the last on its connection, so that the doubt cannot reach a neighbour's response.

``insecure_http_parser`` is something else, namely Node's (WIR-59), and stays what it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final, NamedTuple

from ._chars import safe_text
from ._checks import wrong_type
from ._errors import ArgumentValueError

__all__ = [
    "BAD_LINES",
    "BARE_LF",
    "CONTROL_CHARS",
    "LENGTH_WITH_CHUNKED",
    "LENIENCIES",
    "NOTHING",
    "REPEATED_LENGTH",
    "SPACE_BEFORE_COLON",
    "STATUS_LINE",
    "Leniency",
    "bits_of",
    "check_lenient",
]

BARE_LF: Final = 1
CONTROL_CHARS: Final = 2
SPACE_BEFORE_COLON: Final = 4
BAD_LINES: Final = 8
STATUS_LINE: Final = 16
REPEATED_LENGTH: Final = 32
LENGTH_WITH_CHUNKED: Final = 64

NOTHING: Final[frozenset[str]] = frozenset()


class Leniency(NamedTuple):
    """One entry of `LENIENCIES`.

    Attributes:
        bit: for the parser.
        accepts: what is taken, and how it is read.
        departs: the statement or section that it departs from, or that allows it.
        risks: what may go wrong.
    """

    bit: int
    accepts: str
    departs: str
    risks: str


LENIENCIES: Final[Mapping[str, Leniency]] = MappingProxyType(
    {
        "bare_lf": Leniency(
            BARE_LF,
            "LF alone ends the status line, a field line and the head",
            "WIR-49; RFC 9112 section 2.2 allows it",
            "who only knows CR LF sees one line where there are two, or no end of the head",
        ),
        "control_chars": Leniency(
            CONTROL_CHARS,
            "control characters, but not NUL, CR or LF, in the reason and in values of fields that do not frame",
            "WIR-56, WIR-79; RFC 9110 section 5.5",
            "they reach the application: logs, terminals, what copies the value",
        ),
        "space_before_colon": Leniency(
            SPACE_BEFORE_COLON,
            "spaces and tabs between a name and its colon; they are dropped, and the field counts, for framing too",
            "WIR-52; RFC 9112 section 5.1 wants it of proxies",
            "others ignore such a field, or take the space for a part of the name",
        ),
        "bad_lines": Leniency(
            BAD_LINES,
            "lines without a colon, or with something before it that is no name; they are dropped, unless they begin "
            "with the name of a field that frames",
            "WIR-51, WIR-53, WIR-54; RFC 9112 section 5",
            "what the line was to say is lost; others may understand it",
        ),
        "status_line": Leniency(
            STATUS_LINE,
            "several spaces or tabs around the status, `http` in lower case, versions such as `HTTP/1`, `HTTP/2` and "
            "`HTTP/0.9`, and `ICY` in place of one; other versions than 1.x count as 1.0",
            "WIR-77, WIR-78, SEC-20; RFC 9112 section 4 allows the white space",
            "what follows may be another protocol",
        ),
        "repeated_length": Leniency(
            REPEATED_LENGTH,
            "one length several times, in lines of its own or in a list",
            "WIR-60, WIR-61; RFC 9110 section 8.6 allows it",
            "two senders took part in the response",
        ),
        "length_with_chunked": Leniency(
            LENGTH_WITH_CHUNKED,
            "`Content-Length` beside `Transfer-Encoding: chunked`; the chunks count",
            "WIR-62; RFC 9112 section 6.3 rule 3 allows it",
            "who believes the length sees another end",
        ),
    }
)
"""By name: the one list of what there is."""


def bits_of(names: Iterable[str]) -> int:
    """The bits of checked names."""
    bits = 0
    for name in names:
        bits |= LENIENCIES[name].bit
    return bits


def check_lenient(value: object) -> frozenset[str] | None:
    """The option ``lenient``: names of `LENIENCIES`; None is "not given", an empty set is none of them.

    Raises:
        ArgumentTypeError: not a set or list of str.
        ArgumentValueError: an unknown name; the closest one is in the message.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise wrong_type("lenient", "set of names", value)
    names = list(value)
    for name in names:
        if not isinstance(name, str):
            raise wrong_type("lenient", "set of str", name)
        if name not in LENIENCIES:
            plain = re.sub(r"\W|(?<=[a-z])(?=[A-Z])", "_", name).lower()
            close = get_close_matches(plain, list(LENIENCIES), n=1, cutoff=0.7)
            hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(LENIENCIES)}"
            raise ArgumentValueError(f'The option "lenient" knows no "{safe_text(name)}"; {hint}')
    return frozenset(map(str, names))
