"""The incremental parser of both roles: bytes in, heads and body pieces out, on demand.

`receive_data` and `receive_eof` only take in. `next_request`, `next_response`
and `next_body` read as much as one answer needs and no more, so a connection
that is not asked does not work, and errors come after everything that parsed
before them.

**Buffer.** While nothing is left over, the parser holds the very bytes object it
was given; a body piece that is the whole object is handed on uncopied. Only
when more arrives behind an unfinished element do the leftovers move into a
bytearray, which grows at its end and loses its front, both in amortised
constant time. Nothing is searched or proved twice: the grammars keep their
place, so one-byte pieces, 10**6 chunks or a 16 KiB field cost linear time.

**Modes.** The parser is always inside exactly one element::

    HEAD -> BEGUN                          a head of which the grammar has seen a part
    HEAD, BEGUN -> HEAD                    no body
                 > SIZED                   Content-Length
                 > CHUNK_LINE              chunked
                 > UNTIL_END               until the peer ends the connection
    CHUNK_LINE -> CHUNK_DATA -> CHUNK_END -> CHUNK_LINE ... -> TRAILERS
    SIZED -> FINISHED; TRAILERS, UNTIL_END, FINISHED -> HEAD, with next_body's b""
    any -> DEAD                            an error; the same one for ever (WIR-107)
    any -> TAKEN                           take_rest

**Errors.** A :class:`ParseError` is raised by the `next_*` that meets it.
``raw_packet`` is the *unit* under the parser: the message head with the empty
lines before it, the chunk line, the two bytes after chunk data, or the trailer
section, from its first byte on, as far as received but not beyond its end
where that can be recognised, so that it holds nothing of a following message
(SEC-45). ``bytes_parsed`` is the index of the offending byte in it. Code,
reason and ``bytes_parsed`` depend on the content only, never on how it was
split (SEC-29); ``raw_packet`` may be shorter if less had arrived. For the
first message of a connection sent in one packet this is what Node reports
(WIR-106).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from ._chunked import ChunkLine
from ._errors import AnywireError, ArgumentValueError, ParseError, StateError
from ._fasthead import REQUEST_HEAD, RESPONSE_HEAD
from ._framing import (
    CHUNKED,
    CHUNKED_OK,
    KEEP_ALIVE,
    NO_BODY,
    REQUEST,
    UNTIL_CLOSE,
    frame,
)
from ._grammar import PLAIN_METHODS, Buffer, HeadGrammar
from ._leniency import BARE_LF, NOTHING, bits_of
from ._lenient_grammar import LenientGrammar
from ._limits import Limits

__all__ = ["Head", "Parser", "RequestHead", "ResponseHead"]

RequestHead: TypeAlias = tuple[str, str, int, bytes, int, int]
"""``(method, target, minor, fields, length, flags)``"""
ResponseHead: TypeAlias = tuple[int, str, int, bytes, int, int]
"""``(status, reason, minor, fields, length, flags)``"""
Head: TypeAlias = RequestHead | ResponseHead

HEAD, BEGUN, SIZED, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILERS, UNTIL_END, FINISHED, DEAD, TAKEN = range(11)

_CR, _LF = 0x0D, 0x0A
_PERSISTENT: Final = KEEP_ALIVE | CHUNKED_OK
_plain_chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15}+)\r\n").match
_empty_lines = re.compile(rb"[\r\n]*+").match
_bare_end = re.compile(rb"\n\r?+\n").search


class Parser:
    """Reads the messages of one direction of one connection, one after the other.

    Args:
        role: what is being read: `REQUEST` (by a server) or `RESPONSE` (by a client).
        limits: read once.
        lenient: `insecure_http_parser`, exactly WIR-59.
        require_host: refuse HTTP/1.1 requests without Host (MOD-L4).
        tolerate: names of `LENIENCIES`, for responses only (ASK-36).

    Raises:
        ArgumentValueError: a leniency for requests.

    Attributes:
        raw_trailers: the trailer section of the message that `next_body` completed last, in the form
            of the head's ``fields``; ``b""`` if it had none.
    """

    __slots__ = (
        "_buf", "_eof", "_error", "_extension_left", "_fast_span", "_grammar", "_left", "_lenient", "_limits",
        "_line", "_mode", "_pos", "_require_host", "_role", "_tolerate", "_truncated", "raw_trailers",
    )  # fmt: skip

    def __init__(
        self,
        role: str,
        limits: Limits,
        *,
        lenient: bool = False,
        require_host: bool = True,
        tolerate: frozenset[str] = NOTHING,
    ) -> None:
        if tolerate and role == REQUEST:
            raise ArgumentValueError("Leniencies are for responses: a server is strict")
        self._role = role
        self._limits = limits
        self._lenient = lenient
        self._require_host = require_host
        self._tolerate = bits_of(tolerate) if tolerate else 0
        self._buf: Buffer = b""
        self._pos = 0  # what lies before it is consumed
        self._eof = self._truncated = False
        self._mode = HEAD
        self._left = 0  # bytes still to come of a SIZED body or of CHUNK_DATA
        self._extension_left = 0
        self._grammar: HeadGrammar | None = None  # of a head or trailer section under way
        self._line: ChunkLine | None = None  # of a chunk line under way
        self._error: ParseError | None = None
        self.raw_trailers = b""
        # A field takes at least four bytes ("a:" CR LF), so a head this short cannot break either limit and
        # the shortcut need not count. endpos makes it blind for what lies behind.
        count = limits.max_headers_count
        self._fast_span = min(limits.max_header_size, 4 * count) if count > 0 else limits.max_header_size

    # -- input -----------------------------------------------------------------------------------------------------

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Take in bytes from the peer. Never parses, never raises for what they are.

        After an error they are dropped.
        """
        if type(data) is not bytes:
            data = bytes(data)  # the caller may go on to change it
        buf = self._buf
        if self._pos == len(buf):
            if self._mode == DEAD:
                return
            self._buf = data
            self._pos = 0
        elif type(buf) is bytearray:
            if self._pos:
                del buf[: self._pos]
                self._pos = 0
            buf += data
        elif data:
            grown = bytearray(memoryview(buf)[self._pos :])
            grown += data
            self._buf = grown
            self._pos = 0

    def receive_eof(self, *, truncated: bool = False) -> None:
        """Take note that nothing will follow; if `truncated`, nobody vouches that this was all."""
        self._eof = True
        self._truncated = truncated

    # -- what there is ---------------------------------------------------------------------------------------------

    @property
    def buffered(self) -> int:
        """Bytes taken in and not yet consumed."""
        return len(self._buf) - self._pos

    @property
    def started(self) -> bool:
        """Have bytes of a message head arrived that is not complete? Empty lines before it do not count (SRV-62)."""
        if self._mode > BEGUN:
            return False
        index = self._pos
        if self._grammar is not None:
            if self._grammar.in_message:
                return True
            index += self._grammar.at
        match = _empty_lines(self._buf, index)
        return match is not None and match.end() < len(self._buf)

    @property
    def at_eof(self) -> bool:
        """Has the peer ended the connection between two messages (SRV-29)? Empty lines may be left over."""
        return self._eof and self._mode <= BEGUN and not self.started

    def take_rest(self) -> bytes:
        """Stop parsing and hand over everything buffered, for an upgrade or CONNECT (SRV-69, CLI-42).

        May be called again for what `receive_data` took in since.
        """
        rest = bytes(self._buf) if not self._pos else bytes(memoryview(self._buf)[self._pos :])
        self._buf = b""
        self._pos = 0
        self._grammar = None
        self._line = None
        self._mode = TAKEN
        return rest

    # -- heads -----------------------------------------------------------------------------------------------------

    def next_head(self, request_method: str | None = None) -> Head | None:
        """`next_request` or `next_response`, by role."""
        return self.next_request() if self._role == REQUEST else self.next_response(request_method)

    def next_request(self) -> RequestHead | None:
        """Return the next complete request head, or None: more input is needed, or `at_eof` is True.

        Raises:
            ParseError: the input is not acceptable; at the end of input inside a head ``HPE_INVALID_EOF_STATE``.
            StateError: the body of the message before was not read to its end, or `take_rest` was called.
        """
        if self._mode == HEAD:
            buf = self._buf
            match = REQUEST_HEAD(buf, self._pos, self._pos + self._fast_span)
            if match is not None:
                word, target, fields, close, digits, chunked, closed = match.groups()
                method = PLAIN_METHODS.get(word)
                if method is not None:
                    end = match.end()
                    if end == len(buf):
                        self._buf = b""
                        self._pos = 0
                    else:
                        self._pos = end
                    flags = CHUNKED_OK if close or closed else _PERSISTENT
                    length = 0
                    if digits is not None:
                        length = self._left = int(digits)
                        if length:
                            self._mode = SIZED
                    elif chunked is not None:
                        length = CHUNKED
                        self._begin_chunked()
                    return method, target.decode(), 1, fields, length, flags  # the pattern lets ASCII through only
        grammar = self._read_head()
        if grammar is None:
            return None
        fields, length, flags = self._finish_head(grammar, grammar.method)
        return grammar.method, grammar.target, grammar.minor, fields, length, flags

    def next_response(self, request_method: str | None = None) -> ResponseHead | None:
        """Return the next complete response head, interim ones included, or None as `next_request`.

        Args:
            request_method: method of the request it answers; matters for HEAD (WIR-83) and CONNECT (CLI-46).

        Raises:
            ParseError: as `next_request`. The connection turns ``HPE_INVALID_EOF_STATE`` into
                ``socket hang up`` (WIR-90).
            StateError: as `next_request`.
        """
        if self._mode == HEAD and request_method != "HEAD" and request_method != "CONNECT":
            buf = self._buf
            match = RESPONSE_HEAD(buf, self._pos, self._pos + self._fast_span)
            if match is not None:
                code, phrase, fields, close, digits, chunked, closed = match.groups()
                end = match.end()
                if end == len(buf):
                    self._buf = b""
                    self._pos = 0
                else:
                    self._pos = end
                status = int(code)
                flags = CHUNKED_OK if close or closed else _PERSISTENT
                if status == 204 or status == 304:
                    return status, phrase.decode("latin-1"), 1, fields, 0, flags | NO_BODY
                if digits is not None:
                    length = self._left = int(digits)
                    if length:
                        self._mode = SIZED
                elif chunked is not None:
                    length = CHUNKED
                    self._begin_chunked()
                else:
                    length = UNTIL_CLOSE
                    flags = CHUNKED_OK
                    self._mode = UNTIL_END
                return status, phrase.decode("latin-1"), 1, fields, length, flags
        grammar = self._read_head()
        if grammar is None:
            return None
        fields, length, flags = self._finish_head(grammar, request_method)
        return grammar.status, grammar.reason, grammar.minor, fields, length, flags

    def _read_head(self) -> HeadGrammar | None:
        """Let the grammar read on; return it when the head is complete."""
        if self._mode > BEGUN:
            raise self._not_now()
        grammar = self._grammar
        if grammar is None:
            if self._pos == len(self._buf):
                return None
            self._mode = BEGUN
            limits = self._limits
            size, count, lenient = limits.max_header_size, limits.max_headers_count, self._lenient
            if self._tolerate:
                grammar = LenientGrammar(size, count, self._tolerate, lenient=lenient)
            else:
                grammar = HeadGrammar(self._role, size, count, lenient=lenient)
            self._grammar = grammar
        try:
            if grammar.feed(self._buf, self._pos):
                return grammar
        except ParseError as error:
            raise self._die(error, b"\r\n\r\n") from None
        if self._eof and self.started:
            raise self._die_at_eof("head")
        return None

    def _finish_head(self, grammar: HeadGrammar, request_method: str | None) -> tuple[bytes, int, int]:
        """Judge and consume the head that `grammar` proved complete; choose the mode of its body."""
        try:
            length, flags = frame(
                self._role,
                grammar.minor,
                grammar.noted,
                grammar.at - 1,
                status=grammar.status,
                request_method=request_method,
                lenient=self._lenient,
                require_host=self._require_host,
                tolerate=self._tolerate,
            )
        except ParseError as error:
            raise self._die(error, b"\r\n\r\n") from None
        if grammar.bent:
            self._fast_span = -1  # no short cut from here on: nothing behind this head is trusted to persist
        if self._fast_span < 0:
            flags &= ~KEEP_ALIVE
        fields = grammar.fields(self._buf, self._pos)
        self._grammar = None
        self._consume(grammar.at)
        self._mode = HEAD
        if length > 0:
            self._left = length
            self._mode = SIZED
        elif length == CHUNKED:
            self._begin_chunked()
        elif length == UNTIL_CLOSE:
            self._mode = UNTIL_END
        return fields, length, flags

    # -- bodies ----------------------------------------------------------------------------------------------------

    def next_body(self) -> bytes | None:
        """Return the next piece of the body.

        Returns:
            1. A non-empty piece: of a chunked body at least one per chunk, never parts of two (MSG-24).
            2. ``b""``: the message is complete, and `raw_trailers` is its trailer section.
            3. None: more input is needed.

        Raises:
            ParseError: as `next_request`, with the phase ``body`` or ``trailers``.
            StateError: no message body is being read.
        """
        mode = self._mode
        if mode == CHUNK_LINE:
            buf = self._buf
            # A chunk that is there as a whole, the line without extensions: by far the most frequent.
            if self._line is None:
                match = _plain_chunk_line(buf, self._pos)
                if match is not None:
                    data_at = match.end()
                    size = int(match[1], 16)
                    end = data_at + size
                    if size and buf[end : end + 2] == b"\r\n":
                        self._pos = end + 2
                        if end + 2 == len(buf):
                            self._buf = b""
                            self._pos = 0
                        return buf[data_at:end] if type(buf) is bytes else bytes(memoryview(buf)[data_at:end])
                    self._begin_chunk(data_at - self._pos, size)
            if self._mode == CHUNK_LINE and not self._read_chunk_line():
                return None
            mode = self._mode
        if mode == SIZED or mode == CHUNK_DATA:
            return self._sized_piece(mode)
        if mode == FINISHED:
            self._mode = HEAD
            return b""
        if mode == TRAILERS:
            return self._read_trailers()
        if mode == CHUNK_END:
            return self.next_body() if self._read_chunk_end() else None
        if mode == UNTIL_END:
            if self._pos < len(self._buf):
                return self._take(len(self._buf) - self._pos)
            if not self._eof:
                return None
            if self._truncated:
                raise self._die_at_eof("body")
            self.raw_trailers = b""
            self._mode = HEAD
            return b""
        raise self._not_now()

    def _sized_piece(self, mode: int) -> bytes | None:
        """What is there of a body or chunk of known size."""
        there = len(self._buf) - self._pos
        if not there:
            if self._eof:
                raise self._die_at_eof("body")
            return None
        left = self._left
        if there >= left:
            there = left
            if mode == SIZED:
                self.raw_trailers = b""
                self._mode = FINISHED
            else:
                self._mode = CHUNK_END
        self._left = left - there
        return self._take(there)

    def _begin_chunked(self) -> None:
        self._mode = CHUNK_LINE
        self._extension_left = self._limits.max_chunk_extension_size

    def _read_chunk_line(self) -> bool:
        """Read a chunk line, perhaps in pieces; False when more input is needed."""
        line = self._line
        if line is None:
            line = self._line = ChunkLine(self._extension_left)
        try:
            complete = line.feed(self._buf, self._pos)
        except ParseError as error:
            raise self._die(error, b"\n") from None
        if not complete:
            if self._eof:
                raise self._die_at_eof("body")
            return False
        self._line = None
        self._extension_left = line.extension_left
        self._begin_chunk(line.at, line.size)
        return True

    def _begin_chunk(self, line_length: int, size: int) -> None:
        self._consume(line_length)
        self._left = size
        self._mode = CHUNK_DATA if size else TRAILERS

    def _read_chunk_end(self) -> bool:
        """Read the CRLF after chunk data; both bytes are checked (SEC-8)."""
        buf, pos = self._buf, self._pos
        there = len(buf) - pos
        # The unit stays in the buffer until both are there, so that an error can show it.
        if there and buf[pos] != _CR:
            wrong = 0
        elif there > 1 and buf[pos + 1] != _LF:
            wrong = 1
        elif there > 1:
            self._consume(2)
            self._mode = CHUNK_LINE
            return True
        elif self._eof:
            raise self._die_at_eof("body")
        else:
            return False
        error = ParseError("HPE_INVALID_CHUNK_SIZE", "Expected CRLF after chunk data", bytes_parsed=wrong, phase="body")
        raise self._die(error, bytes(buf[pos + wrong : pos + wrong + 1]))  # what follows is content, and no part of it

    def _read_trailers(self) -> bytes | None:
        """Read the trailer section; it ends the message."""
        grammar = self._grammar
        if grammar is None:
            if self._buf.startswith(b"\r\n", self._pos):
                self._consume(2)
                self.raw_trailers = b""
                self._mode = HEAD
                return b""
            limits = self._limits
            grammar = self._grammar = HeadGrammar(
                self._role, limits.max_trailer_size, limits.max_headers_count, lenient=self._lenient, trailers=True
            )
        try:
            complete = grammar.feed(self._buf, self._pos)
        except ParseError as error:
            error.phase = "trailers"
            raise self._die(error, b"\r\n\r\n") from None
        if not complete:
            if self._eof:
                raise self._die_at_eof("trailers")
            return None
        self.raw_trailers = grammar.fields(self._buf, self._pos)
        self._grammar = None
        self._consume(grammar.at)
        self._mode = HEAD
        return b""

    # -- buffer and death ------------------------------------------------------------------------------------------

    def _take(self, count: int) -> bytes:
        """Consume and return `count` bytes; the whole object is handed over as it is."""
        buf, pos = self._buf, self._pos
        end = pos + count
        if end == len(buf):
            self._buf = b""
            self._pos = 0
            if not pos and type(buf) is bytes:
                return buf
        else:
            self._pos = end
        return bytes(memoryview(buf)[pos:end])

    def _consume(self, count: int) -> None:
        self._pos += count
        if self._pos == len(self._buf):
            self._buf = b""  # let the object go: an idle connection holds none
            self._pos = 0

    def _die(self, error: ParseError, terminator: bytes) -> ParseError:
        """Enter the error state; return the completed error to raise."""
        buf, pos = self._buf, self._pos
        end = buf.find(terminator, pos + error.bytes_parsed)
        end = len(buf) if end < 0 else end + len(terminator)
        if self._tolerate & BARE_LF and (bare := _bare_end(buf, pos + error.bytes_parsed, end)) is not None:
            end = bare.end()
        error.raw_packet = bytes(memoryview(buf)[pos:end])
        # The message is Node's and short; a traceback tells the rest (ASK-35).
        field = "" if error.field is None else f", in the field {error.field}"
        error.add_note(f"{error.code} at byte {error.bytes_parsed} of the {error.phase}{field}: {error.excerpt}")
        return self._dead(error)

    def _die_at_eof(self, phase: str) -> ParseError:
        return self._dead(ParseError("HPE_INVALID_EOF_STATE", "Invalid EOF state", phase=phase))

    def _dead(self, error: ParseError) -> ParseError:
        self._error = error
        self._mode = DEAD
        self._grammar = None
        self._line = None
        self._buf = b""
        self._pos = 0
        return error

    def _not_now(self) -> AnywireError:
        if self._error is not None:
            return self._error
        return StateError("The parser was asked for something it is not at", code="ERR_INTERNAL_ASSERTION")
