"""URLs (MOD-25 to MOD-35, SEC-21, SEC-48). Expectations: the spec, and the WHATWG URL standard where it is cited."""

from __future__ import annotations

from urllib.parse import urlparse, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._errors import ArgumentTypeError, ArgumentValueError
from anywire.core._url import ParsedUrl, domain_to_ascii, is_ambiguous_ipv4, is_ipv4, parse_url


def parts(url: object) -> tuple[str, str, int | None, str, str | None]:
    parsed = parse_url(url)
    return parsed.protocol, parsed.hostname, parsed.port, parsed.path, parsed.auth


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        # MOD-27
        ("http://h", ("http:", "h", None, "/", None)),
        ("http://h/", ("http:", "h", None, "/", None)),
        ("http://h?x=1", ("http:", "h", None, "/?x=1", None)),
        ("http://h/a?x=1", ("http:", "h", None, "/a?x=1", None)),
        ("http://h:81/", ("http:", "h", 81, "/", None)),
        ("http://h:80/", ("http:", "h", None, "/", None)),
        ("https://h:443/", ("https:", "h", None, "/", None)),
        ("https://h:80/", ("https:", "h", 80, "/", None)),
        ("http://[::1]:81/", ("http:", "::1", 81, "/", None)),
        ("http://u:p@h/", ("http:", "h", None, "/", "u:p")),
        ("http://u@h/", ("http:", "h", None, "/", "u:")),
        ("http://:p@h/", ("http:", "h", None, "/", ":p")),
        ("http://@h/", ("http:", "h", None, "/", None)),
        ("http://:@h/", ("http:", "h", None, "/", None)),
        ("http://u%40x:p%3a%C3%A9@h/", ("http:", "h", None, "/", "u@x:p:é")),
        ("http://é@h/", ("http:", "h", None, "/", "é:")),
        # WHATWG, authority state: the last "@" counts, the first ":" before it
        ("http://u@v:p:q@h/", ("http:", "h", None, "/", "u@v:p:q")),
        # MOD-26
        ("http://EXAMPLE.Com/A", ("http:", "example.com", None, "/A", None)),
        ("HTTP://h/", ("http:", "h", None, "/", None)),
        ("http://h/a b", ("http:", "h", None, "/a%20b", None)),
        ("http://h/é?é#é", ("http:", "h", None, "/%C3%A9?%C3%A9", None)),
        ("http://h/a#frag?x", ("http:", "h", None, "/a", None)),
        ("http://h#f", ("http:", "h", None, "/", None)),
        ("http://bücher.example/", ("http:", "xn--bcher-kva.example", None, "/", None)),
        # MOD-35
        ("http://h:0/", ("http:", "h", None, "/", None)),
        ("http://h:/", ("http:", "h", None, "/", None)),
        ("http://h:00081/", ("http:", "h", 81, "/", None)),
        ("http://h:65535/", ("http:", "h", 65535, "/", None)),
        # WHATWG: spaces around are stripped, a backslash is a slash, slashes before the authority do not count
        ("  http://h/  ", ("http:", "h", None, "/", None)),
        ("http:\\\\h\\a\\b?\\", ("http:", "h", None, "/a/b?\\", None)),
        ("http:h/a", ("http:", "h", None, "/a", None)),
        ("http:///h/a", ("http:", "h", None, "/a", None)),
        # WHATWG, path state: dot segments, and what is encoded where
        ("http://h/a/./b/../c", ("http:", "h", None, "/a/c", None)),
        ("http://h/a/%2E%2e/b/%2e", ("http:", "h", None, "/b/", None)),
        ("http://h/../../a/..", ("http:", "h", None, "/", None)),
        ("http://h/a/.%2E", ("http:", "h", None, "/", None)),
        ("http://h/a/..b/...", ("http:", "h", None, "/a/..b/...", None)),
        ("http://h//a//", ("http:", "h", None, "//a//", None)),
        ("http://h/\"<>`{}'%zz%20|^", ("http:", "h", None, "/%22%3C%3E%60%7B%7D'%zz%20|^", None)),
        ("http://h/?\"<>`{}'%zz", ("http:", "h", None, "/?%22%3C%3E`{}%27%zz", None)),
        ("http://h/?", ("http:", "h", None, "/", None)),
        ("http://h/??a", ("http:", "h", None, "/??a", None)),
        # IPv4 in its one unambiguous spelling
        ("http://127.0.0.1/", ("http:", "127.0.0.1", None, "/", None)),
        ("http://255.255.255.0/", ("http:", "255.255.255.0", None, "/", None)),
        ("http://1.2.3.4.example/", ("http:", "1.2.3.4.example", None, "/", None)),
        ("http://%65xample/", ("http:", "example", None, "/", None)),
        # other schemes parse, so that the error can name the protocol (MOD-34)
        ("h:80", ("h:", "", None, "80", None)),
        ("foo://H:80", ("foo:", "H", 80, "/", None)),
        ("foo://u@h/a?b", ("foo:", "h", None, "/a?b", "u:")),
        ("foo:///a", ("foo:", "", None, "/a", None)),
        ("mailto:a@b?c", ("mailto:", "", None, "a@b?c", None)),
    ],
)
def test_parts(url: str, expected: tuple[object, ...]) -> None:
    assert parts(url) == expected


