"""Characters: what may stand in a token, a field value, a target, a reason phrase.

Every check of ours that concerns single characters is one of these patterns, so
that parser, serializer and validation cannot disagree (RFC 9110 section 5.6.2 and
5.5, RFC 9112 section 3; MOD-54, MOD-56, RES-9, RES-11, RES-22).

The byte patterns are source text to build larger patterns from; the compiled
ones work on ``str`` and are what outgoing text is checked with.
"""

from __future__ import annotations

import re
from typing import Final

from ._errors import ArgumentTypeError, ArgumentValueError

__all__ = [
    "TOKEN",
    "VALUE_BYTE",
    "check_field_name",
    "check_field_value",
    "check_method",
    "check_target",
    "field_text",
    "safe_target",
    "safe_text",
    "validate_header_name",
    "validate_header_value",
]

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
"""One byte of a token (RFC 9110 section 5.6.2)."""
VALUE_BYTE: Final = rb"[\t\x20-\x7e\x80-\xff]"
"""One byte of a field value or reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110 section 5.5)."""

is_token = re.compile(TOKEN.decode("ascii") + "+").fullmatch
has_bad_value = re.compile(r"[^\t\x20-\x7e\x80-\xff]").search
has_bad_target = re.compile(r"[^\x21-\xff]").search


def check_field_name(name: object, what: str = "Header") -> str:
    """Return `name` if it can stand as a field name (RES-9).

    Raises:
        ArgumentValueError: ``ERR_INVALID_HTTP_TOKEN``; also for anything that is not a str.
    """
    if not isinstance(name, str) or not is_token(name):
        raise ArgumentValueError(
            f'{what} name must be a valid HTTP token ["{safe_text(name)}"]', code="ERR_INVALID_HTTP_TOKEN"
        )
    return name


def check_field_value(name: str, value: str, what: str = "header") -> str:
    """Return `value` if it can be sent as it is (RES-11): HTAB, 0x20-0x7E, 0x80-0xFF.

    Raises:
        ArgumentValueError: ``ERR_INVALID_CHAR``.
    """
    # Printable ASCII is by far the most common value and this pair of checks is cheaper than a search.
    if not (value.isascii() and value.isprintable()) and (bad := has_bad_value(value)):
        raise ArgumentValueError(
            f'Invalid character in {what} content ["{safe_text(name)}"]: U+{ord(bad[0]):04X} at offset {bad.start()}',
            code="ERR_INVALID_CHAR",
        )
    return value


def check_method(method: object) -> str:
    """Return the request method in upper case, ``GET`` for None or ``""`` (MOD-54).

    Raises:
        ArgumentTypeError: not a str.
        ArgumentValueError: ``ERR_INVALID_HTTP_TOKEN``.
    """
    if method is None or method == "":
        return "GET"
    if not isinstance(method, str):
        raise ArgumentTypeError(
            f'The "options.method" property must be of type str. Received {type(method).__name__} ({safe_text(method)})'
        )
    if not is_token(method):
        raise ArgumentValueError(
            f'Method must be a valid HTTP token ["{safe_text(method)}"]', code="ERR_INVALID_HTTP_TOKEN"
        )
    return str.upper(method)  # not a subclass's own: what was checked is what is sent


def check_target(target: str) -> str:
    """Return `target` if it can stand in a request line (MOD-56): U+0021 to U+00FF.

    Raises:
        ArgumentValueError: ``ERR_UNESCAPED_CHARACTERS``.
    """
    if has_bad_target(target):
        raise ArgumentValueError(
            f"Request path contains unescaped characters: {target[:64]!r}", code="ERR_UNESCAPED_CHARACTERS"
        )
    return target


def validate_header_name(name: object) -> None:
    """Raise what ``set_header`` would for this name (MOD-L1, RES-9)."""
    check_field_name(name)


def field_text(name: str, value: object) -> str:
    """Return the text a single field value is sent as (RES-12); its characters are not checked here.

    str is itself, bool is ``true`` or ``false`` as in Node, anything else its ``str()``. What has no
    sensible text is refused: None (RES-10), and bytes and collections, whose ``str()`` is Python source.

    Raises:
        ArgumentValueError: ``ERR_HTTP_INVALID_HEADER_VALUE``.
    """
    if isinstance(value, str):
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, (bytes, bytearray, memoryview, list, tuple, dict, set, frozenset)):
        what = '"None"' if value is None else f"of type {type(value).__name__}"  # not what it is: it may be a secret
        raise ArgumentValueError(
            f'Invalid value {what} for header "{safe_text(name)}"', code="ERR_HTTP_INVALID_HEADER_VALUE"
        )
    try:
        return str.__str__(str(value))
    except ValueError:  # an int of more digits than Python converts
        raise ArgumentValueError(
            f'Invalid value for header "{safe_text(name)}"', code="ERR_HTTP_INVALID_HEADER_VALUE"
        ) from None


def validate_header_value(name: str, value: object) -> None:
    """Raise what ``set_header`` would for this value (MOD-L1, RES-10 to RES-13)."""
    for item in value if isinstance(value, (list, tuple)) else (value,):
        check_field_value(name, field_text(name, item))


def safe_text(value: object) -> str:
    """Caller's text made safe to stand in a message or a log line."""
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # an int of more digits than Python converts
        text = type(value).__name__
    return text[:64].encode("unicode_escape").decode("ascii")


def safe_target(target: str) -> str:
    """A target made safe to stand in a message or a log line: no query, for that may hold credentials (SEC-45)."""
    path, mark, _ = target.partition("?")
    return path[:200].encode("unicode_escape").decode("ascii") + ("?***" if mark else "")
