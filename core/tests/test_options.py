"""The arguments of request() and get() (MOD-21 to MOD-69)."""

from __future__ import annotations

import base64
import math
import pathlib
import socket
from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest

from anywire.core._errors import AnywireError, ArgumentTypeError, ArgumentValueError
from anywire.core._names import TLS_OPTIONS, http_name, https_name
from anywire.core._options import (
    MAX_TIMEOUT,
    REQUEST_OPTIONS,
    RequestOptions,
    authorization_header,
    check_host_value,
    check_timeout,
    host_header,
    request_arguments,
    request_options,
    server_name,
)


class PlainAgent:
    protocol = "http:"
    default_port = 80

    def add_request(self, request: object, options: object) -> None:
        """Only its presence counts here (MOD-36)."""


class SecureAgent(PlainAgent):
    protocol = "https:"
    default_port = 443


HTTP, HTTPS = PlainAgent(), SecureAgent()


def http(url: object = None, /, **options: Any) -> RequestOptions:
    return request_options(url, options, default_agent=HTTP)


def https(url: object = None, /, **options: Any) -> RequestOptions:
    return request_options(url, options, secure=True, default_agent=HTTPS)


def fails(code: str, match: str = "", url: object = None, /, **options: Any) -> AnywireError:
    with pytest.raises(AnywireError, match=match or None) as caught:
        http(url, **options)
    assert caught.value.code == code
    expected: type[Exception] = TypeError if code == "ERR_INVALID_ARG_TYPE" else ValueError
    assert isinstance(caught.value, expected)
    return caught.value


def wanted(made: RequestOptions) -> tuple[object, ...]:
    """What a request to somewhere is made of."""
    return made.protocol, made.method, host_header(made), made.host, made.port, made.path, made.auth