@pytest.mark.parametrize(
    ("literal", "host"),
    [
        # WHATWG, IPv6 serializer: lower case, the first longest run of zeros is compressed, never dotted
        ("::1", "::1"),
        ("::", "::"),
        ("1::", "1::"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("0:0:0:1:a0:0:0:1", "::1:a0:0:0:1"),
        ("a0:0:0:1:2:3:4:5", "a0::1:2:3:4:5"),
        ("::ffff:127.0.0.1", "::ffff:7f00:1"),
    ],
)
def test_ipv6(literal: str, host: str) -> None:
    assert parse_url(f"http://[{literal}]/").hostname == host


@pytest.mark.parametrize(
    "url",
    [
        "foo",  # MOD-32
        "",
        "/path",
        "//h/",
        "h",
        "1http://h/",
        "http://",
        "http:///",
        "http://?x",
        "http://u@/",
        "http://u:p@:80/",
        "http://:80/",
        "http://a b/",  # MOD-33
        "http://h:99999/",  # MOD-33
        "http://h:65536/",
        "http://h:1_0/",
        "http://h:٣/",
        "http://h:+1/",
        "http://h:8a/",
        "http://h:80:90/",
        "http://h:" + "1" * 5000 + "/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[1.2.3.4]/",
        "http://[fe80::1%25eth0]/",
        "http://::1/",
        "http://a<b/",
        "http://a^b/",
        "http://a|b/",
        "http://a%00b/",
        "http://a%2fb/",
        "http://a%zz/",
        "http://%ff/",
        "http://℀/",  # NFKC makes "a/c" of it
        "http://a\u200db/",
        "http://\u0301a/",
        "http://\u00ad/",  # nothing is left of it
        "http://xn--a/",
        "http://xn--abc-/",
        "http://xn--bcher-kv/",
        "http://\udc80/",
        "http://h/\ud800",
        "http://u%ff@h/",
        "foo://a b/",
        "foo://u@/",
        "foo://:80/",
    ],
)
def test_invalid(url: str) -> None:
    with pytest.raises(ArgumentValueError) as caught:
        parse_url(url)
    assert caught.value.code == "ERR_INVALID_URL"
    assert str(caught.value).startswith("Invalid URL: ")


def test_the_message_is_nodes() -> None:
    with pytest.raises(ArgumentValueError) as caught:
        parse_url("foo")
    assert str(caught.value) == "Invalid URL: foo"  # MOD-32
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("bad", [*map(chr, range(0x20)), "\x7f"])
@pytest.mark.parametrize(
    "where", ["{}http://h/", "http{}://h/", "http://h{}/", "http://h/a{}b", "http://h/?{}", "http://h/{}"]
)
def test_control_characters_raise_wherever_they_are(where: str, bad: str) -> None:
    # SEC-21. The WHATWG standard removes some and encodes the others.
    with pytest.raises(ArgumentValueError) as caught:
        parse_url(where.format(bad))
    assert caught.value.code == "ERR_INVALID_URL"
    assert bad not in str(caught.value)


AMBIGUOUS = [
    "2130706433", "0177.1", "127.1",  # SEC-48
    "0x7f.1", "0x7f000001", "0X7F.0.0.1", "127.0.0.01", "0177.0.0.1", "127.0.1", "0", "1.2.3.4.", "256.1.1.1",
    "1.2.3.4.5", "1.2.3.999", "0x", "a.0x1", "a.1", "1", "00.0.0.0",
]  # fmt: skip


@pytest.mark.parametrize("host", AMBIGUOUS)
def test_ambiguous_ipv4_is_an_error(host: str) -> None:
    assert is_ambiguous_ipv4(host)
    with pytest.raises(ArgumentValueError, match="ambiguous") as caught:
        parse_url(f"http://{host}/")
    assert caught.value.code == "ERR_INVALID_URL"


@pytest.mark.parametrize("host", ["１２７.１", "127。1", "%31%32%37.1", "0ⅹ7f.1"])
def test_ambiguous_ipv4_in_disguise(host: str) -> None:
    with pytest.raises(ArgumentValueError, match="ambiguous"):
        parse_url(f"http://{host}/")


@pytest.mark.parametrize("host", ["127.0.0.1", "a", "1a", "a1", "1.a", "0x7f.example", "0xg", "a.0xg", "-1"])
def test_names_and_plain_addresses_are_not_ambiguous(host: str) -> None:
    assert not is_ambiguous_ipv4(host)
    assert parse_url(f"http://{host}/").hostname == host


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_every_plain_address_is_one(numbers: tuple[int, ...]) -> None:
    text = ".".join(map(str, numbers))
    assert is_ipv4(text)
    assert parse_url(f"http://{text}/").hostname == text


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("example.com", "example.com"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        # UTS 46 non-transitional: not strasse.de, which is another name
        ("straße.de", "xn--strae-oqa.de"),
        ("STRAẞE.de", "xn--strae-oqa.de"),
        ("☃.net", "xn--n3h.net"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ．com", "example.com"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("soft\u00adhyphen.é", "softhyphen.xn--9ca"),
        ("a..b", "a..b"),
        ("e\u0301.fr", "xn--9ca.fr"),
    ],
)
def test_international_names(domain: str, ascii_form: str) -> None:
    assert domain_to_ascii(domain) == ascii_form


@pytest.mark.parametrize(
    "domain", ["é" * 64, "é." * 600, "xn--" + "a" * 60, "\u0300", "a\u0000é", "\ue000", "xn--\u00fc"]
)
def test_invalid_international_names(domain: str) -> None:
    with pytest.raises(ValueError):
        domain_to_ascii(domain)


def test_credentials_never_show() -> None:
    # SEC-45: an unescaped "/" in the password is why this URL is invalid.
    for url in ("http://user:sec/ret@h/", "/user:secret@h", "http://user:sec@ret@h:99999/", "http://a:secret@127.1"):
        with pytest.raises(ArgumentValueError) as caught:
            parse_url(url)
        assert "ret" not in str(caught.value)
    assert "secret" not in repr(parse_url("http://user:secret@h/"))


def test_the_message_shows_where_but_not_who() -> None:
    with pytest.raises(ArgumentValueError, match=r"^Invalid URL: http://\*\*\*@h:99999/ \("):
        parse_url("http://user:secret@h:99999/")


def test_parsed_url_objects_give_the_same() -> None:
    # MOD-25
    text = "http://u:p@h:81/a?b#c"
    assert parse_url(urlsplit(text)) == parse_url(urlparse(text)) == parse_url(text)
    parsed = parse_url(text)
    assert parse_url(parsed) is parsed


def test_equal_texts_are_parsed_once_and_long_ones_not_kept() -> None:
    assert parse_url("http://h/cached") is parse_url("http://h/cached")
    long = "http://h/" + "a" * 5000
    assert parse_url(long) == parse_url(long)
    assert parse_url(long) is not parse_url(long)


def test_a_str_subclass_is_a_str() -> None:
    class Text(str):
        __slots__ = ()

    assert parse_url(Text("http://h/")).hostname == "h"


@pytest.mark.parametrize("url", [b"http://h/", 5, object(), urlsplit(b"http://h/"), True])
def test_other_types(url: object) -> None:
    with pytest.raises(ArgumentTypeError, match='"url"') as caught:
        parse_url(url)
    assert caught.value.code == "ERR_INVALID_ARG_TYPE"


@given(st.text(max_size=60))
def test_any_text_parses_or_raises_one_error_and_is_sendable(text: str) -> None:
    try:
        parsed = parse_url("http://" + text)
    except ArgumentValueError:
        return
    # Whatever comes out can stand in a request line and in a Host header (RFC 9112 section 3.2).
    assert parsed.hostname
    assert all("\x21" <= c <= "\x7e" for c in parsed.hostname + parsed.path)
    assert "#" not in parsed.path
    assert parsed.path.startswith("/")
    assert not set(parsed.hostname) & set("/?#@\\ ")


@given(st.text(alphabet="abcdé./%2eE?#\\@:[]1", max_size=30))
def test_parsing_is_idempotent(text: str) -> None:
    try:
        parsed = parse_url("http://h/" + text)
    except ArgumentValueError:
        return
    again = parse_url("http://h" + parsed.path)
    assert again == ParsedUrl("http:", "h", None, parsed.path, None)
