"""What we send: heads, chunks, trailers (WIR-1 to WIR-40, RES-20 to RES-38, RES-60 to RES-62).

A head is rendered in one go from the start line, the caller's fields in their
order, and the automatic ones: ``Date``, ``Connection``, and ``Content-Length``
or ``Transfer-Encoding``, each only if the caller gave none (RES-30, RES-31). The
result says how the body must follow and whether the message is the last one on
its connection. Pure functions; nothing is remembered but rendered lines.

**Framing**, first rule that applies:

1. *No body* (HEAD, 1xx, 204, 304): nothing is added (WIR-1).
2. The caller's Content-Length or Transfer-Encoding (WIR-2, WIR-3).
3. Chunking is not the default. A response (to HTTP/1.0) runs until close
   (WIR-4, WIR-20). A request without body gets no field, one with a body is framed.
4. The length is known, there is no ``Trailer``, and Content-Length was not removed: Content-Length (WIR-5, WIR-7).
5. Transfer-Encoding was not removed: chunked (WIR-6).
6. Otherwise a response runs until close (RES-37); a request has no body.

**Safe where Node is not** (SEC-21 to SEC-23; the list of deviations has the reasons):

- Both framing fields, two of one, a length that is not plain digits, chunked not last: an error, before a byte.
- A request is always framed: a length for ``end(data)`` on GET, chunks for ``write()`` (WIR-4). Its own
  Transfer-Encoding must end in chunked. CONNECT has no body.
- 1xx and 204 carry no framing field (RFC 9110 section 8.6, RFC 9112 section 6.1; against WIR-1, WIR-18).
- A body that runs until close is always last and says so (WIR-3, WIR-35, RES-37).
- The caller's ``Connection: keep-alive`` does not overrule the peer (WIR-33): if the message is last all the
  same, ``Connection: close`` follows.
- The caller's ``Transfer-Encoding: chunked`` is not sent to a peer that cannot read it (WIR-3).
- A 1xx rendered as a final response is last: its peer still waits for a final one.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

from ._chars import check_field_name, check_field_value, check_target, field_text, has_bad_value, is_token, safe_text
from ._errors import ArgumentTypeError, ArgumentValueError, StateError
from ._field_lines import (
    BARE_CHUNKED,
    CHUNKED_CODING,
    CLOSE,
    CONNECTION,
    CONTENT_LENGTH,
    DATE,
    TRAILER,
    TRANSFER_ENCODING,
    add_field,
    collect,
    find_plain,
    find_special,
)
from ._header_store import (
    REMOVED_CONNECTION,
    REMOVED_DATE,
    REMOVED_LENGTH,
    REMOVED_TRANSFER_ENCODING,
    Fields,
    field_pairs,
)
from ._status import METHODS, STATUS_CODES

__all__ = [
    "CHUNKED",
    "CHUNK_END",
    "CONTINUE",
    "LAST_CHUNK",
    "NO_BODY",
    "PROCESSING",
    "RAW_UNTIL_CLOSE",
    "UNSENDABLE_TRAILERS",
    "RenderedHead",
    "canned_response",
    "check_status",
    "chunk",
    "chunk_header",
    "reason_phrase",
    "render_information",
    "render_last_chunk",
    "render_plain",
    "render_request",
    "render_response",
    "render_simple_request",
    "render_trailers",
    "status_line",
]

CHUNKED: Final = -1
"""Framing: every write is a chunk, the end is :func:`render_last_chunk`."""
RAW_UNTIL_CLOSE: Final = -2
"""Framing: bytes as they are; closing the connection ends the body (responses only)."""
NO_BODY: Final = -3
"""Framing: nothing may follow the head, what is written is ignored (WIR-1, RES-46; responses only)."""

RenderedHead: TypeAlias = tuple[bytes, int, bool]
"""``(head, framing, last)``.

