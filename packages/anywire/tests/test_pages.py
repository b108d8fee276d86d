"""Content types and listings."""

from __future__ import annotations

import os
from html.parser import HTMLParser

import pytest

from anywire.cli.static._listing import Entry, render_listing, visible
from anywire.cli.static._types import content_type


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),  # RFC 9239
        ("A.MJS", "text/javascript; charset=utf-8"),
        ("a.py", "text/x-python; charset=utf-8"),
        ("README.md", "text/markdown; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.xml", "text/xml"),  # RFC 7303 section 3: a charset parameter would overrule the document
        ("a.wasm", "application/wasm"),
        ("a.woff2", "font/woff2"),
        ("a.tar.gz", "application/gzip"),
        ("a.txt.gz", "application/gzip"),
        ("a.zip", "application/zip"),
        ("Makefile", "application/octet-stream"),
        ("a.unknown-suffix", "application/octet-stream"),
        (".html", "application/octet-stream"),
        ("data:a.html", "text/html; charset=utf-8"),
        ("x:y.png", "image/png"),
    ],
)
def test_content_types(name: str, wanted: str) -> None:
    assert content_type(name) == wanted


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.texts: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _page(segments: tuple[str, ...], *entries: Entry) -> _Links:
    page = _Links()
    page.feed(render_listing(segments, entries).decode("utf-8"))
    return page


def test_listing_order_and_links() -> None:
    page = _page(
        ("a",),
        Entry("b.txt", False, 1234, 0),
        Entry("A.txt", False, 1, 0),
        Entry("z", True, 0, 0),
        Entry("http:x", False, 1, 0),
        Entry("a b?#%.txt", False, 1, 0),
    )
    assert page.links == ["../", "./z/", "./a%20b%3F%23%25.txt", "./A.txt", "./b.txt", "./http:x"]
    assert "1,234" in page.texts and "1970-01-01 00:00" in page.texts and "/a/" in page.texts


def test_listing_escapes_names() -> None:
    evil = '<script>alert(1)"&.txt'
    page = _page((evil,), Entry(evil, False, 0, 0))
    assert "script" not in page.tags
    assert page.texts.count(evil) == 1  # as text, and in the title inside slashes
    assert f"/{evil}/" in page.texts
    assert page.links == ["../", "./%3Cscript%3Ealert(1)%22&.txt"]


def test_listing_of_the_root_has_no_way_up() -> None:
    assert _page(()).links == []


def test_names_that_are_no_text() -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m\n")
    assert visible(name) == "caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}"
    page = _page((), Entry(name, False, 0, 0), Entry("back\\slash", False, 0, 0))
    assert page.links == ["./caf%E9%1B%5B31m%0A"]  # no target can ask for the other one
    assert "back\\slash" in page.texts
