"""URLs: from the text a caller gives to what a request needs (MOD-25 to MOD-35).

Theory of operation. The rules are those of the WHATWG URL standard, which Node
follows (MOD-26), for an absolute URL without a base. Only its result that a request
can use is kept: protocol, host name, port, target and credentials; the fragment is
dropped. Results are cached, for a program talks to few URLs many times.

Where the standard repairs its input silently and the repair can send a request
somewhere else than its author meant, we refuse it (deviations from MOD-26):

* Tabs and line ends inside the text are removed by the standard; control characters
  are encoded. We raise (SEC-21).
* ``127.1``, ``0x7f.1``, ``0177.0.0.1``, ``2130706433`` mean 127.0.0.1 in the standard and
  are used to slip past address filters. We raise (SEC-48); only four plain decimal
  numbers are an IPv4 address.
* Lone surrogates become U+FFFD in the standard. We raise.

Internationalized names follow UTS 46 (non-transitional: ``ß`` stays ``ß``) by means of the
standard library's Unicode data: NFKC, case folding, punycode. ``str.encode("idna")``
would not do, because it is IDNA 2003 and turns ``straße`` into ``strasse``, which is
somebody else's name. Known gaps: the Bidi rule is not checked (it concerns display
only), and joiners (U+200C, U+200D) are refused instead of being looked at in context.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final
from urllib.parse import unquote_to_bytes

from ._chars import safe_text
from ._errors import ArgumentTypeError, ArgumentValueError

__all__ = ["ParsedUrl", "domain_to_ascii", "is_ambiguous_ipv4", "is_ipv4", "parse_url"]

DEFAULT_PORTS: Final = {"http:": 80, "https:": 443, "ws:": 80, "wss:": 443, "ftp:": 21}
_CACHED_LENGTH: Final = 2048
"""Longer texts are parsed each time: the cache is bounded in entries, so entries must be bounded too."""

_INTERNATIONAL_LENGTH: Final = 1024
"""Characters; DNS ends at 253, and what follows costs time for each one (SEC-35)."""

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):", re.ASCII)
_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
# The last four are the standard's own gap: they cannot stand in a Host field (RFC 3986 section 3.2.2).
_FORBIDDEN_IN_DOMAIN: Final = re.compile(r"[\x00-\x20#/:<>?@\[\\\]^|%\x7f\"`{}]")
_FORBIDDEN_IN_HOST: Final = re.compile(r"[\x00\t\n\r #/:<>?@\[\\\]^|]")
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?", re.ASCII | re.DOTALL)
# Percent-encode sets of the standard; whatever is above "~" is always encoded.
_PATH_SET: Final = re.compile(r'[ "#<>?`{}]|[^\x21-\x7e]')
_QUERY_SET: Final = re.compile(r"[ \"#<>]|[^\x21-\x7e]")
_SPECIAL_QUERY_SET: Final = re.compile(r"[ \"#<>']|[^\x21-\x7e]")
_CONTROL_SET: Final = re.compile(r"[^\x20-\x7e]")
_DOT: Final = {".", "%2e"}
_DOT_DOT: Final = {"..", ".%2e", "%2e.", "%2e%2e"}


@dataclass(frozen=True, slots=True)
class ParsedUrl:
    """What a request takes from a URL (MOD-27).

    Attributes:
        protocol: scheme with its colon, lower case: ``"http:"``.
        hostname: lower case, punycode, IPv6 without brackets; ``""`` only for schemes that allow it.
        port: only if explicit, not 0 (MOD-35) and not the scheme's own; else None.
        path: the request target: path and query, encoded, never empty.
        auth: ``"user:password"`` decoded, or None if both parts are empty.
    """

    protocol: str
    hostname: str
    port: int | None
    path: str
    auth: str | None

    def __repr__(self) -> str:
        # The credentials stay out of logs and tracebacks (SEC-45).
        shown = None if self.auth is None else "***"
        return (
            f"ParsedUrl(protocol={self.protocol!r}, hostname={self.hostname!r}, port={self.port!r}, "
            f"path={self.path!r}, auth={shown!r})"
        )


def parse_url(url: object) -> ParsedUrl:
    """Parse an absolute URL.

    Args:
        url: a str; or a parsed-URL object, which is anything with ``geturl()`` that returns a
            str (``urllib.parse.urlsplit()`` and ``urlparse()`` make such); or a :class:`ParsedUrl`.

    Returns:
        The parts a request needs. Equal texts give the same object as long as it is cached.

    Raises:
        ArgumentTypeError: `url` is none of these.
        ArgumentValueError: ``ERR_INVALID_URL`` (MOD-32, MOD-33).
    """
    if type(url) is not str:
        if isinstance(url, ParsedUrl):
            return url
        text = url if isinstance(url, str) else _geturl(url)
    else:
        text = url
    return _parse_cached(text) if len(text) <= _CACHED_LENGTH else _parse(text)


def is_ipv4(host: str) -> bool:
    """Is `host` four plain decimal numbers from 0 to 255, without leading zeros?"""
    return _IPV4.fullmatch(host) is not None


def is_ambiguous_ipv4(host: str) -> bool:
    """Would some resolver read an IPv4 address out of `host` that is not spelt as one (SEC-48)?

    That is so when the last label is a number (the standard's "ends in a number" rule).
    """
    return _ENDS_IN_NUMBER.fullmatch(host) is not None and not is_ipv4(host)


def domain_to_ascii(domain: str) -> str:
    """Lower-case `domain` and encode its international labels (UTS 46, non-transitional).

    Raises:
        ValueError: it is not a valid international name. The text says why.
    """
    if domain.isascii():
        domain = domain.lower()
        if "xn--" not in domain:
            return domain
    if len(domain) > _INTERNATIONAL_LENGTH:
        raise ValueError("an international name is too long")
    # NFKC maps full-width letters, digits and dots; U+3002 is the one dot it leaves. The sharp s
    # and the final sigma are valid letters of their own and must survive case folding.
    text = "".join(
        c if c in "ßς" else c.casefold()
        for c in unicodedata.normalize("NFKC", domain).replace("\u3002", ".").replace("ẞ", "ß")
    )
    # Soft hyphens and variation selectors are ignored by UTS 46.
    text = re.sub("[\u00ad\u200b\u2060\ufe00-\ufe0f\ufeff]", "", unicodedata.normalize("NFKC", text))
    return ".".join(map(_label_to_ascii, text.split(".")))


def _label_to_ascii(label: str) -> str:
    if not (label.isascii() and not label.startswith("xn--")) and len(label) > 63:
        # DNS has no longer ones, and punycode takes quadratic time.
        raise ValueError("an international label is too long")
    if label.startswith("xn--"):
        try:
            # An A-label must decode, and to something whose encoding it is: else two
            # spellings would name one host, or one spelling none.
            decoded = label[4:].encode("ascii").decode("punycode")
            if decoded.isascii() or domain_to_ascii(decoded) != label:
                raise ValueError
        except ValueError:  # UnicodeError is one
            raise ValueError(f'"{safe_text(label)}" is not a valid international label') from None
        return label
    if label.isascii():
        return label
    for character in label:
        # Control, format, surrogate, private use, unassigned, separators.
        if unicodedata.category(character)[0] in "CZ":
            raise ValueError(f"U+{ord(character):04X} cannot stand in a host name")
    if unicodedata.category(label[0])[0] == "M":
        raise ValueError("a label begins with a combining mark")
    return "xn--" + label.encode("punycode").decode("ascii")


def _geturl(url: object) -> str:
    geturl = getattr(url, "geturl", None)
    text = geturl() if callable(geturl) else None
    if not isinstance(text, str):
        raise ArgumentTypeError(
            'The "url" argument must be of type str or a parsed URL such as urllib.parse.urlsplit() returns. '
            f"Received {type(url).__name__}"
        )
    return text


def _invalid(text: str, reason: str = "") -> ArgumentValueError:
    # What stands before an "@" may be a password (SEC-45). All up to the last one
    # goes, because an unescaped "/" in a password is why many a URL is invalid.
    _, at, after = text.rpartition("@")
    scheme = _SCHEME.match(text)
    shown = safe_text(f"{scheme[0] + '//' if scheme else ''}***@{after}" if at else text)
    return ArgumentValueError(f"Invalid URL: {shown}" + (reason and f" ({reason})"), code="ERR_INVALID_URL")


def _parse(text: str) -> ParsedUrl:
    original = text
    text = text.strip(" ")
    if bad := _UNSENDABLE.search(text):
        raise _invalid(original, f"U+{ord(bad[0]):04X} cannot stand in a URL")
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise _invalid(original)
    protocol = scheme[1].lower() + ":"
    rest = text[scheme.end() :].partition("#")[0]
    default_port = DEFAULT_PORTS.get(protocol)
    special = default_port is not None
    before, mark, query = rest.partition("?")
    if special:
        # In these schemes a backslash is a slash, and any number of them begins the authority.
        before = before.replace("\\", "/").lstrip("/")
    elif not before.startswith("//"):
        path = _encode(before, _CONTROL_SET) + (mark and query and "?" + _encode(query, _QUERY_SET))
        return ParsedUrl(protocol, "", None, path or "/", None)
    else:
        before = before[2:]
    authority, slash, path = before.partition("/")
    try:
        auth, hostname, port = _authority(authority, special)
    except ValueError as error:
        raise _invalid(original, str(error)) from None
    target = _path(path) if slash or special else ""
    if query:
        target += "?" + _encode(query, _SPECIAL_QUERY_SET if special else _QUERY_SET)
    return ParsedUrl(protocol, hostname, None if port in (0, default_port) else port, target or "/", auth)


_parse_cached = lru_cache(maxsize=512)(_parse)


def _authority(authority: str, special: bool) -> tuple[str | None, str, int | None]:
    """``[user[:password]@]host[:port]``; a ValueError says what is wrong."""
    credentials, at, where = authority.rpartition("@")
    auth = None
    if credentials:
        user, _, password = credentials.partition(":")
        if user or password:
            auth = f"{_decode(user)}:{_decode(password)}"
    if where.startswith("["):
        literal, bracket, rest = where[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("unmatched bracket")
        hostname, port = _ipv6(literal), rest[1:]
    else:
        host, _, port = where.partition(":")
        if not host and (special or at or port):
            raise ValueError("the host is missing")
        hostname = _domain(host) if special else _opaque_host(host)
    if not port:
        return auth, hostname, None
    if not (port.isascii() and port.isdigit()) or len(port.lstrip("0")) > 5 or int(port) > 65535:
        raise ValueError("the port is not a number from 0 to 65535")
    return auth, hostname, int(port)


def _domain(host: str) -> str:
    if "%" in host:
        host = unquote_to_bytes(host).decode("utf-8")  # UnicodeDecodeError is a ValueError
    host = domain_to_ascii(host)
    if bad := _FORBIDDEN_IN_DOMAIN.search(host):
        raise ValueError(f"U+{ord(bad[0]):04X} cannot stand in a host name")
    if not host:
        raise ValueError("the host is missing")
    if is_ambiguous_ipv4(host):
        raise ValueError(f'"{host}" is not a host name, and as an IPv4 address it is ambiguous: write four decimals')
    return host


def _opaque_host(host: str) -> str:
    if bad := _FORBIDDEN_IN_HOST.search(host):
        raise ValueError(f"U+{ord(bad[0]):04X} cannot stand in a host name")
    return _encode(host, _CONTROL_SET)


def _ipv6(literal: str) -> str:
    try:
        if "%" in literal:
            raise AddressValueError
        number = int(IPv6Address(literal))
    except AddressValueError:
        raise ValueError("not an IPv6 address") from None
    # Not str(IPv6Address): since Python 3.13 it shows mapped addresses in the dotted form, the standard does not.
    digits = f"{number:032x}"
    text = ":".join(f"{int(digits[i : i + 4], 16):x}" for i in range(0, 32, 4))
    zeros = max(re.finditer(r"\b0(?::0)+\b", text), key=lambda run: len(run[0]), default=None)
    if zeros is None:
        return text
    return f"{text[: zeros.start()].rstrip(':')}::{text[zeros.end() :].lstrip(':')}"


def _path(path: str) -> str:
    """Remove dot segments and encode; `path` has lost its first slash."""
    segments: list[str] = []
    parts = path.split("/")
    last = len(parts) - 1
    for index, part in enumerate(parts):
        lowered = part.lower() if "." in part or "%" in part else ""
        if lowered in _DOT_DOT:
            if segments:
                segments.pop()
            if index == last:
                segments.append("")
        elif lowered in _DOT:
            if index == last:
                segments.append("")
        else:
            segments.append(_encode(part, _PATH_SET))
    return "/" + "/".join(segments)


def _encode(text: str, unsafe: re.Pattern[str]) -> str:
    return unsafe.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


def _decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the credentials are not UTF-8") from None
