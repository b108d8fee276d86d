"""Sizes and log lines."""

from __future__ import annotations

import pytest

from anywire.cli._words import access_line, human_bytes, parse_size, printable, url_host


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1000", 1000), ("1K", 1024), ("64m", 64 << 20), ("1G", 1 << 30), ("2 GiB", 2 << 30), ("1MB", 1 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1.5G", "1X", "1GG", "9" * 16])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_human_bytes() -> None:
    assert [human_bytes(n) for n in (0, 1023, 1536, 1 << 20, 5 << 40)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "1.0 MiB",
        "5120.0 GiB",
    ]


def test_a_log_line_is_one_line_without_controls() -> None:
    line = access_line("::1", 'GET /"\\ HTTP/1.1', 200, 5, 0.0015, 784111777, "a\r\nb\x1b[31m\x9b\xe9\t")
    assert line == (r'::1 1994-11-06T08:49:37Z "GET /\"\\ HTTP/1.1" 200 5 0.002 "a\r\nb\x1b[31m\x9b\xe9\t"')
    assert access_line(None, "GET / HTTP/1.0", 404, 0, 0, 0).endswith('404 0 0.000 "-"')


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0xD800])
def test_nothing_that_steers_a_terminal(code: int) -> None:
    assert printable(chr(code)).isascii() and printable(chr(code)).isprintable()


def test_hosts_in_urls() -> None:
    assert url_host("::1") == "[::1]" and url_host("localhost") == "localhost"
