"""The reader of case documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from anywire.conformance.documents import DocumentError, load, load_folder, unescape
from anywire.conformance.parsing import setup_of

GOOD = r"""# A file

Words before the first case, and a block of no case:

```sh
make
```

## First

Shows: WIR-1, RFC 9112 section 3.2.1, MSG-L1
Role: request
Limits: max_header_size=10, max_trailer_size=5

```input
a\r\n
b
<EOF>
```

Words between the blocks.

```log
one {{x*3}}
two
```

## Second

Shows: SEC-1
Role: response
Method: HEAD
Lenient: yes
Then: rest

```input
{{ab\n*2}}
```
"""


def test_load(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text(GOOD, encoding="utf-8")
    (tmp_path / "a.md").write_text("# Nothing\n", encoding="utf-8")
    first, second = load_folder(tmp_path)
    assert (first.title, first.name) == ("First", "b:9 First")
    assert first.shows == ("WIR-1", "RFC 9112 section 3.2.1", "MSG-L1")
    assert first.input() == (b"a\r\nb", True)
    assert first.lines() == ["one xxx", "two"]
    assert second.input() == (b"ab\nab\n", False)
    setup = setup_of(first)
    assert (setup.role, setup.lenient, setup.method, setup.take_rest) == ("request", False, None, False)
    assert (setup.limits.max_header_size, setup.limits.max_trailer_size) == (10, 5)
    setup = setup_of(second)
    assert (setup.role, setup.lenient, setup.method, setup.take_rest) == ("response", True, "HEAD", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(r"a\r\n\t\0\\\x7fb", b"a\r\n\t\0\\\x7fb"), (r"{{a\x00*3}}", b"a\0a\0a\0"), ("{a*3}", b"{a*3}"), ("", b"")],
)
def test_unescape(text: str, expected: bytes) -> None:
    assert unescape(text) == expected


@pytest.mark.parametrize("text", ["\\q", "\\x0", "é", "a\\"])
def test_unescape_refuses(text: str) -> None:
    with pytest.raises(DocumentError):
        unescape(text)


@pytest.mark.parametrize(
    "text", ["## A\n", "## A\nShows: WIR-x\n", "## A\nShows: WIR-1\n```log\nx\n", "## A\nShows: SEC-1, and more\n"]
)
def test_load_refuses(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"x\.md"):
        load(path)


def test_an_unknown_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("## A\nShows: WIR-1\nRole: request\nLimits: max_nothing=1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="max_nothing"):
        setup_of(load(path)[0])
