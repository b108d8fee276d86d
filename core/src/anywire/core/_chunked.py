"""The line in front of each chunk: ``size [extensions] CRLF`` (RFC 9112 section 7.1).

Like the grammar of heads, :class:`ChunkLine` reads from left to right, keeps its
place between calls and stops at the first byte that cannot be right. Sizes are
hex digits and nothing else (SEC-6), at most sixteen of them (WIR-70, SEC-7).
Extensions are skipped (WIR-71), but hold no control bytes (WIR-72, SEC-9), are
counted over the whole message (SEC-10), and have the form that RFC 9112 section
7.1.1 gives them: a reader that heeds quotes and one that does not see the same
end of the line.
"""

from __future__ import annotations

import re
from typing import Final

from ._chars import TOKEN, VALUE_BYTE
from ._errors import ParseError

__all__ = ["ChunkLine"]

MAX_SIZE_DIGITS: Final = 16
"""Hex digits of a chunk size, leading zeros included: 64 bits."""
_MAX_SIZE: Final = 2**63 - 1  # what a signed number of 64 bits holds

_CR, _LF, _SP, _HTAB, _SEMICOLON = 0x0D, 0x0A, 0x20, 0x09, 0x3B
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")

SIZE, BLANK, EXTENSION, LINE_LF = range(4)

_extension_run = re.compile(VALUE_BYTE + rb"*+").match
_VALUE: Final = TOKEN + rb'++|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"'
# A name that is missing, and blanks at the end, are tolerated like the blanks behind a size.
_extensions = re.compile(
    rb"(?:[ \t]*+;[ \t]*+(?:" + TOKEN + rb"++(?:[ \t]*+=[ \t]*+(?:" + _VALUE + rb"))?+)?+)*+[ \t]*+"
).match


class ChunkLine:
    """One chunk line in the course of being read.

    Attributes:
        at: bytes of the line proved so far; its length once `feed` returned True.
        size: the chunk size read so far.
        extension_left: bytes of extensions that the message may still carry.
    """

    __slots__ = ("_size_end", "_state", "at", "extension_left", "size")

    def __init__(self, extension_left: int) -> None:
        self._state = SIZE
        self._size_end = 0
        self.at = 0
        self.size = 0
        self.extension_left = extension_left

    def feed(self, buf: bytes | bytearray, start: int) -> bool:
        """Read on; True when the line is complete. `start` is the index of its first byte.

        Raises:
            ParseError: phase ``body``, ``bytes_parsed`` counted from the start of the line.
        """
        state, at = self._state, self.at
        end = len(buf) - start
        while at < end:
            byte = buf[start + at]
            if state == SIZE:
                if byte in _HEX:
                    size = self.size * 16 + int(bytes((byte,)), 16)
                    if at == MAX_SIZE_DIGITS or size > _MAX_SIZE:
                        raise _wrong("Chunk size overflow", at)
                    self.size = size
                elif at and byte == _CR:
                    state = LINE_LF
                elif at and (byte == _SEMICOLON or byte == _SP or byte == _HTAB):
                    state = BLANK
                    self._size_end = at
                    continue
                else:
                    raise _wrong("Invalid character in chunk size", at)
            elif state == BLANK:
                # Bad white space before the first semicolon is tolerated, also without one (WIR-71).
                if byte == _SEMICOLON:
                    state = EXTENSION
                    continue
                if byte == _CR:
                    state = LINE_LF
                elif byte == _SP or byte == _HTAB:
                    self._count_extension(1, at)
                else:
                    raise _wrong("Invalid character in chunk size", at)
            elif state == EXTENSION:
                match = _extension_run(buf, start + at, start + end)
                stop = match.end() - start if match is not None else at
                self._count_extension(stop - at, at)
                at = stop
                if at == end:
                    break
                if buf[start + at] != _CR:
                    raise _wrong("Invalid character in chunk extensions", at)
                match = _extensions(buf, start + self._size_end, start + at)
                stop = match.end() - start if match is not None else self._size_end
                if stop != at:
                    raise _wrong("Invalid chunk extensions", stop)
                state = LINE_LF
            else:  # LINE_LF
                if byte != _LF:
                    raise ParseError("HPE_LF_EXPECTED", "Expected LF after chunk size", bytes_parsed=at, phase="body")
                self.at = at + 1
                return True
            at += 1
        self._state, self.at = state, at
        return False

    def _count_extension(self, count: int, at: int) -> None:
        left = self.extension_left
        if count > left:
            raise ParseError(
                "HPE_CHUNK_EXTENSIONS_OVERFLOW",
                "Chunk extensions overflow",
                bytes_parsed=at + left,
                status_hint=413,
                phase="body",
            )
        self.extension_left = left - count


def _wrong(reason: str, at: int) -> ParseError:
    return ParseError("HPE_INVALID_CHUNK_SIZE", reason, bytes_parsed=at, phase="body")
