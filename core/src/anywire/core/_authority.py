"""Who is meant: the authority of a request target, and the Host field (RFC 9110 section 7.2, RFC 3986 section 3.2).

The grammar is that of RFC 3986 less what two readers understand differently, and
nobody needs: user information, percent-encoded delimiters and control characters,
zone identifiers, ports that do not fit into sixteen bits.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address

__all__ = ["is_host", "is_tunnel_target"]

_split = re.compile(
    rb"(\[[^\[\]]*+\]"
    rb"|(?:[A-Za-z0-9\-._~!$&'()*+,;=]"
    # Not what would be a delimiter, a space or a control character once somebody has decoded it.
    rb"|%(?!(?i:[01].|2[035f]|3[af]|40|5[b-d]|7f))[0-9A-Fa-f]{2})*+)"
    rb"(?::([0-9]{0,5}+))?+"
).fullmatch
_is_future = re.compile(rb"\[[vV][0-9A-Fa-f]++\.[A-Za-z0-9\-._~!$&'()*+,;=:]++\]").fullmatch
_is_ipv6_text = re.compile(rb"[0-9A-Fa-f:.]{2,45}+").fullmatch
_MAX_PORT = 65535


def is_host(value: bytes, *, empty: bool = True) -> bool:
    """Is `value` ``uri-host [":" port]``, as in Host and in an absolute-form target?

    Args:
        value: the text, without white space around it.
        empty: the host may be empty, as it may be in Host.
    """
    return _port(value, empty=empty) is not None


def is_tunnel_target(value: bytes) -> bool:
    """Is `value` what CONNECT names: a host, a colon, and a port that is not 0 (RFC 9112 section 3.2.3)?"""
    return bool(_port(value, empty=False))


def _port(value: bytes, *, empty: bool) -> int | None:
    """The port of a host, 0 if it names none; None if `value` is no host."""
    match = _split(value)
    if match is None:
        return None
    host, digits = match.groups()
    port = int(digits or b"0")
    return port if (host or empty) and _is_literal(host) and port <= _MAX_PORT else None


def _is_literal(host: bytes) -> bool:
    """If `host` stands in brackets, is it an address?"""
    if not host.startswith(b"["):
        return True
    if _is_ipv6_text(host[1:-1]) is None:
        return _is_future(host) is not None
    try:
        IPv6Address(host[1:-1].decode("ascii"))
    except ValueError:
        return False
    return True
