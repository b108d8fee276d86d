"""Request targets: RFC 9112 section 3.2, RFC 3986 section 2.1; nothing may lead out of the root."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.cli.static import BadTarget, quote_path, split_target


@pytest.mark.parametrize(
    ("target", "segments", "slash", "query"),
    [
        ("/", (), True, ""),
        ("/a", ("a",), False, ""),
        ("/a/", ("a",), True, ""),
        ("/a/b.txt?x=1?y", ("a", "b.txt"), False, "?x=1?y"),
        ("/a?", ("a",), False, "?"),
        ("//a///b", ("a", "b"), False, ""),
        ("/%61%2E%2e%20b", ("a.. b",), False, ""),
        ("/...", ("...",), False, ""),
        ("/a?b=/../c", ("a",), False, "?b=/../c"),
        ("/%C3%A9", ("é",), False, ""),
        # absolute-form: "a server MUST accept the absolute-form in requests" (RFC 9112 section 3.2.2)
        ("http://example.test/a/b", ("a", "b"), False, ""),
        ("HTTP://example.test:80", (), True, ""),
        ("http://example.test?x", (), True, "?x"),
    ],
)
def test_targets_that_name_something(target: str, segments: tuple[str, ...], slash: bool, query: str) -> None:
    assert split_target(target) == (segments, slash, query)


@pytest.mark.parametrize(
    "target",
    [
        "/..",
        "/../etc/passwd",
        "/a/../../b",
        "/a/./b",
        "/.",
        "/%2e%2e/b",
        "/%2E./b",
        "/.%2e",
        "/a%2fb",
        "/..%2fb",
        "/a\\b",
        "/a%5cb",
        "/..%5c..%5cb",
        "/a%00",
        "/a%00.txt",
        "/%",
        "/%4",
        "/%zz",
        "/%%41",
        "*",
        "a/b",
        "host:80",
        "",
        "http://example.test/../b",
    ],
)
def test_targets_that_are_refused(target: str) -> None:
    with pytest.raises(BadTarget):
        split_target(target)


def test_double_escapes_are_undone_once() -> None:
    # "implementations MUST NOT percent-encode or decode the same string more than once" (RFC 3986 section 2.4)
    assert split_target("/%252e%252e").segments == ("%2e%2e",)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40))
def test_no_target_leads_out(target: str) -> None:
    try:
        segments = split_target("/" + target).segments
    except BadTarget:
        return
    root = os.path.join(os.sep, "srv", "root")
    assert os.path.normpath(os.path.join(root, *segments)).startswith(root)


@given(st.lists(st.binary(min_size=1, max_size=12)))
def test_quoting_is_undone_by_splitting(names: list[bytes]) -> None:
    segments = [os.fsdecode(name) for name in names if not (set(name) & set(b"/\\\0")) and name not in (b".", b"..")]
    assert list(split_target(quote_path(segments) or "/").segments) == segments


def test_the_location_of_a_folder_stays_here() -> None:
    # A copy of the target would be a network-path reference (RFC 3986 section 4.2) to another host.
    assert split_target("//evil.test/%2561?q").location() == "/evil.test/%2561/?q"
