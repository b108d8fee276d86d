"""The grammar of a response's head, with leniencies (see :mod:`._leniency`).

:class:`LenientGrammar` is the strict grammar with a second opinion: the strict one reads, and only where it raises is
looked whether a leniency covers the byte. So what is strict is never read differently, and costs the same.

What the application gets is clean, as if the server had sent it right: each departure within the fields is an *edit*,
carried out when the section is handed over.
"""

from __future__ import annotations

import re
from typing import Final

from ._chars import VALUE_BYTE
from ._errors import ParseError
from ._framing import NOTED_IN_RESPONSES, RESPONSE
from ._grammar import (
    DONE,
    DOT,
    FIELD,
    HTTP,
    MAJOR,
    NAME,
    REASON,
    START,
    STATUS,
    STATUS_END,
    VALUE,
    VERSION_END,
    Buffer,
    HeadGrammar,
    end_of_run,
    unfold,
)
from ._leniency import BAD_LINES, BARE_LF, CONTROL_CHARS, SPACE_BEFORE_COLON, STATUS_LINE

__all__ = ["LenientGrammar"]

_HTAB, _LF, _CR, _SP, _COLON = b"\t\n\r :"
_BLANK: Final = frozenset(b"\t ")

# States of our own: white space behind a name, a line that is dropped, the LF of one.
BLANKS, DROPPED, DROPPED_LF = range(DONE + 1, DONE + 4)

_lf_run = re.compile(rb"\n*+").match
_blank_run = re.compile(rb"[\t ]*+").match
_value_run = re.compile(VALUE_BYTE + rb"*+").match
_control_run = re.compile(rb"[^\r\n\0]*+").match


