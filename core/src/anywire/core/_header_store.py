"""The header fields a caller sets on an outgoing message (RES-1 to RES-14, ASK-60).

One ordered dict, keyed by the lower-case name; a value is the pair as it was
given, so the spelling and the type survive (RES-1, RES-3) and rendering can
look the pair up as it is. Names are compared as ASCII: a name with any other
character cannot have been stored, so it is never found.

Whether the head was sent already (RES-16) is the message's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from typing import Final, Protocol, TypeAlias, TypeGuard

from ._errors import ArgumentTypeError
from ._field_lines import CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, Pair, check_value, name_entry

__all__ = [
    "REMOVED_CONNECTION",
    "REMOVED_DATE",
    "REMOVED_LENGTH",
    "REMOVED_TRANSFER_ENCODING",
    "Fields",
    "HeaderStore",
    "Value",
    "field_pairs",
    "pairs",
    "sent_once",
]

Value: TypeAlias = str | int | float | Sequence[str | int | float]
"""A field value: text, a number (sent as its text, RES-12), or a list, sent as one line per element (RES-13)."""

# Bits of HeaderStore.removed: the automatic fields that the caller does not want (RES-34 to RES-37).
REMOVED_CONNECTION: Final = CONNECTION
REMOVED_LENGTH: Final = CONTENT_LENGTH
REMOVED_TRANSFER_ENCODING: Final = TRANSFER_ENCODING
REMOVED_DATE: Final = DATE
_REMEMBERED: Final = REMOVED_CONNECTION | REMOVED_LENGTH | REMOVED_TRANSFER_ENCODING | REMOVED_DATE


class _HasItems(Protocol):
    def items(self) -> Iterable[Pair]: ...


def sent_once(fields: Fields, names: frozenset[str]) -> list[Pair]:
    """`fields`, with the elements of a list joined by ``"; "`` where its name is one of `names` (MOD-L3)."""
    made: list[Pair] = []
    for name, value in field_pairs(fields):
        if isinstance(value, (list, tuple)) and name.lower() in names:
            value = "; ".join([str(each) for each in value])
        made.append((name, value))
    return made


class HeaderStore:
    """An ordered mapping of header fields that ignores the case of names and keeps their spelling.

    Attributes:
        removed: bits ``REMOVED_*`` of the automatic fields that were removed, whether or not they had
            ever been set (RES-7). A field that is set again counts as set: rendering asks this only
            about fields that are missing.
    """

    __slots__ = ("_fields", "removed")

    def __init__(self) -> None:
        self._fields: dict[str, Pair] = {}
        self.removed = 0

    def set(self, name: str, value: object) -> None:
        """Store a field in place of one of the same name in any case (RES-1).

        The new spelling is kept, and the position of the old field. The value keeps its type; a list
        is not copied (RES-4), so it is checked again when it is rendered.

        Args:
            name: a token.
            value: see :data:`Value`.

        Raises:
            ArgumentValueError: ``ERR_INVALID_HTTP_TOKEN`` (RES-9), ``ERR_HTTP_INVALID_HEADER_VALUE``
                (RES-10) or ``ERR_INVALID_CHAR`` (RES-11).
        """
        lower = name_entry(name)[0]
        check_value(name, value)
        self._fields[lower] = (name, value)

    def append(self, name: str, value: object) -> None:
        """Add another line of this field, or the first one (RES-L4). The stored spelling stays.

        Args:
            name: a token.
            value: see :data:`Value`; a list adds one line per element.

        Raises:
            ArgumentValueError: as :meth:`set`.
        """
        lower = name_entry(name)[0]
        check_value(name, value)
        old = self._fields.get(lower)
        if old is None:
            self._fields[lower] = (name, value)
        else:
            # A new list: the old one may be the caller's.
            self._fields[lower] = (old[0], [*_elements(old[1]), *_elements(value)])

    def update(self, fields: Fields) -> None:
        """Set many fields, all or none (RES-25, RES-L4 ``set_headers``).

        A name replaces what was stored; the same name again in `fields`, in any case, adds a line.

        Args:
            fields: see :func:`field_pairs`.

        Raises:
            ArgumentTypeError: not header fields at all.
            ArgumentValueError: as :meth:`set`.
        """
        new = HeaderStore()
        for name, value in field_pairs(fields):
            new.append(name, value)
        self._fields.update(new._fields)

    def get(self, name: str) -> object:
        """Return the stored value with its type, or None (RES-3).

        Raises:
            ArgumentTypeError: `name` is not a str (RES-8).
        """
        pair = self._fields.get(_key(name))
        return None if pair is None else pair[1]

    def has(self, name: str) -> bool:
        """Return whether a field of this name is stored, were it empty (RES-6).

        Raises:
            ArgumentTypeError: `name` is not a str (RES-8).
        """
        return _key(name) in self._fields

    def remove(self, name: str) -> None:
        """Remove a field; no error if there is none (RES-7).

        For Connection, Content-Length, Transfer-Encoding and Date this also means that it shall not be
        added automatically: see :attr:`removed`.

        Raises:
            ArgumentTypeError: `name` is not a str (RES-8).
        """
        lower = _key(name)
        self._fields.pop(lower, None)
        if lower in ("connection", "content-length", "transfer-encoding", "date"):
            self.removed |= name_entry(lower)[2] & _REMEMBERED

    def names(self) -> list[str]:
        """Return the lower-case names, in order (RES-5)."""
        return list(self._fields)

    def as_dict(self) -> dict[str, object]:
        """Return a new dict of lower-case name → value; list values are shared (RES-4)."""
        return {lower: pair[1] for lower, pair in self._fields.items()}

    def items(self) -> ValuesView[Pair]:
        """Return the pairs as given, in order: what is rendered."""
        return self._fields.values()

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)


Fields: TypeAlias = HeaderStore | Mapping[str, object] | Iterable[Sequence[object]] | Sequence[str] | None
"""Header fields as callers give them: see :func:`field_pairs`."""


def field_pairs(fields: object) -> Iterable[Pair]:
    """Return the ``(name, value)`` pairs of whatever a caller gave as header fields.

    Accepted are what :func:`pairs` takes, a flat list ``[name, value, …]`` (RES-L1), and None for no fields. Names
    and values are not checked here.

    Raises:
        ArgumentTypeError: as :func:`pairs`; or a flat list of odd length.
    """
    if isinstance(fields, HeaderStore):
        return fields._fields.values()
    if fields is None:
        return ()
    if isinstance(fields, (list, tuple)) and fields and isinstance(fields[0], str):
        if len(fields) % 2:
            raise ArgumentTypeError("A flat list of headers must alternate names and values")
        return list(zip(fields[::2], fields[1::2], strict=True))
    return pairs(fields)


def pairs(fields: object) -> Iterable[Pair]:
    """Return the pairs of a mapping, of anything with ``items()``, or of a list of pairs.

    In a list order and duplicates are kept (RES-26, MOD-47).

    Raises:
        ArgumentTypeError: a str, bytes, a number (MOD-46), None, or an element that is not a pair.
    """
    if _has_items(fields):
        return fields.items()
    if isinstance(fields, (str, bytes, bytearray, memoryview)) or not isinstance(fields, Iterable):
        raise ArgumentTypeError(
            f'The "headers" argument must be a mapping or a list of pairs. Received {type(fields).__name__}'
        )
    made: list[Pair] = []
    for element in fields:
        if not isinstance(element, (list, tuple)) or len(element) != 2:
            # Not what it is: that may be a secret (SEC-45).
            raise ArgumentTypeError(
                f"A header field must be a pair of name and value. Received {type(element).__name__}"
            )
        made.append((element[0], element[1]))
    return made


def _has_items(fields: object) -> TypeGuard[_HasItems]:
    return hasattr(fields, "items")


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise ArgumentTypeError(f'The "name" argument must be of type str. Received {type(name).__name__}')
    # Not every lower() is ours to use: U+212A, the Kelvin sign, becomes an ASCII k.
    return name.lower() if name.isascii() else name


def _elements(value: object) -> Sequence[object]:
    return value if isinstance(value, (list, tuple)) else (value,)
