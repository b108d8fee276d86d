"""Content-Digest: RFC 9530."""

from __future__ import annotations

import hashlib

import pytest

from anywire.cli.static import content_digest
from anywire.cli.static._digest import parse_digest

# Appendix D.1 ("Resource Returned with No Content Coding"): {"hello": "world"} and a newline.
BODY = b'{"hello": "world"}\n'
EXAMPLE = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"


def test_the_example_of_the_rfc() -> None:
    digest = hashlib.sha256(BODY).digest()
    assert content_digest(digest) == EXAMPLE
    assert parse_digest(EXAMPLE) == {"sha-256": digest}


def test_several_and_unknown_algorithms() -> None:
    long = hashlib.sha512(BODY).digest()
    field = f"md5=:AAAA:, {EXAMPLE};q=1 ,{content_digest(long, 'sha-512')}"
    assert parse_digest(field) == {"sha-256": hashlib.sha256(BODY).digest(), "sha-512": long}


@pytest.mark.parametrize("field", ["", "sha-256", "sha-256=abc", "sha-256=:abc", "sha-256=:a:", "SHA-256=:AAAA:", "x,"])
def test_malformed_fields(field: str) -> None:
    assert parse_digest(field) is None
