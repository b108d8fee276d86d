"""How long is the body of an incoming message, and may the connection live on?

:func:`frame` is pure: facts of a head in, ``(length, flags)`` or a
:class:`ParseError` out. It is the only place where the framing fields are
understood. The steps are those of RFC 9112 section 6.3; where this module is
stricter than Node 13 the statement is a HAZARD of the specification or a SEC
requirement, and is named.

The facts are the *noted* fields, which the grammar collects in order of
arrival. They are judged when the head is complete, in that order, so the
verdict is the same for every split of the input.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from ._authority import is_host
from ._chars import TOKEN
from ._errors import ParseError
from ._leniency import LENGTH_WITH_CHUNKED, REPEATED_LENGTH

__all__ = [
    "CHUNKED",
    "CHUNKED_OK",
    "EXPECT_CONTINUE",
    "EXPECT_OTHER",
    "KEEP_ALIVE",
    "NOTED_IN_REQUESTS",
    "NOTED_IN_RESPONSES",
    "NO_BODY",
    "REFUSED_IN_TRAILERS",
    "REQUEST",
    "RESPONSE",
    "UNTIL_CLOSE",
    "UPGRADE",
    "Noted",
    "frame",
]

REQUEST: Final = "request"
RESPONSE: Final = "response"

CHUNKED: Final = -1
"""Body length: chunks say it."""
UNTIL_CLOSE: Final = -2
"""Body length: everything until the peer ends the connection."""

KEEP_ALIVE: Final = 1
"""The peer's side allows another exchange on this connection (WIR-66 to WIR-69, WIR-82, WIR-83)."""
EXPECT_CONTINUE: Final = 2
"""``Expect`` lists ``100-continue`` (SRV-20)."""
EXPECT_OTHER: Final = 4
"""There is an ``Expect`` field without ``100-continue`` (SRV-23)."""
UPGRADE: Final = 8
"""``Upgrade`` field and ``Connection: upgrade`` in HTTP/1.1; a response also has status 101 (SRV-67, CLI-41)."""
CHUNKED_OK: Final = 16
"""The peer understands chunked bodies: HTTP/1.1, whatever an older one says in ``TE`` (RFC 9112 section 6.1)."""
NO_BODY: Final = 32
"""A response that has no body whatever its fields say: to HEAD, 1xx, 204, 304 (WIR-83 to WIR-86)."""