class TestForms:
    def test_defaults(self) -> None:
        # MOD-21: request() is GET http://localhost/
        made = http()
        assert wanted(made) == ("http:", "GET", "localhost", "localhost", 80, "/", None)
        assert made.agent is None and made.headers is None and made.timeout is None and made.deadline is None
        assert made.set_host is True and made.replay is True and made.plain is True
        assert (made.max_header_size, made.max_headers_count, made.insecure_http_parser) == (None, None, None)
        assert (made.socket_path, made.local_address, made.family, made.lookup) == (None, None, None, None)
        assert (made.create_connection, made.servername, made.signal) == (None, None, None)
        assert (made.tls, made.socket_options) == ({}, {})
        assert made.default_port == 80

    def test_defaults_without_an_agent(self) -> None:
        assert wanted(request_options()) == wanted(http())
        assert wanted(request_options(secure=True)) == wanted(https())

    def test_secure_defaults(self) -> None:
        # MOD-65
        made = https("https://h/")
        assert wanted(made) == ("https:", "GET", "h", "h", 443, "/", None)
        assert host_header(https("https://h:80/")) == "h:80"

    def test_url(self) -> None:
        made = http("http://u:p@H:81/a?b#c")
        assert wanted(made) == ("http:", "GET", "h:81", "h", 81, "/a?b", "u:p")

    def test_parsed_url(self) -> None:
        # MOD-25
        text = "http://u:p@H:81/a?b#c"
        assert wanted(http(urlsplit(text))) == wanted(http(text))

    def test_options_win_per_key(self) -> None:
        # MOD-28
        made = http("http://u:p@h:81/a", path="/b", port=82, auth="x:y")
        assert wanted(made) == ("http:", "GET", "h:82", "h", 82, "/b", "x:y")

    def test_hostname_outranks_host(self) -> None:
        # MOD-29
        assert host_header(http("http://h:81/", host="other")) == "h:81"
        assert host_header(http("http://h:81/", hostname="other")) == "other:81"
        assert http(host="a", hostname="b").host == "b"
        assert http("http://h/", hostname="", host="other").host == "other"

    def test_none_is_not_given(self) -> None:
        names = sorted(REQUEST_OPTIONS - {"set_host"})
        made = http("http://u:p@h:81/a", **dict.fromkeys(names))
        assert wanted(made) == wanted(http("http://u:p@h:81/a"))
        assert made.tls == {} and made.socket_options == {}

    def test_only_own_keys_count(self) -> None:
        # MOD-30
        options: defaultdict[str, Any] = defaultdict(lambda: "x")
        options["host"] = "h"
        assert wanted(request_options(None, options)) == wanted(http(host="h"))
        assert list(options) == ["host"]

    def test_options_are_not_modified(self) -> None:
        # MOD-31
        inner: dict[str, Any] = {"ca": "x", "weird": 1}
        sockets = {"a": 1}
        options = {
            "host": "h",
            "port": "81",
            "headers": {"A": "b"},
            "tls": inner,
            "socket_options": sockets,
            "cert": "y",
        }
        kept = {**options, "headers": {"A": "b"}}
        made = request_options("https://x/", MappingProxyType(options), secure=True)
        assert options == kept and inner == {"ca": "x", "weird": 1}
        assert made.headers is options["headers"]  # untouched, checked and copied where the head is made
        inner["more"] = sockets["more"] = 2
        assert "more" not in made.tls and "more" not in made.socket_options

    def test_arguments(self) -> None:
        # MOD-21, MOD-24
        def callback() -> None: ...

        assert request_arguments() == (None, None, {})
        assert request_arguments(None) == (None, None, {})
        assert request_arguments(callback) == (None, callback, {})
        assert request_arguments("http://h/", callback, {"a": 1}) == ("http://h/", callback, {"a": 1})
        first = {"host": "h", "port": 1}
        assert request_arguments(first, callback, {"port": 2}) == (None, callback, {"host": "h", "port": 2})
        assert first == {"host": "h", "port": 1}
        with pytest.raises(ArgumentTypeError, match='"callback"'):
            request_arguments("http://h/", 5)

    @pytest.mark.parametrize("url", [5, b"http://h/", True, object()])
    def test_url_of_another_type(self, url: object) -> None:
        fails("ERR_INVALID_ARG_TYPE", '"url"', url)

    @pytest.mark.parametrize("url", ["foo", "", "http://h:99999/", "http://127.1/"])
    def test_bad_url(self, url: str) -> None:
        # MOD-32, MOD-33, SEC-48
        fails("ERR_INVALID_URL", "Invalid URL: ", url)


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [("timeuot", "timeout"), ("header", "headers"), ("maxHeaderSize", "max_header_size"), ("Method", "method"),
         ("rejectUnauthorized", "reject_unauthorized"), ("keepalive_timeout", "")],
    )  # fmt: skip
    def test_a_typo_is_an_error_that_helps(self, name: str, meant: str) -> None:
        error = fails("ERR_INVALID_ARG_TYPE", f'Unknown option "{name}"', **{name: 1})
        assert f'did you mean "{meant}"' in str(error) or not meant

    def test_nothing_close(self) -> None:
        assert "did you mean" not in str(fails("ERR_INVALID_ARG_TYPE", "zzzzzzzz", zzzzzzzz=1))

    def test_names_are_text(self) -> None:
        with pytest.raises(ArgumentTypeError):
            request_options(None, {5: 1})  # type: ignore[dict-item]

    def test_explicit_mappings_pass(self) -> None:
        # MOD-61
        made = http(socket_options={"no_such": 1}, tls={"neither": 2})
        assert made.socket_options == {"no_such": 1}
        assert made.tls == {"neither": 2}

    @pytest.mark.parametrize("name", ["socket_options", "tls"])
    def test_they_must_be_mappings(self, name: str) -> None:
        fails("ERR_INVALID_ARG_TYPE", name, **{name: [("a", 1)]})


class TestAgent:
    def test_accepted(self) -> None:
        # MOD-36: handed through untouched
        other = PlainAgent()
        assert http(agent=other).agent is other
        assert http(agent=None).agent is None
        assert http(agent=False).agent is False

    @pytest.mark.parametrize("agent", [True, {}, 5, "agent", 0, object()])
    def test_rejected(self, agent: object) -> None:
        error = fails("ERR_INVALID_ARG_TYPE", agent=agent)
        assert str(error).startswith(
            'The "options.agent" property must be one of Agent-like Object, undefined, or false.'
        )

    def test_the_agents_port_is_the_default(self) -> None:
        # MOD-42
        class Odd(PlainAgent):
            default_port = 8080

        assert wanted(http(agent=Odd(), host="h"))[2:5] == ("h", "h", 8080)
        assert host_header(http("http://h:80/", agent=Odd())) == "h"

    def test_create_connection(self) -> None:
        # MOD-37, MOD-38, MOD-40
        def connect() -> None: ...

        assert http(create_connection=connect).create_connection is connect
        assert http(create_connection=connect, agent=HTTP).create_connection is None
        assert http(create_connection=connect, agent=False).create_connection is None
        # Node ignores what cannot be called (MOD-40); a connection made some other way than asked for is a surprise.
        fails("ERR_INVALID_ARG_TYPE", "create_connection", create_connection=5)
        assert host_header(https(create_connection=connect)) == "localhost"


