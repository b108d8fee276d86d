r"""The grammar of a message head, as an automaton that never looks at a byte twice.

:class:`HeadGrammar` reads start line and fields (or, for trailers, fields only)
strictly from left to right and stops at the first byte that cannot continue a
valid head. It keeps its place between calls, so

* code, reason and offset of an error are the same however the input was cut,
* a head in one-byte pieces costs linear time (ASK-56),
* nonsense is refused at the byte that proves it, without waiting for the end.

Two regular expressions take whole lines that are plainly right (:data:`_REQUEST_LINE`,
:data:`_FIELD_LINE`, …). They accept a subset and only ever run at the start of a
line; everything else goes byte by byte, in runs, through the states below::

    request   START -> METHOD -> TARGET ... -> HTTP -> MAJOR -> DOT -> MINOR -> VERSION_END -> LINE_LF
    response  START -> HTTP -> MAJOR -> DOT -> MINOR -> VERSION_END -> STATUS -> STATUS_END -> REASON -> LINE_LF
    fields    FIELD -> NAME -> VALUE -> VALUE_LF -> FIELD ... -> END_LF -> DONE

Every regular expression is possessive or has no two adjacent repeats that
overlap, so none backtracks (SEC-35).

The grammar is stricter than Node 13 where the specification says HAZARD: CRLF
is the only line end, one space separates the parts of a start line, names are
tokens directly followed by the colon, a request has no folded lines. What the
fields *mean* is judged at the end of the head by :func:`._framing.frame`.

All offsets count from the first byte of the unit: the head with the empty
lines before it, or the trailer section.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from ._authority import is_host, is_tunnel_target
from ._chars import TOKEN, VALUE_BYTE
from ._errors import ParseError
from ._framing import NOTED_IN_REQUESTS, NOTED_IN_RESPONSES, REFUSED_IN_TRAILERS, REQUEST, Noted
from ._status import METHODS

__all__ = ["Buffer", "HeadGrammar", "PLAIN_METHODS", "end_of_run", "unfold"]

Buffer: TypeAlias = bytes | bytearray

_METHOD_NAMES: Final[dict[bytes, str]] = {method.encode(): method for method in METHODS}
_METHOD_PREFIXES: Final = frozenset(method[:n] for method in _METHOD_NAMES for n in range(1, len(method) + 1))
PLAIN_METHODS: Final = {word: method for word, method in _METHOD_NAMES.items() if method != "CONNECT"}
"""Methods whose target may be an origin form."""

_HTAB, _LF, _CR, _SP = 0x09, 0x0A, 0x0D, 0x20
_HASH, _STAR, _DOT_, _SLASH, _ZERO, _COLON, _QUERY = b"#*./0:?"
_DIGITS: Final = frozenset(b"0123456789")

# fmt: off
(START, START_LF, METHOD, TARGET, STAR, OPAQUE, SCHEME, SLASH_1, SLASH_2, HOST, HOST_MORE, PATH, QUERY,
 HTTP, MAJOR, DOT, MINOR, VERSION_END, STATUS, STATUS_END, REASON, LINE_LF,
 FIELD, NAME, VALUE, VALUE_LF, END_LF, DONE) = range(28)
# fmt: on

_REQUEST_LINE: Final = re.compile(rb"([A-Z\-]{3,11}+) (/[!\"$-~]*+) HTTP/1\.([01])\r\n").match
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: (" + VALUE_BYTE + rb"*+))?+\r\n").match
_FIELD_LINE: Final = re.compile(rb"(" + TOKEN + rb"++):(" + VALUE_BYTE + rb"*+)\r\n").match
_FIELD_LINE_LENIENT: Final = re.compile(rb"(" + TOKEN + rb"++):([^\r\n]*+)\r\n").match

_name_run = re.compile(TOKEN + rb"*+").match
_value_run = re.compile(VALUE_BYTE + rb"*+").match
_line_run = re.compile(rb"[^\r\n]*+").match
_fold = re.compile(rb"\r\n[\t ]++").sub

# What may continue a request target, by state (WIR-43, WIR-44; visible ASCII without "#", SEC-19).
_TARGET_RUNS: Final = {
    OPAQUE: re.compile(rb"[!-~]*+").match,
    SCHEME: re.compile(rb"[A-Za-z0-9+\-.]*+").match,
    HOST_MORE: re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=%:\[\]]*+").match,
    PATH: re.compile(rb"[!\"$->@-~]*+").match,
    QUERY: re.compile(rb"[!\"$-~]*+").match,
}
_TARGET_REASONS: Final = {
    TARGET: "Unexpected start char in url",
    STAR: "Invalid characters in url",
    OPAQUE: "Unexpected char in url server",
    SCHEME: "Unexpected char in url schema",
    SLASH_1: "Unexpected char in url schema",
    SLASH_2: "Unexpected char in url schema",
    HOST: "Unexpected char in url server",
    HOST_MORE: "Unexpected char in url server",
    PATH: "Invalid char in url path",
    QUERY: "Invalid char in url query",
}

Run: TypeAlias = Callable[[Buffer, int, int], "re.Match[bytes] | None"]


def end_of_run(run: Run, buf: Buffer, index: int, stop: int) -> int:
    """Where the run of permitted bytes that begins at `index` ends."""
    match = run(buf, index, stop)
    return match.end() if match is not None else index


def unfold(section: bytes) -> bytes:
    """`section` with one space for each fold (RFC 9112 section 5.2, SEC-15; WIR-58 keeps the indentation)."""
    return _fold(b" ", section)


class HeadGrammar:
    """One head, or one trailer section, in the course of being read.

    Attributes:
        at: bytes of the unit proved so far; its length once `feed` returned True.
        bent: something was taken that could make two readers disagree; only a LenientGrammar does.
        method: of a request, once known.
        target: of a request, as received (MSG-4).
        minor: digit after ``HTTP/1.``.
        status: of a response.
        reason: of a response.
        noted: the fields that :func:`._framing.frame` wants to see.
    """

    __slots__ = (
        "_count", "_fields_at", "_folded", "_is_request", "_last_noted", "_lenient", "_limit", "_mark", "_max_count",
        "_name", "_noted_names", "_state", "_trailers", "at", "method", "minor", "noted", "reason", "status", "target",
    )  # fmt: skip

    bent: bool = False

    def __init__(self, role: str, limit: int, max_count: int, *, lenient: bool = False, trailers: bool = False) -> None:
        self._is_request = role == REQUEST
        self._limit = limit
        self._max_count = max_count if max_count > 0 else limit
        self._lenient = lenient
        self._trailers = trailers
        self._noted_names = NOTED_IN_REQUESTS if self._is_request else NOTED_IN_RESPONSES
        if trailers:
            self._noted_names = REFUSED_IN_TRAILERS
        self._state = FIELD if trailers else START
        self._mark = 0  # offset where the element being read began: method, target, name, value
        self._name = b""  # lower-case name of the field whose value is being read, if it is noted
        self._last_noted = False
        self._count = 0
        self._fields_at = 0
        self._folded = False
        self.at = 0
        self.method = ""
        self.target = ""
        self.minor = 0
        self.status = 0
        self.reason = ""
        self.noted: list[Noted] = []

    @property
    def in_message(self) -> bool:
        """Has more been read than empty lines before the start line?"""
        return self._state > START_LF

    def feed(self, buf: Buffer, start: int) -> bool:
        """Read on.

        Args:
            buf: holds the unit from its first byte on, and perhaps more.
            start: index in `buf` of the unit's first byte.

        Returns:
            True when the unit is complete, False when it needs more input.

        Raises:
            ParseError: with ``bytes_parsed`` counted from the start of the unit.
        """
        available = len(buf) - start
        end = available if available < self._limit else self._limit
        if self._state < FIELD:
            self._read_start_line(buf, start, end)
        if self._state >= FIELD:
            self._read_fields(buf, start, end)
        if self._state == DONE:
            return True
        if available > self._limit:
            # RFC 9112 section 3 has a status of its own for a target that is too long; Node answers 431 there, too.
            hint = 414 if self._is_request and TARGET <= self._state <= QUERY else 431
            raise ParseError("HPE_HEADER_OVERFLOW", "Header overflow", bytes_parsed=self._limit, status_hint=hint)
        return False

    def fields(self, buf: Buffer, start: int) -> bytes:
        """Return the complete section, folded lines unfolded, without the final empty line."""
        section = bytes(buf[start + self._fields_at : start + self.at - 2])
        return unfold(section) if self._folded else section

    # -- start line ------------------------------------------------------------------------------------------------

    def _read_start_line(self, buf: Buffer, start: int, end: int) -> None:
        state, at = self._state, self.at
        try:
            while at < end and state < FIELD:
                byte = buf[start + at]
                if state == START:
                    # Empty lines before a start line are skipped (WIR-41, WIR-77), but count as part of the head.
                    if byte == _CR:
                        state = START_LF
                        at += 1
                        continue
                    plain = self._whole_start_line(buf, start + at, start + end)
                    if plain:
                        at = plain - start
                        state = FIELD
                        self._fields_at = at
                        continue
                    self._mark = at
                    state = METHOD if self._is_request else HTTP
                    continue
                if state == START_LF:
                    if byte != _LF:
                        raise ParseError("HPE_LF_EXPECTED", "Missing expected LF after CR", bytes_parsed=at)
                    state = START
                elif state == METHOD:
                    state = self._method_byte(bytes(buf[start + self._mark : start + at + 1]), at)
                elif state <= QUERY:
                    state, at = self._target_bytes(state, buf, start, at, end)
                    continue
                else:
                    state, at = self._version_or_status(state, byte, buf, start, at, end)
                at += 1
        finally:
            self._state, self.at = state, at  # on an error, too: a LenientGrammar may go on

    def _whole_start_line(self, buf: Buffer, index: int, stop: int) -> int:
        """Take a plainly valid start line at once; 0 when it is not one."""
        if self._is_request:
            match = _REQUEST_LINE(buf, index, stop)
            if match is None:
                return 0
            method, target, minor = match.groups()
            if method not in PLAIN_METHODS:
                return 0
            self.method = PLAIN_METHODS[method]
            self.target = target.decode("latin-1")
            self.minor = minor[0] - _ZERO
        else:
            match = _STATUS_LINE(buf, index, stop)
            if match is None:
                return 0
            minor, status, reason = match.groups()
            self.minor = minor[0] - _ZERO
            self.status = int(status)
            self.reason = (reason or b"").decode("latin-1")
        return match.end()

    def _method_byte(self, word: bytes, at: int) -> int:
        """Judge the method's latest byte, the last of `word` (MOD-2)."""
        if word in _METHOD_PREFIXES:
            return METHOD
        method = _METHOD_NAMES.get(word[:-1])
        if method is None:
            raise ParseError("HPE_INVALID_METHOD", "Invalid method encountered", bytes_parsed=at)
        if word[-1] != _SP:
            raise ParseError("HPE_INVALID_METHOD", "Expected space after method", bytes_parsed=at)
        self.method = method
        self._mark = at + 1
        return TARGET

    def _target_bytes(self, state: int, buf: Buffer, start: int, at: int, end: int) -> tuple[int, int]:
        """Read target bytes: one, or a run and the byte that ended it."""
        run = _TARGET_RUNS.get(state)
        if run is not None:
            at = end_of_run(run, buf, start + at, start + end) - start
            if at == end:
                return state, at
        byte = buf[start + at]
        following = self._after_target_byte(state, byte)
        if following:
            if state == HOST_MORE or state == OPAQUE:
                self._check_authority(state, bytes(buf[start + self._mark : start + at]))
            if following == HTTP:
                self.target = bytes(buf[start + self._mark : start + at]).decode("latin-1")
                self._mark = at + 1
            return following, at + 1
        if byte == _HASH and state in (PATH, QUERY):
            raise ParseError("HPE_INVALID_URL", "Unexpected fragment in url", bytes_parsed=at)
        if byte in (_CR, _LF) and state in (STAR, OPAQUE, PATH, QUERY, HOST_MORE):
            # HTTP/0.9: Node dispatches it (WIR-47), we do not speak it.
            raise ParseError("HPE_INVALID_VERSION", "Missing HTTP version", bytes_parsed=at)
        reason = _TARGET_REASONS[state]
        if state == SCHEME and byte in (_SP, _CR, _LF):
            raise ParseError("HPE_INVALID_URL", "Invalid characters in url", bytes_parsed=at + 1)
        raise ParseError("HPE_INVALID_URL", reason, bytes_parsed=at)

    def _check_authority(self, state: int, target: bytes) -> None:
        """`target` has been read up to the end of its authority: is that one?"""
        if state == OPAQUE:
            # RFC 9110 section 9.3.6: one without a valid port must be rejected (SRV-74 takes any).
            at, right = 0, is_tunnel_target(target)
        else:
            at = target.index(b"//") + 2
            right = is_host(target[at:], empty=False)
        if not right:
            raise ParseError("HPE_INVALID_URL", "Invalid authority in url", bytes_parsed=self._mark + at)

    def _after_target_byte(self, state: int, byte: int) -> int:
        """Return the state that `byte` leads to, 0 when it may not stand there (RFC 9112 section 3.2)."""
        if state == TARGET:
            if self.method == "CONNECT":
                return OPAQUE if 0x21 <= byte <= 0x7E else 0
            if byte == _SLASH:
                return PATH
            if byte == _STAR:
                return STAR if self.method == "OPTIONS" else 0
            return SCHEME if bytes((byte,)).isalpha() else 0
        if state == SCHEME:
            return SLASH_1 if byte == _COLON else 0
        if state in (SLASH_1, SLASH_2):
            return state + 1 if byte == _SLASH else 0
        if state == HOST:
            # An authority must not be empty (RFC 9110 section 4.2.1).
            return HOST_MORE if byte not in b"/?" and end_of_run(_TARGET_RUNS[HOST_MORE], bytes((byte,)), 0, 1) else 0
        if byte == _SP:
            return HTTP
        if state == HOST_MORE and byte == _SLASH:
            return PATH
        return QUERY if byte == _QUERY and state in (HOST_MORE, PATH) else 0

    def _version_or_status(self, state: int, byte: int, buf: Buffer, start: int, at: int, end: int) -> tuple[int, int]:
        """Read one byte of the rest of a start line (a run, in a reason phrase); return state and its offset."""
        if state == HTTP:
            progress = at - self._mark
            if byte != b"HTTP/"[progress]:
                raise ParseError("HPE_INVALID_CONSTANT", "Expected HTTP/", bytes_parsed=at)
            return (MAJOR if progress == 4 else HTTP), at
        if state == MAJOR:
            if byte not in _DIGITS:
                raise ParseError("HPE_INVALID_VERSION", "Invalid major version", bytes_parsed=at)
            if byte != _ZERO + 1:
                raise ParseError("HPE_INVALID_VERSION", "Invalid HTTP version", bytes_parsed=at, status_hint=505)
            return DOT, at
        if state == DOT:
            if byte != _DOT_:
                raise ParseError("HPE_INVALID_VERSION", "Expected dot", bytes_parsed=at)
            return MINOR, at
        if state == MINOR:
            if byte not in _DIGITS:
                raise ParseError("HPE_INVALID_VERSION", "Invalid minor version", bytes_parsed=at)
            self.minor = byte - _ZERO
            if self._is_request and self.minor > 1:
                raise ParseError("HPE_INVALID_VERSION", "Invalid HTTP version", bytes_parsed=at, status_hint=505)
            return VERSION_END, at
        if state == VERSION_END:
            if self._is_request:
                if byte == _CR:
                    return LINE_LF, at
                raise ParseError("HPE_INVALID_VERSION", "Expected CRLF after version", bytes_parsed=at)
            if byte != _SP:
                raise ParseError("HPE_INVALID_VERSION", "Expected space after version", bytes_parsed=at)
            self._mark = at + 1
            return STATUS, at
        if state == STATUS:
            # Three digits, the first not 0 (WIR-78 takes one to three; RFC 9110 section 15).
            if byte not in _DIGITS or (byte == _ZERO and at == self._mark):
                raise ParseError("HPE_INVALID_STATUS", "Invalid response status", bytes_parsed=at)
            self.status = self.status * 10 + byte - _ZERO
            return (STATUS_END if at - self._mark == 2 else STATUS), at
        if state == STATUS_END:
            if byte == _SP:
                self._mark = at + 1
                return REASON, at
            if byte == _CR:
                return LINE_LF, at
            if byte in _DIGITS:
                raise ParseError("HPE_INVALID_STATUS", "Response overflow", bytes_parsed=at + 1)
            raise ParseError("HPE_INVALID_STATUS", "Invalid response status", bytes_parsed=at)
        if state == REASON:
            run = _line_run if self._lenient else _value_run
            stop = end_of_run(run, buf, start + at, start + end) - start
            if stop > at:
                return REASON, stop - 1
            if byte == _LF:
                raise ParseError("HPE_CR_EXPECTED", "Missing expected CR after response line", bytes_parsed=at)
            if byte != _CR:
                raise ParseError("HPE_INVALID_STATUS", "Invalid character in reason", bytes_parsed=at)
            self.reason = bytes(buf[start + self._mark : start + at]).decode("latin-1")
            return LINE_LF, at
        # LINE_LF
        if byte != _LF:
            if self._is_request:
                raise ParseError("HPE_INVALID_VERSION", "Expected CRLF after version", bytes_parsed=at)
            raise ParseError("HPE_LF_EXPECTED", "Missing expected LF after response line", bytes_parsed=at)
        self._fields_at = at + 1
        return FIELD, at

    # -- fields ----------------------------------------------------------------------------------------------------

    def _read_fields(self, buf: Buffer, start: int, end: int) -> None:
        state, at = self._state, self.at
        value_run = _line_run if self._lenient else _value_run
        try:
            while at < end:
                byte = buf[start + at]
                if state == FIELD:
                    if byte == _CR:
                        state = END_LF
                    elif byte == _SP or byte == _HTAB:
                        self._check_fold(at)
                        self._folded = True
                        self._name = b""
                        state = VALUE
                    else:
                        at = self._whole_lines(buf, start, at, end)
                        if at == end:
                            break
                        byte = buf[start + at]
                        if byte == _CR or byte == _SP or byte == _HTAB:
                            continue
                        if end_of_run(_name_run, buf, start + at, start + at + 1) == start + at:
                            raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header token", bytes_parsed=at)
                        self._check_count(at)
                        self._mark = at
                        state = NAME
                elif state == NAME:
                    at = end_of_run(_name_run, buf, start + at, start + end) - start
                    if at == end:
                        break
                    if buf[start + at] != _COLON:
                        raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header token", bytes_parsed=at)
                    self._end_name(bytes(buf[start + self._mark : start + at]).lower(), at)
                    state = VALUE
                elif state == VALUE:
                    at = end_of_run(value_run, buf, start + at, start + end) - start
                    if at == end:
                        break
                    byte = buf[start + at]
                    if byte == _LF:
                        raise ParseError("HPE_CR_EXPECTED", "Missing expected CR after header value", bytes_parsed=at)
                    if byte != _CR:
                        raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", bytes_parsed=at)
                    self._end_value(buf, start, at)
                    state = VALUE_LF
                elif state == VALUE_LF:
                    if byte != _LF:
                        raise ParseError("HPE_LF_EXPECTED", "Missing expected LF after header value", bytes_parsed=at)
                    state = FIELD
                else:  # END_LF
                    if byte != _LF:
                        raise ParseError("HPE_LF_EXPECTED", "Missing expected LF after headers", bytes_parsed=at)
                    state = DONE
                    end = at + 1
                at += 1
        finally:
            self._state, self.at = state, at

    def _whole_lines(self, buf: Buffer, start: int, at: int, end: int) -> int:
        """Take the plainly valid field lines at offset `at`; return the offset after them."""
        match_line = _FIELD_LINE_LENIENT if self._lenient else _FIELD_LINE
        noted_names = self._noted_names
        stop = start + end
        match = match_line(buf, start + at, stop)
        while match is not None:
            self._check_count(at)
            name, value = match.groups()
            name = name.lower()
            self._last_noted = name in noted_names
            if self._last_noted:
                self._noted_name(name, at)
                self.noted.append((name, value, at, at + len(name) + 1))
            index = match.end()
            at = index - start
            match = match_line(buf, index, stop)
        return at

    def _end_name(self, name: bytes, at: int) -> None:
        """The field `name`, in lower case, has its colon at `at`."""
        self._name = self._noted_name(name, self._mark)
        self._last_noted = bool(self._name)
        if self._name:
            self.noted.append((name, b"", self._mark, at + 1))

    def _end_value(self, buf: Buffer, start: int, at: int) -> None:
        """The value that is being read ends at `at`."""
        if self._name:
            name, _, name_at, value_at = self.noted[-1]
            self.noted[-1] = (name, bytes(buf[start + value_at : start + at]), name_at, value_at)

    def _noted_name(self, name: bytes, at: int) -> bytes:
        """Return `name` if its value is wanted, else ``b""``."""
        if name not in self._noted_names:
            return b""
        if self._trailers:
            raise ParseError("HPE_INVALID_HEADER_TOKEN", "Forbidden trailer field", bytes_parsed=at)
        return name

    def _check_count(self, at: int) -> None:
        """Count the field that begins at `at`."""
        if self._count >= self._max_count:
            raise ParseError("HPE_HEADER_OVERFLOW", "Too many header fields", bytes_parsed=at, status_hint=431)
        self._count += 1

    def _check_fold(self, at: int) -> None:
        """May the line that begins with white space at `at` continue the one before it?"""
        if not self._count:
            # RFC 9112 section 2.2: white space between start line and first field.
            raise ParseError("HPE_INVALID_HEADER_TOKEN", "Invalid header token", bytes_parsed=at)
        if self._is_request or self._last_noted:
            # SEC-15: never in requests, never where framing hangs on it.
            raise ParseError("HPE_INVALID_HEADER_TOKEN", "Unexpected whitespace after header value", bytes_parsed=at)