NOTED_IN_REQUESTS: Final = frozenset(
    {b"connection", b"content-length", b"expect", b"host", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
NOTED_IN_RESPONSES: Final = frozenset(
    {b"connection", b"content-length", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
REFUSED_IN_TRAILERS: Final = frozenset(
    {
        b"connection", b"content-length", b"expect", b"host", b"proxy-connection", b"te", b"trailer",
        b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
"""Framing and routing must not come after the body (SEC-11, RFC 9110 section 6.5.1; WIR-74 differs)."""

Noted: TypeAlias = tuple[bytes, bytes, int, int]
"""A noted field: name in lower case, value as received, offset of the name, offset of the value."""

MAX_LENGTH_DIGITS: Final = 18
"""Significant digits of a Content-Length: fewer than 64 bits hold, and int() of more would be slow (SEC-7)."""

# Codings before `chunked` that RFC 9112 section 7 defines. We decode none of them, but they are no doubt about framing.
_KNOWN_CODINGS: Final = frozenset({b"compress", b"deflate", b"gzip", b"x-compress", b"x-gzip"})

# A sender must not list a field that is meant for all recipients (RFC 9110 section 7.6.1). A proxy that does as it is
# told here takes the field away, and the next one along reads another message than it did.
_NOT_PER_CONNECTION: Final = frozenset({b"content-length", b"host", b"transfer-encoding"})

_is_token = re.compile(TOKEN + rb"++").fullmatch
_not_digit = re.compile(rb"[^0-9]").search


def frame(
    role: str,
    minor: int,
    noted: Sequence[Noted],
    end: int,
    *,
    status: int = 0,
    request_method: str | None = None,
    lenient: bool = False,
    require_host: bool = True,
    tolerate: int = 0,
) -> tuple[int, int]:
    """Decide body length and flags of one head.

    Args:
        role: `REQUEST` or `RESPONSE`: what the head is.
        minor: digit after ``HTTP/1.``.
        noted: the fields of `NOTED_IN_REQUESTS` or `NOTED_IN_RESPONSES`, in order of arrival.
        end: offset of the last byte of the head, reported when something is missing.
        status: status code of a response.
        request_method: method of the request, or of the request that a response answers, if known.
        lenient: `insecure_http_parser`, exactly WIR-59.
        require_host: refuse an HTTP/1.1 request without Host (MOD-L4).
        tolerate: bits of leniencies, of responses only.

    Returns:
        ``(length, flags)``: a number of bytes, `CHUNKED` or `UNTIL_CLOSE`, and the flag bits.

    Raises:
        ParseError: the framing is wrong or in doubt.
    """
    is_request = role == REQUEST
    # RFC 9112 section 6.3, rules 1 and 2, as far as they make the framing fields meaningless: they are not even
    # looked at in 1xx (WIR-86) and in any answer to CONNECT (CLI-46).
    ignored = not is_request and (status < 200 or request_method == "CONNECT")

    length: int | None = None
    codings: list[bytes] = []
    framing_at = coding_at = 0  # offsets of the latest framing field and the latest Transfer-Encoding
    has_coding = malformed = has_host = upgrade = bent = False
    expect: list[bytes] | None = None
    tokens: set[bytes] = set()
    proxy_tokens: set[bytes] = set()
    for name, value, at, value_at in noted:
        if name == b"content-length":
            if ignored:
                continue
            if length is not None and not tolerate & REPEATED_LENGTH:
                raise ParseError("HPE_UNEXPECTED_CONTENT_LENGTH", "Duplicate Content-Length", bytes_parsed=at)
            if has_coding and not lenient and not tolerate & LENGTH_WITH_CHUNKED:
                raise _both(at)
            given = _content_length(value, value_at, listed=bool(tolerate & REPEATED_LENGTH))
            if length is not None:
                bent = True
                if length != given:
                    raise ParseError("HPE_UNEXPECTED_CONTENT_LENGTH", "Duplicate Content-Length", bytes_parsed=at)
            bent = bent or b"," in value
            length = given
            framing_at = at
        elif name == b"transfer-encoding":
            if ignored:
                continue
            if length is not None and not lenient and not tolerate & LENGTH_WITH_CHUNKED:
                raise _both(at)
            has_coding = True
            framing_at = coding_at = at
            listed = _list(value)
            # An empty field counts as no coding at all in responses (WIR-63); in a request it is a doubt (SEC-5).
            if is_request or listed != [b""]:
                malformed = malformed or not all(map(_is_token, listed))
                codings += listed
        elif name == b"host":
            if has_host:
                raise ParseError("HPE_INVALID_HOST", "Duplicate Host", bytes_parsed=at)
            has_host = True
            if not is_host(value.strip(b" \t")):
                raise ParseError("HPE_INVALID_HOST", "Invalid Host", bytes_parsed=value_at)
        elif name == b"expect":
            expect = (expect or []) + _list(value)
        elif name == b"upgrade":
            upgrade = True
        elif name == b"connection":
            tokens.update(_list(value))
            if is_request and not _NOT_PER_CONNECTION.isdisjoint(tokens):
                raise ParseError(
                    "HPE_INVALID_HEADER_TOKEN", "Connection lists a field of the message", bytes_parsed=value_at
                )
        else:
            proxy_tokens.update(_list(value))

    # RFC 9112 section 3.2: exactly one Host in HTTP/1.1 (SEC-18; Node 13 takes none or several, WIR-50).
    if is_request and minor and require_host and not has_host:
        raise ParseError("HPE_INVALID_HOST", "Missing Host", bytes_parsed=end)

    flags = CHUNKED_OK if minor else 0
    # RFC 9110 section 7.8: an Upgrade of HTTP/1.0 is ignored.
    if upgrade and minor and b"upgrade" in tokens and (is_request or status == 101):
        flags |= UPGRADE
    # Proxy-Connection counts the same for persistence (WIR-68), but no proxy takes it off before it switches protocols.
    tokens |= proxy_tokens
    persists = b"close" not in tokens and (minor > 0 or b"keep-alive" in tokens)
    if expect is not None and minor:  # SRV-19: HTTP/1.0 has no Expect.
        flags |= EXPECT_CONTINUE if b"100-continue" in expect else EXPECT_OTHER

    # Rules 3 and 4: Transfer-Encoding.
    if has_coding:
        chunked = not malformed and bool(codings) and codings[-1] == b"chunked"
        doubt = malformed or codings.count(b"chunked") > 1
        if length is not None and not (tolerate & LENGTH_WITH_CHUNKED and chunked and not doubt):
            if not lenient:
                raise _both(framing_at)
            if chunked:  # only lenient gets here with both (WIR-62)
                raise ParseError(
                    "HPE_UNEXPECTED_CONTENT_LENGTH",
                    "Content-Length can't be present with chunked encoding",
                    bytes_parsed=framing_at,
                )
        bent = bent or length is not None
        if is_request:
            if not minor or (not lenient and (doubt or not chunked)):
                raise _bad_coding("Request", coding_at, 400 if doubt or not minor else _refusal(codings))
            if chunked and not lenient and not _KNOWN_CODINGS.issuperset(codings[:-1]):
                raise _bad_coding("Request", coding_at, 501)
        elif doubt and not lenient:
            raise _bad_coding("Response", coding_at, 400)
        # RFC 9112 section 6.1: whoever sends one in HTTP/1.0 may be passing on what it does not understand.
        persists = persists and minor > 0
        if codings:
            length = CHUNKED if chunked else UNTIL_CLOSE
    # Rules 5 and 6: Content-Length, checked above. Rules 7 and 8: neither.
    if length is None:
        length = 0 if is_request else UNTIL_CLOSE
    if is_request and length and request_method == "CONNECT":
        # RFC 9110 section 9.3.6: it has no content, so one reader's body is the other's first bytes of the tunnel.
        raise ParseError("HPE_UNEXPECTED_CONTENT_LENGTH", "CONNECT with a body", bytes_parsed=framing_at)

    # Rules 1 and 2.
    if not is_request:
        if status < 200 or status == 204 or status == 304:
            length = 0
            flags |= NO_BODY
        elif request_method == "HEAD":
            # Node takes a HEAD response without any length as its server's last (WIR-83).
            persists = persists and length != UNTIL_CLOSE
            length = 0
            flags |= NO_BODY
        elif request_method == "CONNECT":
            length = 0
    # Where a leniency decided, another reader may see another end: nothing may follow.
    if persists and length != UNTIL_CLOSE and not bent:
        flags |= KEEP_ALIVE
    return length, flags


def _list(value: bytes) -> list[bytes]:
    """Elements of a comma list in lower case. Only SP and HTAB are white space (SEC-17)."""
    return [element.strip(b" \t") for element in value.lower().split(b",")]


def _content_length(value: bytes, at: int, *, listed: bool = False) -> int:
    """Read a Content-Length (WIR-60, SEC-6); `at` is the offset of the value. `listed`: a list of one number is one."""
    if listed and b"," in value:
        lengths = []
        for element in value.split(b","):
            lengths.append(_content_length(element, at))
            if lengths[-1] != lengths[0]:
                raise ParseError("HPE_UNEXPECTED_CONTENT_LENGTH", "Duplicate Content-Length", bytes_parsed=at)
            at += len(element) + 1
        return lengths[0]
    digits = value.strip(b" \t")
    if not digits:
        raise ParseError("HPE_INVALID_CONTENT_LENGTH", "Empty Content-Length", bytes_parsed=at)
    at += len(value) - len(value.lstrip(b" \t"))
    wrong = _not_digit(digits)
    if wrong is not None:
        raise ParseError(
            "HPE_INVALID_CONTENT_LENGTH", "Invalid character in Content-Length", bytes_parsed=at + wrong.start()
        )
    significant = digits.lstrip(b"0")
    if len(significant) > MAX_LENGTH_DIGITS:
        over = at + len(digits) - len(significant) + MAX_LENGTH_DIGITS
        raise ParseError("HPE_INVALID_CONTENT_LENGTH", "Content-Length overflow", bytes_parsed=over)
    return int(significant or b"0")


def _refusal(codings: list[bytes]) -> int:
    """501 when we do not know a coding, 400 when we do and it is in the wrong place (RFC 9112 sections 6.1, 6.3)."""
    return 400 if _KNOWN_CODINGS.issuperset(coding for coding in codings if coding != b"chunked") else 501


def _both(at: int) -> ParseError:
    return ParseError(
        "HPE_UNEXPECTED_CONTENT_LENGTH",
        "Content-Length can't be present with Transfer-Encoding",
        bytes_parsed=at,
    )


def _bad_coding(what: str, at: int, status: int) -> ParseError:
    return ParseError(
        "HPE_INVALID_TRANSFER_ENCODING",
        f"{what} has invalid `Transfer-Encoding`",
        bytes_parsed=at,
        status_hint=status,
    )
