"""A received field section, from bytes to what the application reads.

The parser proves a section to be well-formed and then keeps it as the bytes it
was, because most applications never look at most fields. The flat list
(``raw_headers``, MSG-6), the joined mapping (``headers``, MSG-15 to MSG-21) and
the mapping of lists (MSG-L1) are made from it on first use.

All three take linear time however often a name repeats (SEC-30), and a name is
nothing but data: ``__class__`` or ``constructor`` are fields like any other
(SEC-39).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

__all__ = ["FIRST_WINS", "distinct_fields", "join_fields", "parse_fields"]

FIRST_WINS: Final = frozenset(
    {
        "age", "authorization", "content-length", "content-type", "etag", "expires", "from", "host",
        "if-modified-since", "if-unmodified-since", "last-modified", "location", "max-forwards",
        "proxy-authorization", "referer", "retry-after", "server", "user-agent",
    }
)  # fmt: skip
"""Names of which only the first value counts (MSG-15)."""


def parse_fields(fields: bytes) -> list[str]:
    """Return the flat list ``[name, value, name, value, ...]`` (MSG-6).

    Args:
        fields: a section as the parser hands it over: ``name:value CRLF`` repeated, without folded
            lines and without the final empty line.

    Returns:
        Names as received, values without surrounding spaces and tabs, both read as Latin-1 (MSG-5).
    """
    flat: list[str] = []
    if not fields:
        return flat
    append = flat.append
    # Not splitlines(), which also breaks at VT, FF, NEL and friends; not strip() without argument, which
    # also takes NBSP away (SEC-17).
    for line in fields[:-2].decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        append(name)
        append(value.strip(" \t"))
    return flat


def _pairs(raw: Sequence[str]) -> Iterable[tuple[str, str]]:
    flat = iter(raw)
    return zip(flat, flat, strict=True)


def join_fields(raw: Sequence[str], *, join_duplicates: bool = False) -> dict[str, str | list[str]]:
    """Return the joined mapping of a flat list (MSG-15 to MSG-21).

    Args:
        raw: ``[name, value, name, value, ...]``.
        join_duplicates: the names of `FIRST_WINS` are joined like any other (MOD-L3).

    Returns:
        Lower-case names in order of first arrival. ``set-cookie`` is always a list, ``cookie`` is joined
        with ``"; "``, the names of `FIRST_WINS` keep their first value, everything else is joined with ``", "``.
    """
    joined: dict[str, str | list[str]] = {}
    # Values of repeated names wait in lists and are joined once: adding to a string each time is quadratic.
    repeated: dict[str, list[str]] = {}
    for name, value in _pairs(raw):
        key = name.lower()
        first = joined.get(key)
        if first is None:
            joined[key] = [value] if key == "set-cookie" else value
        elif isinstance(first, list):
            first.append(value)
        elif key in repeated:
            repeated[key].append(value)
        elif join_duplicates or key not in FIRST_WINS:
            repeated[key] = [first, value]
    for key, values in repeated.items():
        joined[key] = ("; " if key == "cookie" else ", ").join(values)
    return joined


def distinct_fields(raw: Sequence[str]) -> dict[str, list[str]]:
    """Return every value of every name as a list, names in lower case (MSG-L1).

    Args:
        raw: ``[name, value, name, value, ...]``.
    """
    distinct: dict[str, list[str]] = {}
    for name, value in _pairs(raw):
        key = name.lower()
        values = distinct.get(key)
        if values is None:
            distinct[key] = [value]
        else:
            values.append(value)
    return distinct
