"""Outgoing header fields: ``(name, value)`` → the bytes of its line, and what the field means to us.

A program sends the same few fields all day. So the line of a pair is made
once, with all checks, and kept with its *kind*; rendering a field is then one
dictionary look-up, and a pair that is found is known to be valid. The same
holds for names alone, which serves fields whose value changes.

What keeps the cache honest:

- **Only exact ``str`` values are keys.** ``1``, ``1.0`` and ``True`` are equal
  and hash alike, but are sent as different text.
- **It is bounded**: entries and length. A full table is emptied, because that
  is one cheap operation per thousand misses, and what is in use is back after
  one request. (Taking the oldest out of a dict scans over the holes it left.)
- **Secrets are not kept**: Authorization, Cookie and the like are rendered anew
  each time, so they do not outlive their message. They rarely repeat anyway.

The kinds tell the serializer which fields decide about framing and persistence
(WIR-2, WIR-3, WIR-7, WIR-32). Framing mistakes that make two readers disagree
about where a message ends are errors here, before a byte is written (SEC-22).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias, TypeVar

from ._chars import check_field_name, check_field_value, field_text, is_token
from ._errors import SECRET_FIELDS, ArgumentTypeError, ArgumentValueError

__all__ = [
    "BARE_CHUNKED",
    "CHUNKED_CODING",
    "CLOSE",
    "CONNECTION",
    "CONTENT_LENGTH",
    "DATE",
    "HOST",
    "TRAILER",
    "TRANSFER_ENCODING",
    "Pair",
    "add_field",
    "check_value",
    "collect",
    "find_plain",
    "find_special",
    "name_entry",
]

# Kinds: bits, because a head's fields are summed up in one int.
CONNECTION: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 4
DATE: Final = 8
TRAILER: Final = 16
HOST: Final = 32
CLOSE: Final = 64  # with CONNECTION: the value contains the word close
CHUNKED_CODING: Final = 128  # with TRANSFER_ENCODING: the last coding is chunked
BARE_CHUNKED: Final = 256  # with CHUNKED_CODING: it is the only one
_SECRET: Final = 512  # of a name only: never cached

_ONCE: Final = CONTENT_LENGTH | TRANSFER_ENCODING | HOST
"""Fields of which a second one would leave it to the reader to choose (RFC 9112 sections 3.2 and 6.3)."""

_FRAMING: Final = CONTENT_LENGTH | TRANSFER_ENCODING

_KINDS: Final = {
    "connection": CONNECTION,
    "content-length": CONTENT_LENGTH,
    "transfer-encoding": TRANSFER_ENCODING,
    "date": DATE,
    "trailer": TRAILER,
    "host": HOST,
    **dict.fromkeys(SECRET_FIELDS, _SECRET),
}

Pair: TypeAlias = tuple[str, object]
_NameEntry: TypeAlias = tuple[str, bytes, int]  # lower-case name, b"Name: ", kind
_LineEntry: TypeAlias = tuple[bytes, int, int]  # line(s), kind, Content-Length or -1

_MAX_ENTRIES: Final = 1024
_MAX_NAME: Final = 64  # characters
_MAX_LINE: Final = 256  # characters of name and value together

_names: dict[str, _NameEntry] = {}
_plain: dict[object, bytes] = {}  # lines of fields that mean nothing to us: most of them
_special: dict[object, _LineEntry] = {}
find_plain = _plain.get
"""Return the line of a pair that is known and has no kind, else None. TypeError if the pair is not hashable."""
find_special = _special.get
"""The same for those that have one: ``(line, kind, Content-Length or -1)``."""

# Node's own test for the word, on word boundaries: x-close counts too (WIR-32). Too many matches only close.
_has_close = re.compile(r"(?:^|\W)close(?:$|\W)", re.IGNORECASE).search
# 18 digits: what every reader can hold in 64 bits, and our own parser's limit.
_is_length = re.compile(r"[0-9]{1,18}").fullmatch

_K = TypeVar("_K")
_V = TypeVar("_V")


def _keep(table: dict[_K, _V], key: _K, value: _V) -> None:
    if len(table) >= _MAX_ENTRIES:
        table.clear()
    table[key] = value


def name_entry(name: object) -> _NameEntry:
    """Return (lower-case name, ``b"Name: "``, kind) of a valid field name (RES-9).

    Raises:
        ArgumentValueError: ``ERR_INVALID_HTTP_TOKEN``.
    """
    try:
        return _names[name]  # type: ignore[index]  # anything may be looked up; only str is found
    except (KeyError, TypeError):
        pass
    name = check_field_name(name)
    if type(name) is not str:
        name = str.__str__(name)
    lower = name.lower()
    entry = (lower, name.encode("ascii") + b": ", _KINDS.get(lower, 0))
    if len(name) <= _MAX_NAME:
        _keep(_names, name, entry)
    return entry


def check_value(name: str, value: object) -> None:
    """Raise if `value`, or an element of it if it is a list, cannot be sent (RES-10 to RES-13).

    Raises:
        ArgumentValueError: ``ERR_HTTP_INVALID_HEADER_VALUE`` or ``ERR_INVALID_CHAR``.
    """
    if type(value) is str:
        check_field_value(name, value)
        return
    for item in value if isinstance(value, (list, tuple)) else (value,):
        check_field_value(name, field_text(name, item))


def add_field(pair: Pair, lines: list[bytes], seen: int, length: int, drop: int = 0) -> tuple[int, int]:
    """Append the line of any field to `lines`; say what has been seen, this field included.

    Args:
        pair: ``(name, value)``.
        lines: where the rendered line goes.
        seen: kinds of the fields before it.
        length: Content-Length so far, -1 for none.
        drop: kinds that are checked and counted but not appended.

    Returns:
        The new `seen` and `length`.

    Raises:
        ArgumentTypeError: not a pair.
        ArgumentValueError: a name, a value, or contradictory framing (SEC-21, SEC-22).
    """
    try:
        entry = find_special(pair)
    except TypeError:  # a list value, or the pair itself is a list: not hashable
        entry = None
    line, kind, value = _make(pair) if entry is None else entry
    if kind:
        if kind & seen & _ONCE:
            raise _framing_error(f"Field given twice: {line.partition(b':')[0].decode()}")
        seen |= kind
        if kind & CONTENT_LENGTH:
            length = value
        if kind & _FRAMING and seen & _FRAMING == _FRAMING:
            raise _framing_error("Content-Length and Transfer-Encoding exclude each other")
        if kind & drop:
            return seen, length
    lines.append(line)
    return seen, length


def collect(pairs: Iterable[Pair], lines: list[bytes], drop: int = 0) -> tuple[int, int]:
    """:func:`add_field` for many: returns the kinds seen and the Content-Length, -1 if there was none."""
    seen = 0
    length = -1
    for pair in pairs:
        try:
            line = find_plain(pair)
        except TypeError:
            line = None
        if line is None:
            seen, length = add_field(pair, lines, seen, length, drop)
        else:
            lines.append(line)
    return seen, length


def _make(pair: Pair) -> _LineEntry:
    try:
        name, value = pair
    except (TypeError, ValueError):
        raise ArgumentTypeError("A header field must be a pair of name and value") from None
    try:
        lower, prefix, kind = _names[name]
    except (KeyError, TypeError):
        lower, prefix, kind = name_entry(name)
    if type(value) is int and kind == CONTENT_LENGTH and 0 <= value < 10**18:
        return b"%b%d\r\n" % (prefix, value), kind, value  # rarely the same twice, nearly always an int
    length = -1
    if isinstance(value, (list, tuple)):
        texts = [check_field_value(name, field_text(name, item)) for item in value]
        if lower == "cookie" and len(texts) > 1:  # RES-14; one line per element otherwise (RES-13)
            texts = ["; ".join(texts)]
        line = b"".join([prefix + text.encode("latin-1") + b"\r\n" for text in texts])
        if not texts:
            return b"", 0, -1
    else:
        texts = [check_field_value(name, field_text(name, value))]
        line = prefix + texts[0].encode("latin-1") + b"\r\n"  # RES-15
    keep = type(value) is str and type(name) is str and not kind & _SECRET and len(line) <= _MAX_LINE
    kind &= ~_SECRET
    if kind & (CONTENT_LENGTH | HOST) and len(texts) > 1:
        raise _framing_error(f"Field given twice: {prefix[:-2].decode()}")
    if kind & CONTENT_LENGTH:
        if not _is_length(texts[0]):
            raise _framing_error("Content-Length must be plain decimal digits")
        length = int(texts[0])
    elif kind & TRANSFER_ENCODING:
        kind |= _codings(",".join(texts))
    elif kind & CONNECTION and _has_close(",".join(texts)):
        kind |= CLOSE
    if keep and kind:
        _keep(_special, (name, value), (line, kind, length))
    elif keep:
        _keep(_plain, (name, value), line)
    return line, kind, length


def _codings(value: str) -> int:
    """Return what a Transfer-Encoding value says about chunking (RFC 9112 section 6.1).

    Anything two readers could take differently is refused: no coding at all, quotes (a comma in a
    quoted parameter), chunked that is not last, with a parameter or twice.
    """
    codings = [coding.strip(" \t").lower() for coding in value.split(",")]
    names = [coding.partition(";")[0].rstrip(" \t") for coding in codings]
    if '"' in value or not all(map(is_token, names)):
        raise _framing_error("Transfer-Encoding is not a list of transfer codings")
    if "chunked" not in names:
        return 0
    if names.count("chunked") > 1 or codings[-1] != "chunked":
        raise _framing_error("chunked must be the last transfer coding, once and without parameters")
    return CHUNKED_CODING | BARE_CHUNKED if len(codings) == 1 else CHUNKED_CODING


def _framing_error(message: str) -> ArgumentValueError:
    return ArgumentValueError(message, code="ERR_HTTP_INVALID_HEADER_VALUE")