class TestProtocol:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            # MOD-34
            ("https://h/", 'Protocol "https:" not supported. Expected "http:"'),
            ("h:80", 'Protocol "h:" not supported. Expected "http:"'),
            ("ftp://h/", 'Protocol "ftp:" not supported. Expected "http:"'),
        ],
    )
    def test_not_the_agents(self, url: str, message: str) -> None:
        assert str(fails("ERR_INVALID_PROTOCOL", "", url)) == message

    def test_https_module(self) -> None:
        # MOD-66
        cases: list[tuple[str | None, dict[str, Any]]]
        cases = [("http://h/", {}), (None, {"protocol": "http:"}), (None, {"agent": HTTP})]
        for url, options in cases:
            with pytest.raises(ArgumentValueError) as caught:
                https(url, **options)
            assert caught.value.code == "ERR_INVALID_PROTOCOL"

    def test_https_agent_with_http(self) -> None:
        # MOD-67
        fails("ERR_INVALID_PROTOCOL", agent=HTTPS)
        made = http(agent=HTTPS, protocol="https:", host="h")
        assert wanted(made) == ("https:", "GET", "h", "h", 443, "/", None)

    def test_explicit(self) -> None:
        # MOD-57
        assert http(protocol="http:").protocol == "http:"
        fails("ERR_INVALID_PROTOCOL", protocol="http")
        fails("ERR_INVALID_PROTOCOL", protocol=5)


class TestTarget:
    @pytest.mark.parametrize("path", ["/", "*", "?q=1", "http://other/", "/\x7f\x80\xff", "/#x", "a"])
    def test_verbatim(self, path: str) -> None:
        # MOD-55
        assert http("http://h/url", path=path).path == path

    @pytest.mark.parametrize("path", ["", None])
    def test_absent(self, path: object) -> None:
        assert http(path=path).path == "/"
        assert http("http://h/url", path=path).path == "/url"

    def test_converted(self) -> None:
        assert http(path=5).path == "5"
        assert http(path=pathlib.PurePosixPath("/a")).path == "/a"
        fails("ERR_INVALID_ARG_TYPE", "path", path=b"/a")

    @pytest.mark.parametrize("bad", [*map(chr, range(0x21)), "Ā", "€"])
    def test_unescaped(self, bad: str) -> None:
        # MOD-56, SEC-21
        fails("ERR_UNESCAPED_CHARACTERS", path=f"/a{bad}b")

    @pytest.mark.parametrize(
        ("method", "sent"),
        [(None, "GET"), ("", "GET"), ("get", "GET"), ("FOO", "FOO"), ("m-search", "M-SEARCH"), ("DELETE", "DELETE")],
    )
    def test_method(self, method: object, sent: str) -> None:
        # MOD-3, MOD-54
        assert http(method=method).method == sent

    def test_bad_method(self) -> None:
        assert str(fails("ERR_INVALID_HTTP_TOKEN", method="A B")) == 'Method must be a valid HTTP token ["A B"]'
        fails("ERR_INVALID_HTTP_TOKEN", method="GET / HTTP/1.1\r\nX:")
        fails("ERR_INVALID_ARG_TYPE", "method", method=5)
        fails("ERR_INVALID_ARG_TYPE", "method", method=[])


