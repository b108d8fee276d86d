"""Byte ranges (RFC 9110 section 14) and the multipart bodies that several of them need (section 14.6)."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["MAX_RANGES", "ByteRange", "multipart", "select_ranges"]

MAX_RANGES = 32
"""More ranges than this in one request are ignored: the whole file is cheaper to send (section 14.2)."""

PART_OVERHEAD = 160
"""Ranges with a smaller gap between them are sent as one: about what a part's head costs (section 15.3.7.2)."""

_SPEC = re.compile(r"(?:(\d+)-(\d*)|-(\d+))", re.ASCII)


class ByteRange(NamedTuple):
    """Positions of the first and the last byte, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Bytes in it."""
        return self.last - self.first + 1


def select_ranges(field: str, size: int) -> list[ByteRange] | None:
    """What a ``Range`` field selects of a file.

    Ranges that overlap or nearly touch are joined, so what is sent is never more than the file and the heads of
    :data:`MAX_RANGES` parts; otherwise they keep the order of the request.

    Args:
        field: the value of ``Range``.
        size: bytes in the file.

    Returns:
        1. None: the field is to be ignored (another unit, malformed, too many ranges, or a suffix of an empty
           file, for which no Content-Range can be written);
        2. an empty list: well-formed, but nothing of it lies in the file (416);
        3. the ranges, at least one.
    """
    unit, equals, specs = field.strip(" \t").partition("=")
    if unit.lower() != "bytes" or not equals:
        return None
    ranges = []
    count = 0
    for part in specs.split(","):
        spec = part.strip(" \t")
        if not spec:
            continue
        count += 1
        found = _SPEC.fullmatch(spec)
        if found is None or count > MAX_RANGES:
            return None
        first, last, suffix = found.groups()
        if suffix is not None:
            length = min(_number(suffix), size)
            if length:
                ranges.append(ByteRange(size - length, size - 1))
            elif not size and _number(suffix):
                return None
            continue
        start = _number(first)
        end = _number(last) if last else size - 1
        if last and end < start:
            return None
        if start < size:
            ranges.append(ByteRange(start, min(end, size - 1)))
    return _joined(ranges) if count else None


def _number(digits: str) -> int:
    # int() refuses thousands of digits; no file is that long, so any number beyond it will do.
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 20 else 10**20


def _joined(ranges: list[ByteRange]) -> list[ByteRange]:
    ordered = sorted(ranges)
    joined = ordered[:1]
    for item in ordered[1:]:
        before = joined[-1]
        if item.first <= before.last + PART_OVERHEAD:
            joined[-1] = ByteRange(before.first, max(before.last, item.last))
        else:
            joined.append(item)
    return ranges if len(joined) == len(ranges) else joined


def multipart(
    ranges: list[ByteRange], size: int, content_type: str, boundary: str
) -> tuple[list[bytes | ByteRange], int]:
    """The body of a ``multipart/byteranges`` answer (RFC 9110 section 14.6).

    Returns:
        Its pieces in order, where a range stands for those bytes of the file, and its length.
    """
    pieces: list[bytes | ByteRange] = []
    total = 0
    for item in ranges:
        head = (
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: bytes {item.first}-{item.last}/{size}\r\n\r\n"
        ).encode("latin-1")
        pieces += (head, item)
        total += len(head) + item.length
    end = f"\r\n--{boundary}--\r\n".encode("latin-1")
    pieces.append(end)
    return pieces, total + len(end)