head: the bytes, final blank line included.
framing: ``CHUNKED``, ``RAW_UNTIL_CLOSE``, ``NO_BODY``, or n >= 0: exactly n bytes must follow.
last: no further message may follow on this connection; close it when this one is out.
"""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING: Final = b"HTTP/1.1 102 Processing\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CHUNK_END: Final = b"\r\n"

_KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_END: Final = b"\r\n"
_CHUNKED_END: Final = b"Transfer-Encoding: chunked\r\n\r\n"
_KEEP_ALIVE_END: Final = _KEEP_ALIVE + _END
_KEEP_ALIVE_CHUNKED: Final = _KEEP_ALIVE + _CHUNKED_END
_FRAMING: Final = CONTENT_LENGTH | TRANSFER_ENCODING

# What a status means for the body.
_ORDINARY, _BODILESS, _UNFRAMED, _INTERIM = 0, 1, 2, 3  # 304: framing fields are sent; 204: not; 1xx: not, and last

StatusLine: TypeAlias = tuple[bytes, int, int, str]  # line, one of the above, status, reason
_status_lines: dict[object, StatusLine] = {}
_default_lines: dict[object, tuple[bytes, int]] = {}  # status -> the first two, when no reason is given
_length_tails: dict[int, bytes] = {}  # length -> the end of the most common heads
_MAX_LENGTH_TAILS: Final = 1024
_MAX_STATUS_LINES: Final = 256
_MAX_HOST: Final = 256  # characters; longer ones are rendered each time, for entries of the cache must be bounded, too
_MAX_REASON: Final = 64  # characters of a reason that is kept

_KNOWN_METHODS: Final = frozenset(METHODS)
_is_number = re.compile(r"\s*([0-9]{1,9})(?:\.[0-9]*)?\s*", re.ASCII).fullmatch

UNSENDABLE_TRAILERS: Final = frozenset(
    (
        "authorization cache-control connection content-encoding content-length content-range content-type expect "
        "host keep-alive max-forwards pragma proxy-authenticate proxy-authorization proxy-connection range te trailer "
        "transfer-encoding upgrade www-authenticate"
    ).split()
)
"""Lower-case names refused as trailers: framing, routing, per connection, needed before the body (RFC 9110 6.5.1)."""


def check_status(status: object) -> int:
    """Return the status code as an int (RES-20): ``"200"`` → 200, ``404.9`` → 404.

    Raises:
        ArgumentValueError: ``ERR_HTTP_INVALID_STATUS_CODE``: not a number, or outside 100..999.
    """
    code = 0
    if type(status) is int:
        code = status
    elif isinstance(status, float):
        code = int(status) if 100 <= status < 1000 else 0
    elif isinstance(status, str):
        number = _is_number(status)
        code = int(number[1]) if number else 0
    elif not isinstance(status, bool) and hasattr(status, "__index__"):
        code = operator.index(status)
    if not 100 <= code <= 999:
        raise ArgumentValueError(f"Invalid status code: {safe_text(status)}", code="ERR_HTTP_INVALID_STATUS_CODE")
    return code


def reason_phrase(status: int, explicit: str | None = None) -> str:
    """Return the reason to send: `explicit` (may be empty), else the table's, else ``unknown`` (RES-21, MOD-5).

    Raises:
        ArgumentTypeError: `explicit` is neither str nor None.
        ArgumentValueError: ``ERR_INVALID_CHAR`` (RES-22).
    """
    if explicit is None:
        return STATUS_CODES.get(status, "unknown")
    if not isinstance(explicit, str):
        raise ArgumentTypeError(
            f'The "status_message" argument must be of type str. Received {type(explicit).__name__}'
        )
    if has_bad_value(explicit):
        raise ArgumentValueError("Invalid character in statusMessage", code="ERR_INVALID_CHAR")
    return str.__str__(explicit)


def status_line(status: object, explicit: str | None = None) -> StatusLine:
    """Return (status line, what it means for the body, status as int, reason), cached (RES-18, RES-20 to RES-22).

    Raises:
        ArgumentTypeError: as :func:`reason_phrase`.
        ArgumentValueError: as :func:`check_status` and :func:`reason_phrase`.
    """
    try:
        # Equal keys of other types (200.0, HTTPStatus.OK) mean the same status, so they may share an entry.
        return _status_lines[status, explicit]
    except (KeyError, TypeError):
        pass
    code = check_status(status)
    reason = reason_phrase(code, explicit)
    meaning = _INTERIM if code < 200 else _UNFRAMED if code == 204 else _BODILESS if code == 304 else _ORDINARY
    made = (b"HTTP/1.1 %d %b\r\n" % (code, reason.encode("latin-1")), meaning, code, reason)
    if len(reason) <= _MAX_REASON:
        if len(_status_lines) >= _MAX_STATUS_LINES:
            _status_lines.clear()
            _default_lines.clear()
        if explicit is None:
            _default_lines[code] = made[:2]
            _status_lines[code, None] = made
        else:
            _status_lines[code, reason] = made
    return made


def render_plain(
    status: object, reason: str | None, fields: Iterable[object], known_length: int | None, date: bytes
) -> tuple[bytes, int] | None:
    """Render the head of nearly every response as :func:`render_response` would, with less to ask.

    It persists, its peer reads chunked and did not send HEAD, and nothing was removed or is to be added.

    Args:
        status: as there.
        reason: as there.
        fields: the caller's ``(name, value)`` pairs.
        known_length: as there.
        date: as there.

    Returns:
        ``(head, framing)``. None: a status without body, or a field that is new or decides something other than the
        length; ask :func:`render_response`.
    """
    try:
        line, meaning = _default_lines[status] if reason is None else status_line(status, reason)[:2]
        lines = [line]
        framing = -1
        for pair in fields:
            known = find_plain(pair)
            if known is None:
                known, kind, value = find_special(pair)  # type: ignore[misc]  # a TypeError is for render_response
                if kind != CONTENT_LENGTH or framing >= 0:
                    return None
                framing = value
            lines.append(known)
    except (KeyError, TypeError):
        return None
    if meaning:
        return None
    lines.append(date)
    if framing >= 0:
        lines.append(_KEEP_ALIVE_END)
    elif known_length is None:
        framing = CHUNKED
        lines.append(_KEEP_ALIVE_CHUNKED)
    else:
        framing = known_length
        lines.append(_length_tails.get(framing) or _length_tail(framing))
    return b"".join(lines), framing


def render_response(
    status: object,
    reason: str | None = None,
    fields: Fields = None,
    no_body: bool = False,
    known_length: int | None = None,
    chunked_ok: bool = True,
    keep_alive: bool = True,
    date: bytes = b"",
    removed: int = 0,
    continue_pending: bool = False,
    trailers: bool = False,
    hint: bytes = b"",
) -> RenderedHead:
    """Render the head of a final response.

    Args:
        status: the status code, in any form of :func:`check_status`.
        reason: the reason phrase, None for the table's.
        fields: the caller's fields, in any form of :func:`field_pairs`.
        no_body: the request was HEAD. (1xx, 204 and 304 are known here.)
        known_length: body length in bytes when ``end()`` renders the head, None when more may be
            written (WIR-5, WIR-6).
        chunked_ok: the peer reads chunked (WIR-31), and the message's ``use_chunked_encoding_by_default`` is on.
        keep_alive: the peer and we still want the connection to persist (WIR-29, WIR-30).
        date: the rendered ``Date`` line, or ``b""`` for none (RES-33).
        removed: ``HeaderStore.removed``.
        continue_pending: an ``Expect: 100-continue`` was not answered with 100 (WIR-36).
        trailers: trailers are waiting; so a length is not announced even if it is known.
        hint: a rendered ``Keep-Alive`` line to stand behind ``Connection: keep-alive`` (SRV-L5).

    Returns:
        ``(head, framing, last)``: see :data:`RenderedHead`.

    Raises:
        ArgumentTypeError: `reason` or `fields` of a wrong type.
        ArgumentValueError: status, reason, a name, a value, or contradictory framing (SEC-21, SEC-22).
        StateError: ``ERR_HTTP_TRAILER_INVALID``: a ``Trailer`` field on a message that is not chunked (RES-61).
    """
    try:
        line, meaning = _default_lines[status] if reason is None else status_line(status, reason)[:2]
    except (KeyError, TypeError):
        line, meaning = status_line(status, reason)[:2]
    lines = [line]
    seen = 0
    length = -1
    if fields:
        # 1xx and 204 have no framing fields; a peer that cannot read chunked is not told about it.
        drop = 0 if chunked_ok and meaning < _UNFRAMED else _FRAMING if meaning >= _UNFRAMED else BARE_CHUNKED
        append = lines.append
        for pair in fields.items() if type(fields) is dict else field_pairs(fields):
            try:
                known = find_plain(pair)
            except TypeError:
                known = None
            if known is None:  # new, or one that decides something
                seen, length = add_field(pair, lines, seen, length, drop)
            else:
                append(known)
        if seen & drop:
            seen &= ~(drop | TRANSFER_ENCODING | CHUNKED_CODING | BARE_CHUNKED)

    if continue_pending:
        keep_alive = False
    tail = _END
    if meaning or no_body:
        framing = NO_BODY
        if meaning == _INTERIM or (meaning and seen & TRANSFER_ENCODING):  # the latter is WIR-18
            keep_alive = False
    elif seen & CONTENT_LENGTH:
        framing = length
    elif seen & TRANSFER_ENCODING:
        framing = CHUNKED if seen & CHUNKED_CODING else RAW_UNTIL_CLOSE
    elif not chunked_ok:
        framing = RAW_UNTIL_CLOSE
    elif known_length is not None and not (trailers or seen & TRAILER or removed & REMOVED_LENGTH):
        framing = known_length
        tail = b"Content-Length: %d\r\n\r\n" % known_length
    elif removed & REMOVED_TRANSFER_ENCODING:
        framing = RAW_UNTIL_CLOSE
    else:
        framing = CHUNKED
        tail = _CHUNKED_END
    if seen & TRAILER and framing != CHUNKED:
        raise _trailer_error()
    if framing == RAW_UNTIL_CLOSE:
        keep_alive = False

    if date and not seen & DATE and not removed & REMOVED_DATE:
        lines.append(date)
    if not chunked_ok and not seen & CONTENT_LENGTH and (not seen & CONNECTION or seen & TRANSFER_ENCODING):
        keep_alive = False  # WIR-30
    last = not keep_alive
    if seen & CONNECTION:
        if seen & CLOSE:
            last = True
        elif last and b" 101 " not in line[:13]:
            # WIR-33 made safe. (101 hands the connection over; its Connection field is about that.)
            lines.append(_CLOSE)
    elif removed & REMOVED_CONNECTION:
        last = True
    else:
        if hint and any(each[:11].lower() == b"keep-alive:" for each in lines):
            hint = b""  # the application has its own
        lines.append(_KEEP_ALIVE + hint if keep_alive else _CLOSE)
    lines.append(tail)
    return b"".join(lines), framing, last


def render_request(
    method: str,
    target: str,
    fields: Fields = None,
    known_length: int | None = 0,
    chunked_by_default: bool = False,
    keep_alive: bool = False,
    has_agent: bool = True,
    removed: int = 0,
    date: bytes = b"",
    trailers: bool = False,
) -> RenderedHead:
    """Render the head of a request. Framing is never ``RAW_UNTIL_CLOSE`` or ``NO_BODY``: no body is 0.

    Args:
        method: a token, sent as it is (upper case is MOD-54's business).
        target: what stands between method and version (MOD-55, MOD-56).
        fields: the caller's fields, Host and Authorization included (RES-32).
        known_length: body length in bytes when ``end()`` renders the head; None when ``write()`` does, or
            when a method that is chunked by default is rendered before its body. For other methods 0
            then means: no body will follow (``flush_headers()`` on GET).
        chunked_by_default: ``use_chunked_encoding_by_default`` (CLI-11).
        keep_alive: persistence is wanted (AGT-38 to AGT-41).
        has_agent: WIR-29.
        removed: ``HeaderStore.removed``.
        date: the rendered ``Date`` line, or ``b""`` for none (CLI-13).
        trailers: trailers are waiting; so a length is not announced even if it is known.

    Returns:
        ``(head, framing, last)``: see :data:`RenderedHead`.

    Raises:
        ArgumentTypeError: `fields` of a wrong type.
        ArgumentValueError: method, target, a name, a value, contradictory framing, or a body that
            cannot be framed (SEC-21, SEC-22).
        StateError: ``ERR_HTTP_TRAILER_INVALID``: a ``Trailer`` field on a message that is not chunked (RES-61).
    """
    lines = [_request_line(method, target)]
    seen = 0
    length = -1
    if fields:
        seen, length = collect(field_pairs(fields), lines)

    tail = _END
    if method == "CONNECT":
        # What follows is the tunnel's (CLI-49, RFC 9110 section 9.3.6).
        if length > 0 or seen & TRANSFER_ENCODING or known_length:
            raise _framing_error("A CONNECT request has no body")
        framing = 0
    elif seen & CONTENT_LENGTH:
        framing = length
    elif seen & TRANSFER_ENCODING:
        if not seen & CHUNKED_CODING:
            raise _framing_error("The last transfer coding of a request must be chunked")
        framing = CHUNKED
    elif known_length == 0 and not chunked_by_default:
        framing = 0
    elif known_length is not None and not (trailers or seen & TRAILER or removed & REMOVED_LENGTH):
        framing = known_length
        tail = b"Content-Length: %d\r\n\r\n" % known_length
    elif not removed & REMOVED_TRANSFER_ENCODING:
        framing = CHUNKED
        tail = _CHUNKED_END
    elif known_length:
        raise _framing_error("A request body needs a Content-Length or Transfer-Encoding field")
    else:
        framing = 0
    if seen & TRAILER and framing != CHUNKED:
        raise _trailer_error()

    if date and not seen & DATE and not removed & REMOVED_DATE:
        lines.append(date)
    last = False
    if seen & CONNECTION:
        last = bool(seen & CLOSE)
    elif removed & REMOVED_CONNECTION:
        last = True
    elif keep_alive and (has_agent or chunked_by_default or seen & CONTENT_LENGTH):
        lines.append(_KEEP_ALIVE)
    else:
        lines.append(_CLOSE)
        last = True
    lines.append(tail)
    return b"".join(lines), framing, last


def render_simple_request(method: str, target: str, host: str, keep_alive: bool) -> bytes:
    """:func:`render_request` of ``Host`` alone and no body: nearly every GET. What follows the first line repeats.

    Raises:
        ArgumentValueError: method, target or `host`.
    """
    fields_of = _fields_cached if len(host) <= _MAX_HOST else _simple_fields
    return _request_line(method, target) + fields_of(host, keep_alive)


def _simple_fields(host: str, keep_alive: bool) -> bytes:
    line = f"Host: {check_field_value('Host', host)}\r\n".encode("latin-1")
    return b"%b%b\r\n" % (line, _KEEP_ALIVE if keep_alive else _CLOSE)


_fields_cached = lru_cache(maxsize=512)(_simple_fields)


def _request_line(method: str, target: str) -> bytes:
    if method not in _KNOWN_METHODS and not is_token(method):
        raise ArgumentValueError("Method must be a valid HTTP token", code="ERR_INVALID_HTTP_TOKEN")
    if not target:
        raise ArgumentValueError("Request path must not be empty", code="ERR_UNESCAPED_CHARACTERS")
    # join, not an f-string: that would ask subclasses of str for something else than what was checked.
    return " ".join((method, check_target(target), "HTTP/1.1\r\n")).encode("latin-1")


def render_information(status: object, fields: Fields = None) -> bytes:
    """Render an interim response: 100, 101, 102, 103 (RES-68, RES-69, RES-L4 early hints).

    Framing fields are checked and left out: an interim response cannot have them (RFC 9110 section 8.6).

    Raises:
        ArgumentTypeError: `fields` of a wrong type.
        ArgumentValueError: ``ERR_HTTP_INVALID_STATUS_CODE`` outside 100..199; a name or a value.
    """
    line, meaning, code, _ = status_line(status)
    if meaning != _INTERIM:
        raise ArgumentValueError(f"Invalid status code: {code}", code="ERR_HTTP_INVALID_STATUS_CODE")
    lines = [line]
    collect(field_pairs(fields), lines, _FRAMING)
    lines.append(_END)
    return b"".join(lines)


def canned_response(status: int) -> bytes:
    """Return the whole answer to a request that is not one: status line and ``Connection: close`` (SRV-33, SRV-34)."""
    return status_line(status)[0] + b"Connection: close\r\n\r\n"


def chunk(data: bytes | bytearray | memoryview) -> bytes:
    """Return `data` as one chunk (WIR-8), ``b""`` for no data: an empty chunk would end the body (WIR-9)."""
    if type(data) is not bytes:
        data = bytes(data)  # len() of a memoryview counts items, not bytes
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def chunk_header(size: int) -> bytes:
    """Return what goes before `size` bytes of data, so that much data need not be copied; `CHUNK_END` follows.

    `size` is above 0: a chunk of size 0 ends the body.
    """
    return b"%x\r\n" % size


def render_last_chunk(trailers: Fields = None) -> bytes:
    """Return the end of a chunked body: ``0``, trailer lines, a blank line (WIR-8, WIR-19).

    Raises:
        ArgumentTypeError: as :func:`render_trailers`.
        ArgumentValueError: as :func:`render_trailers`.
    """
    return b"0\r\n%b\r\n" % render_trailers(trailers) if trailers else LAST_CHUNK


def render_trailers(fields: Fields) -> bytes:
    """Return trailer fields as lines, without the blank line (RES-60).

    A list value is joined with ``,``.

    Args:
        fields: in any form of :func:`field_pairs`.

    Raises:
        ArgumentTypeError: `fields` of a wrong type.
        ArgumentValueError: ``ERR_INVALID_HTTP_TOKEN``, ``ERR_INVALID_CHAR``,
            ``ERR_HTTP_INVALID_HEADER_VALUE``; ``ERR_INVALID_ARG_VALUE`` for a field that is
            refused in trailers (:data:`UNSENDABLE_TRAILERS`).
    """
    lines: list[str] = []
    for name, value in field_pairs(fields):
        name = str.__str__(check_field_name(name, "Trailer"))  # a subclass's text is what was checked, no more
        if name.lower() in UNSENDABLE_TRAILERS:
            raise ArgumentValueError(f'Field "{name}" is not allowed in trailers')
        if isinstance(value, (list, tuple)):
            text = ",".join([field_text(name, item) for item in value])
        else:
            text = field_text(name, value)
        lines.append(f"{name}: {check_field_value(name, text, 'trailer')}\r\n")
    return "".join(lines).encode("latin-1")


def _length_tail(length: int) -> bytes:
    tail = b"%bContent-Length: %d\r\n\r\n" % (_KEEP_ALIVE, length)
    if len(_length_tails) >= _MAX_LENGTH_TAILS:
        _length_tails.clear()
    _length_tails[length] = tail
    return tail


def _framing_error(message: str) -> ArgumentValueError:
    return ArgumentValueError(message, code="ERR_HTTP_INVALID_HEADER_VALUE")


def _trailer_error() -> StateError:
    return StateError("Trailers are invalid with this transfer encoding", code="ERR_HTTP_TRAILER_INVALID")