class TestHost:
    @pytest.mark.parametrize(
        ("options", "host", "header"),
        [
            ({}, "localhost", "localhost"),
            ({"host": ""}, "localhost", "localhost"),
            ({"host": "H.example"}, "H.example", "H.example"),
            # WIR-27
            ({"host": "h", "port": 81}, "h", "h:81"),
            ({"host": "h", "port": 80}, "h", "h"),
            ({"host": "::1", "port": 81}, "::1", "[::1]:81"),
            ({"host": "[::1]", "port": 81}, "::1", "[::1]:81"),
            ({"host": "::1"}, "::1", "[::1]"),
            ({"host": "127.0.0.1"}, "127.0.0.1", "127.0.0.1"),
            # RFC 6874 section 4: the zone is ours alone
            ({"host": "fe80::1%eth0"}, "fe80::1%eth0", "[fe80::1]"),
            # MOD-42
            ({"host": "h", "port": 81, "default_port": 81}, "h", "h"),
            ({"host": "h", "default_port": 81}, "h", "h"),
            ({"host": "h", "port": 80, "default_port": 81}, "h", "h:80"),
            # MOD-59
            ({"socket_path": "/x"}, "localhost", "localhost"),
            ({"socket_path": "/x", "host": "h"}, "h", "h"),
            # the name resolved is the name sent
            ({"host": "bücher.example"}, "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ],
    )
    def test_forms(self, options: dict[str, Any], host: str, header: str) -> None:
        made = http(**options)
        assert (made.host, host_header(made)) == (host, header)

    @pytest.mark.parametrize("url", ["http://[::1]:81/", urlsplit("http://[::1]:81/")])
    def test_ipv6_in_a_url(self, url: object) -> None:
        made = http(url)
        assert (made.host, host_header(made)) == ("::1", "[::1]:81")

    @pytest.mark.parametrize("name", ["host", "hostname"])
    @pytest.mark.parametrize("value", [5, True, b"h", ["h"], 0])
    def test_types(self, name: str, value: object) -> None:
        # MOD-44
        fails("ERR_INVALID_ARG_TYPE", f"options.{name}", **{name: value})

    @pytest.mark.parametrize("name", ["host", "hostname"])
    @pytest.mark.parametrize(
        "value",
        [
            "2130706433", "0177.1", "127.1",  # SEC-48
            "h\r\nX: y", "a b", "h\0", "h\t",  # SEC-21
            "http://h", "h/path", "u@h", "h?x", "h#x", "h:80", "[h]", "[127.0.0.1]", "[::1", "a\ud800", "é" * 64, "℀",
        ],
    )  # fmt: skip
    def test_refused(self, name: str, value: str) -> None:
        error = fails("ERR_INVALID_ARG_VALUE", f"options.{name}", **{name: value})
        assert "\r" not in str(error)

    def test_host_is_checked_even_if_hostname_wins(self) -> None:
        fails("ERR_INVALID_ARG_TYPE", "options.host", "http://h/", host=5)

    @pytest.mark.parametrize(
        ("value", "there"),
        [(True, True), (1, True), ("x", True), (False, False), (0, False), (None, False), ("", False)],
    )
    def test_set_host(self, value: object, there: bool) -> None:
        # MOD-58: any falsy value other than absent
        assert http(set_host=value).set_host is there

    def test_host_given_by_the_caller(self) -> None:
        # MOD-49
        assert check_host_value("x") == "x"
        assert check_host_value("") == ""
        for value in (5, None, ["x"], b"x"):
            with pytest.raises(ArgumentTypeError, match=r"options\.headers\.host"):
                check_host_value(value)


class TestPort:
    @pytest.mark.parametrize(
        ("port", "used"),
        [(81, 81), ("81", 81), ("00081", 81), (81.0, 81), (65535, 65535), (0, 80), ("", 80), (None, 80), ("0", 80)],
    )
    def test_accepted(self, port: object, used: int) -> None:
        # MOD-43
        assert http(port=port).port == used

    def test_the_urls_port_stays(self) -> None:
        assert http("http://h:81/", port=None).port == 81
        assert http("http://h:81/", host="x").port == 81
        assert http("http://h:81/", default_port=82).port == 81

    @pytest.mark.parametrize(
        "port",
        [65536, -1, 80.5, math.nan, math.inf, "x", "80x", " 80", "+80", "8_0", "٣", "-1", "65536", "9" * 5000],
    )
    def test_bad(self, port: object) -> None:
        fails("ERR_SOCKET_BAD_PORT", "Port should be >= 0 and < 65536. Received ", port=port)

    def test_message(self) -> None:
        assert str(fails("ERR_SOCKET_BAD_PORT", port=65536)) == "Port should be >= 0 and < 65536. Received 65536."

    @pytest.mark.parametrize("port", [True, [], b"80", {}])
    def test_types(self, port: object) -> None:
        fails("ERR_INVALID_ARG_TYPE", r"options\.port", port=port)


class TestDurations:
    NAMES = ("timeout", "deadline", "queue_timeout", "connect_timeout", "head_timeout", "idle_timeout")

    @pytest.mark.parametrize("name", NAMES)
    def test_seconds(self, name: str) -> None:
        value = getattr(http(**{name: 3}), name)
        assert value == 3.0 and type(value) is float
        assert getattr(http(**{name: 0.25}), name) == 0.25
        assert getattr(http(), name) is None

    def test_zero_is_none(self) -> None:
        # MOD-60. For `timeout` it says more than "not given": the agent's does not apply.
        assert http(timeout=0).timeout == 0.0
        for name in self.NAMES[1:]:
            assert getattr(http(**{name: 0}), name) is None

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [-1, -0.001, math.nan, math.inf, -math.inf])
    def test_out_of_range(self, name: str, value: float) -> None:
        fails("ERR_OUT_OF_RANGE", f'"{name}"', **{name: value})

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", ["5", True, [], b"1"])
    def test_not_a_number(self, name: str, value: object) -> None:
        fails("ERR_INVALID_ARG_TYPE", f'"{name}"', **{name: value})

    def test_too_long(self) -> None:
        # MOD-60
        with pytest.warns(RuntimeWarning, match="timeout"):
            assert http(timeout=1e12).timeout == MAX_TIMEOUT
        assert http(timeout=MAX_TIMEOUT).timeout == MAX_TIMEOUT == 2147483.647

    def test_a_huge_integer(self) -> None:
        with pytest.warns(RuntimeWarning):
            assert http(timeout=10**400).timeout == MAX_TIMEOUT

    def test_set_timeout_names_its_argument(self) -> None:
        # CLI-95
        with pytest.raises(ArgumentValueError, match='"msecs"'):
            check_timeout(-1, "msecs")
        with pytest.raises(ArgumentTypeError, match='"msecs" argument'):
            check_timeout(None, "msecs")


class TestLimits:
    @pytest.mark.parametrize("name", ["max_header_size", "max_headers_count"])
    def test_sizes(self, name: str) -> None:
        # MOD-53 (as MOD-17)
        assert getattr(http(**{name: 50000}), name) == 50000
        assert type(getattr(http(**{name: 5.0}), name)) is int
        for value in (-1, 1.5, math.nan, math.inf):
            fails("ERR_OUT_OF_RANGE", name, **{name: value})
        wrong: object
        for wrong in ("5", True, {}):
            fails("ERR_INVALID_ARG_TYPE", name, **{name: wrong})

    def test_zero(self) -> None:
        assert http(max_header_size=0).max_header_size is None  # MOD-17: the default
        assert http(max_headers_count=0).max_headers_count == 0  # CLI-30: unlimited

    @pytest.mark.parametrize("name", ["insecure_http_parser", "replay"])
    def test_exactly_bool(self, name: str) -> None:
        # MOD-50 (as MOD-18)
        assert getattr(http(**{name: True}), name) is True
        assert getattr(http(**{name: False}), name) is False
        for value in (0, 1, "x", ""):
            fails("ERR_INVALID_ARG_TYPE", name, **{name: value})


class TestHeaders:
    @pytest.mark.parametrize("headers", [{}, {"A": "b"}, [], [["A", "b"]], (("A", "b"),), MappingProxyType({"A": "b"})])
    @pytest.mark.parametrize("more", [{}, {"host": "h"}])
    def test_untouched(self, headers: object, more: dict[str, Any]) -> None:
        assert http(headers=headers, **more).headers is headers

    @pytest.mark.parametrize("headers", [5, "A: b", b"A: b", True, {"A"}, iter([])])
    @pytest.mark.parametrize("more", [{}, {"host": "h"}])
    def test_refused(self, headers: object, more: dict[str, Any]) -> None:
        # MOD-46
        fails("ERR_INVALID_ARG_TYPE", r"options\.headers", headers=headers, **more)

    def test_auth(self) -> None:
        # MOD-41
        auth = "user:pässword€" + "x" * 100
        value = authorization_header(auth)
        assert value.startswith("Basic ") and "\n" not in value
        assert base64.b64decode(value[6:]).decode() == auth
        assert http(auth="").auth is None
        assert http("http://u:p@h/", auth="").auth is None
        fails("ERR_INVALID_ARG_TYPE", "auth", auth=5)
        fails("ERR_INVALID_ARG_TYPE", "auth", auth=("u", "p"))


class TestConnection:
    def test_socket_path(self) -> None:
        # MOD-59
        assert http(socket_path="/x").socket_path == "/x"
        assert http(socket_path=pathlib.PurePosixPath("/x")).socket_path == "/x"
        assert http(socket_path="\0abstract").socket_path == "\0abstract"
        assert http(socket_path="").socket_path is None
        fails("ERR_INVALID_ARG_VALUE", "socket_path", socket_path="/x\0y")
        for value in (5, b"/x", True):
            fails("ERR_INVALID_ARG_TYPE", "socket_path", socket_path=value)

    @pytest.mark.parametrize("address", ["127.0.0.1", "::1", "fe80::1%eth0"])
    def test_local_address(self, address: str) -> None:
        # MOD-51
        assert http(local_address=address).local_address == address

    @pytest.mark.parametrize("address", ["foo", "127.1", "0177.0.0.1", 5, "127.0.0.1:80", "127.0.0.1 ", b"\x7f\0\0\1"])
    def test_bad_local_address(self, address: object) -> None:
        fails("ERR_INVALID_IP_ADDRESS", "Invalid IP address: ", local_address=address)

    @pytest.mark.parametrize(
        ("family", "used"),
        [(4, 4), (6, 6), (0, None), (None, None), (socket.AF_UNSPEC, None), (socket.AF_INET, 4), (socket.AF_INET6, 6)],
    )
    def test_family(self, family: object, used: int | None) -> None:
        # MOD-45; and what a Python programmer would write
        assert http(family=family).family == used

    @pytest.mark.parametrize(
        ("family", "code"), [(5, "VALUE"), (-4, "VALUE"), ("4", "TYPE"), ([], "TYPE"), (socket.AF_UNIX, "VALUE")]
    )
    def test_bad_family(self, family: object, code: str) -> None:
        # Node ignores these (MOD-45): connecting over the family that was not asked for.
        fails(f"ERR_INVALID_ARG_{code}", "family", family=family)

    def test_lookup(self) -> None:
        # MOD-52
        assert http(lookup=print).lookup is print
        fails("ERR_INVALID_ARG_TYPE", "lookup", lookup="x")

    def test_signal(self) -> None:
        token = Token()
        assert http(signal=token).signal is token  # MOD-L2


class Token:
    """What MOD-L2 wants of a signal."""

    aborted = False

    def once(self, event: str, listener: object) -> None: ...


class TestTls:
    def test_collected(self) -> None:
        made = https(ca="x", reject_unauthorized=False, servername="s", tls={"ca": "under", "cert": "y", "key": None})
        assert made.tls == {"ca": "x", "reject_unauthorized": False, "servername": "s", "cert": "y"}
        assert made.servername == "s"

    @pytest.mark.parametrize("value", [0, 1, "", "false", []])
    @pytest.mark.parametrize("flag", ["reject_unauthorized", "check_hostname"])
    def test_verification_flags(self, flag: str, value: object) -> None:
        # SEC-42
        fails("ERR_INVALID_ARG_TYPE", flag, **{flag: value})
        fails("ERR_INVALID_ARG_TYPE", flag, tls={flag: value})

    def test_flag_none_is_the_default(self) -> None:
        assert https(reject_unauthorized=None).tls == {}

    def test_servername_type(self) -> None:
        fails("ERR_INVALID_ARG_TYPE", "servername", servername=5)

    @pytest.mark.parametrize(
        ("url", "options", "host_field", "name"),
        [
            # MOD-69
            ("https://h/", {}, None, "h"),
            ("https://h/", {}, "other:81", "other"),
            ("https://h/", {}, "[::1]:81", ""),
            ("https://h/", {}, "10.0.0.1", ""),
            ("https://127.0.0.1/", {}, None, ""),
            ("https://127.0.0.1/", {}, "name", "name"),
            ("https://[::1]/", {}, None, ""),
            ("https://h/", {"servername": "s"}, "other", "s"),
            ("https://h/", {"servername": ""}, "other", ""),
        ],
    )
    def test_server_name(self, url: str, options: dict[str, Any], host_field: str | None, name: str) -> None:
        assert server_name(https(url, **options), host_field) == name


class TestOrder:
    def test_validation_order(self) -> None:
        # MOD-62; unknown names first, as they would be in a Python signature.
        bad: list[tuple[str, Any, str]] = [
            ("zzz", 1, "zzz"),
            ("url", "foo", "Invalid URL"),
            ("agent", 5, "options.agent"),
            ("path", "/ ", "unescaped"),
            ("protocol", "x:", 'Protocol "x:"'),
            ("hostname", 5, "options.hostname"),
            ("host", 5, "options.host"),
            ("timeout", "x", '"timeout"'),
            ("method", 5, "options.method"),
            ("max_header_size", "x", "max_header_size"),
            ("insecure_http_parser", "x", "insecure_http_parser"),
            ("headers", 5, "options.headers"),
            ("port", [], "options.port"),
            ("local_address", "x", "Invalid IP"),
            ("lookup", 5, "options.lookup"),
        ]
        while bad:
            options = {name: value for name, value, _ in bad}
            with pytest.raises(AnywireError) as caught:
                http(options.pop("url", None), **options)
            assert bad[0][2] in str(caught.value)
            del bad[0]

    def test_every_option_does_something(self) -> None:
        """An option that is known but unused would be a silently ignored one."""
        shown = set(dir(RequestOptions)) | TLS_OPTIONS | {"hostname"}
        assert shown >= REQUEST_OPTIONS


class Context:
    """What tells an ``SSLContext``."""

    def wrap_bio(self) -> None: ...


class TestConnectionOptions:
    def test_plain(self) -> None:
        made = http("http://h/").connection_options()
        assert made == {"host": "h", "port": 80, "path": None}
        assert http_name(made) == "h:80:"  # AGT-17
        assert https_name(https("https://h/").connection_options()) == "h:443:" + ":" * 17

    @pytest.mark.parametrize("url", ["http://h/", "http://h:81/x", "http://[::1]:81/", "http://127.0.0.1/", None])
    def test_the_short_name_is_what_the_rules_say(self, url: str | None) -> None:
        made = http(url)
        assert made.plain
        assert made.name == http_name(made.connection_options())

    def test_everything(self) -> None:
        made = https(
            "https://h:1/", family=4, socket_path="/x", local_address="1.2.3.4", lookup=print, ca="c", servername="s",
            tls={"odd": 1}, socket_options={"no_delay": True},
        ).connection_options()  # fmt: skip
        assert made == {
            "host": "h", "port": 1, "path": "/x", "family": 4, "socket_path": "/x", "local_address": "1.2.3.4",
            "lookup": print, "ca": "c", "servername": "s", "tls": {"odd": 1}, "socket_options": {"no_delay": True},
        }  # fmt: skip
        assert http_name(made).startswith("h:1:1.2.3.4:4:/x")

    @pytest.mark.parametrize(
        "change",
        [
            {"hostname": "other"}, {"port": 2}, {"local_address": "127.0.0.1"}, {"servername": "s"}, {"ca": "x"},
            {"alpn_protocols": ["x"]}, {"cert": "x"}, {"reject_unauthorized": False}, {"check_hostname": False},
            {"socket_path": "/x"}, {"family": 4}, {"tls": {"x": 1}}, {"socket_options": {"x": 1}},
            {"ssl_context": Context()},
        ],
    )  # fmt: skip
    def test_any_change_is_another_name(self, change: Mapping[str, Any]) -> None:
        # ASK-39
        same = https_name(https("https://h:1/").connection_options())
        assert https_name(https("https://h:1/", method="POST", path="/x", timeout=5).connection_options()) == same
        assert https_name(https("https://h:1/", **change).connection_options()) != same