class LenientGrammar(HeadGrammar):
    """See the module docstring.

    Attributes:
        bent: a leniency was needed that could make two readers disagree.
    """

    __slots__ = ("_blank_at", "_edits", "_other_version", "_tolerate", "bent")

    def __init__(self, limit: int, max_count: int, tolerate: int, *, lenient: bool = False) -> None:
        super().__init__(RESPONSE, limit, max_count, lenient=lenient)
        self._tolerate = tolerate
        self._edits: list[tuple[int, int, bytes]] = []  # from, to, what stands there instead
        self._blank_at = 0
        self._other_version = False
        self.bent = False

    def fields(self, buf: Buffer, start: int) -> bytes:
        """Return the section as it should have been."""
        if not self._edits:
            return super().fields(buf, start)
        parts: list[Buffer] = []
        at = self._fields_at
        for begin, stop, instead in self._edits:
            parts += buf[start + at : start + begin], instead
            at = stop
        parts.append(buf[start + at : start + self.at])
        section = b"".join(parts)[:-2]
        return unfold(section) if self._folded else section

    def _read_start_line(self, buf: Buffer, start: int, end: int) -> None:
        while True:
            try:
                super()._read_start_line(buf, start, end)
            except ParseError:
                if not self._start_line_bends(buf, start, end):
                    raise
                continue
            if self._other_version:
                self.minor = 0
            return

    def _start_line_bends(self, buf: Buffer, start: int, end: int) -> bool:
        """The strict grammar stopped at a byte of the status line: go past it if a leniency allows."""
        state, at = self._state, self.at
        byte = buf[start + at]
        if byte == _LF:
            if not self._tolerate & BARE_LF:
                return False
            if state == HTTP and at == self._mark:  # empty lines before the message
                self._state = START
                self.at = end_of_run(_lf_run, buf, start + at, start + end) - start - 1
            elif state == STATUS_END or state == REASON:
                if state == REASON:
                    self.reason = bytes(buf[start + self._mark : start + at]).decode("latin-1")
                self._fields_at = at + 1
                self._state = FIELD
            else:
                return False
        elif state == REASON:
            if not self._tolerate & CONTROL_CHARS:
                return False
            stop = end_of_run(_control_run, buf, start + at, start + end) - start
            self.at = stop
            return stop > at
        elif not self._tolerate & STATUS_LINE or not self._version_bends(state, byte, buf, start, end):
            return False
        self.bent = True
        self.at += 1
        return True

    def _version_bends(self, state: int, byte: int, buf: Buffer, start: int, end: int) -> bool:
        """Is `byte` one of those that ``status_line`` adds? If so, choose the state in which the next one is read."""
        at = self.at
        if state == HTTP:
            word = bytes(buf[start + self._mark : start + at + 1])
            if word == b"ICY":
                self._other_version = True
                self._state = VERSION_END
            elif word.upper() == b"HTTP/":
                self._state = MAJOR
            elif not b"ICY".startswith(word) and not b"HTTP/".startswith(word.upper()):
                return False
        elif state == MAJOR and byte in b"0123456789":
            self._other_version = True
            self._state = DOT
        elif byte in _BLANK and (state in (DOT, VERSION_END) or (state == STATUS and at == self._mark)):
            if state == DOT:
                self.minor = 0
            self.at = end_of_run(_blank_run, buf, start + at, start + end) - start - 1
            self._mark = self.at + 1
            self._state = STATUS
        elif state == STATUS_END and byte == _HTAB:
            self._mark = at + 1
            self._state = REASON
        else:
            return False
        return True

    def _read_fields(self, buf: Buffer, start: int, end: int) -> None:
        while self._state != DONE:
            if self._state > DONE and not self._read_on(buf, start, end):
                return
            try:
                super()._read_fields(buf, start, end)
                return
            except ParseError as error:
                if error.code == "HPE_HEADER_OVERFLOW" or not self._fields_bend(buf, start, end):
                    raise

    def _fields_bend(self, buf: Buffer, start: int, end: int) -> bool:
        """The strict grammar stopped at a byte of the fields: go past it if a leniency allows."""
        state, at = self._state, self.at
        byte = buf[start + at]
        tolerate = self._tolerate
        if byte == _LF and tolerate & BARE_LF and (state == FIELD or state == VALUE):
            if state == VALUE:
                self._end_value(buf, start, at)
            self._edits.append((at, at, b"\r"))
            self._state = FIELD if state == VALUE else DONE
            self.at = at + 1
        elif state == VALUE:
            # Not where framing hangs on it: nobody knows what a server means by "chunked\x01".
            if not tolerate & CONTROL_CHARS or self._name:
                return False
            self.at = end_of_run(_control_run, buf, start + at, start + end) - start
            return self.at > at
        elif state == NAME and byte in _BLANK and tolerate & (SPACE_BEFORE_COLON | BAD_LINES):
            self._blank_at = at
            self._state = BLANKS
        elif tolerate & BAD_LINES and (state == NAME or (state == FIELD and byte not in _BLANK)):
            if state == FIELD:
                self._check_count(at)
                self._mark = at
            elif bytes(buf[start + self._mark : start + at]).lower() in NOTED_IN_RESPONSES:
                return False
            self._state = DROPPED
        else:
            return False
        self.bent = True
        return True

    def _read_on(self, buf: Buffer, start: int, end: int) -> bool:
        """Read on in a state of our own; True when it is over, False when it needs more input."""
        at = self.at
        if self._state == BLANKS:
            at = self.at = end_of_run(_blank_run, buf, start + at, start + end) - start
            if at == end:
                return False
            name = bytes(buf[start + self._mark : start + self._blank_at]).lower()
            if buf[start + at] == _COLON and self._tolerate & SPACE_BEFORE_COLON:
                self._edits.append((self._blank_at, at, b""))
                self._end_name(name, at)
                self._state = VALUE
                self.at = at + 1
                return True
            if buf[start + at] == _COLON or not self._tolerate & BAD_LINES or name in NOTED_IN_RESPONSES:
                raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header token", bytes_parsed=self._blank_at)
            self._state = DROPPED
        if self._state == DROPPED:
            run = _control_run if self._tolerate & CONTROL_CHARS else _value_run
            at = self.at = end_of_run(run, buf, start + at, start + end) - start
            if at == end:
                return False
            byte = buf[start + at]
            if byte == _CR:
                self._state = DROPPED_LF
                at = self.at = at + 1
                if at == end:
                    return False
            elif byte != _LF:
                raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", bytes_parsed=at)
            elif not self._tolerate & BARE_LF:
                raise ParseError("HPE_CR_EXPECTED", "Missing expected CR after header value", bytes_parsed=at)
        # DROPPED_LF, or DROPPED at an LF
        if buf[start + at] != _LF:
            raise ParseError("HPE_LF_EXPECTED", "Missing expected LF after header value", bytes_parsed=at)
        self._edits.append((self._mark, at + 1, b""))
        self._last_noted = True  # nothing is left that a fold could continue
        self._state = FIELD
        self.at = at + 1
        return True
