"""``Content-Digest`` (RFC 9530 section 2): a digest of the bytes of one message's content.

A sender that streams knows it only at the end, so it may stand in the trailer section (RFC 9530 section 6.3).
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

__all__ = ["ALGORITHMS", "content_digest", "parse_digest"]

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512"}
"""Names in the field → names in hashlib. The others of the registry are insecure or rare and are not looked at."""

# A dictionary of byte sequences (RFC 8941): key=:base64:, with parameters that mean nothing to us.
_MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):(?:[ \t]*;[^,]*)?")


def content_digest(digest: bytes, algorithm: str = "sha-256") -> str:
    """The field value for one digest."""
    return f"{algorithm}=:{b64encode(digest).decode()}:"


def parse_digest(field: str) -> dict[str, bytes] | None:
    """The digests in a field value that can be checked here; None if it is malformed."""
    found: dict[str, bytes] = {}
    for member in field.split(","):
        match = _MEMBER.fullmatch(member.strip(" \t"))
        if match is None:
            return None
        name, value = match.groups()
        try:
            digest = b64decode(value, validate=True)
        except ValueError:
            return None
        if name in ALGORITHMS:
            found[name] = digest
    return found
