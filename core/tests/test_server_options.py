"""The arguments of create_server() and listen(), and process-wide settings (MOD-9 to MOD-20, SRV-75 to SRV-80)."""

from __future__ import annotations

import math
import pathlib
from types import MappingProxyType
from typing import Any

import pytest

from anywire.core._errors import AnywireError, ArgumentTypeError, ArgumentValueError
from anywire.core._server_options import (
    ListenOptions,
    ProcessSettings,
    ServerOptions,
    listen_options,
    process_settings,
    server_arguments,
    server_options,
)


def listener() -> None: ...


class TestServerOptions:
    def test_defaults(self) -> None:
        # spec/README.md decision 2, spec/pythonic.md; SRV-46, SRV-47, SRV-49, SRV-60
        made = server_options()
        assert made == ServerOptions()
        assert (made.timeout, made.keep_alive_timeout, made.headers_timeout, made.request_timeout) == (
            0.0,
            5.0,
            60.0,
            300.0,
        )
        assert (made.max_header_size, made.max_headers_count) == (16384, 2000)
        assert (made.max_connections, made.max_requests_per_socket) == (None, 0)
        assert (made.http_allow_half_open, made.require_host_header) == (False, True)
        assert made.insecure_http_parser is None
        assert made.max_buffered == 65536 and made.max_drain > 0
        assert made.tls == {}

    def test_forms(self) -> None:
        # MOD-13
        options = {"timeout": 5}
        assert server_arguments() == (None, ServerOptions())
        assert server_arguments(None) == (None, ServerOptions())
        assert server_arguments(None, listener) == (listener, ServerOptions())
        assert server_arguments(listener) == (listener, ServerOptions())
        assert server_arguments(options) == (None, ServerOptions(timeout=5.0))
        assert server_arguments(options, listener) == (listener, ServerOptions(timeout=5.0))
        assert server_arguments(options, listener, {"timeout": 6}) == (listener, ServerOptions(timeout=6.0))
        assert options == {"timeout": 5}  # MOD-20

    @pytest.mark.parametrize("options", [5, "x", True, []])
    def test_options_type(self, options: object) -> None:
        # MOD-14
        with pytest.raises(
            ArgumentTypeError, match=r'^The "options" argument must be of type object\. Received '
        ) as caught:
            server_arguments(options)
        assert caught.value.code == "ERR_INVALID_ARG_TYPE"

    def test_listener_type(self) -> None:
        # MOD-15
        with pytest.raises(ArgumentTypeError, match='"listener"'):
            server_arguments(None, 5)
        with pytest.raises(ArgumentTypeError):
            server_arguments(listener, 5)

    def test_classes(self) -> None:
        # MOD-16
        made = server_options({"incoming_message_class": int, "server_response_class": str})
        assert (made.incoming_message_class, made.server_response_class) == (int, str)
        with pytest.raises(ArgumentTypeError, match="server_response_class"):
            server_options({"server_response_class": 5})

    def test_options_are_copied(self) -> None:
        # MOD-20
        inner = {"ca": "x"}
        options: dict[str, Any] = {"timeout": 5, "tls": inner}
        made = server_options(MappingProxyType(options))
        options["timeout"] = 6
        inner["ca"] = "y"
        assert (made.timeout, made.tls) == (5.0, {"ca": "x"})

    def test_max_header_size(self) -> None:
        # MOD-17
        assert server_options({"max_header_size": 100}).max_header_size == 100
        assert server_options({"max_header_size": 0}).max_header_size == 16384
        settings = ProcessSettings(max_header_size=8192)
        assert server_options(settings=settings).max_header_size == 8192
        assert server_options({"max_header_size": 0}, settings=settings).max_header_size == 8192
        assert server_options({"max_header_size": 100}, settings=settings).max_header_size == 100

    @pytest.mark.parametrize(
        "name",
        [
            "max_header_size",
            "max_headers_count",
            "max_connections",
            "max_requests_per_socket",
            "max_buffered",
            "max_drain",
            "max_trailer_size",
            "max_chunk_extension_size",
        ],
    )
    def test_sizes(self, name: str) -> None:
        assert getattr(server_options({name: 7}), name) == 7
        for value in (-1, 1.5, math.nan, math.inf):
            with pytest.raises(ArgumentValueError, match=name) as caught:
                server_options({name: value})
            assert caught.value.code == "ERR_OUT_OF_RANGE"
        wrong: object
        for wrong in ("7", True, {}):
            with pytest.raises(ArgumentTypeError, match=name):
                server_options({name: wrong})

    def test_at_max_connections(self) -> None:
        # ASK-44
        assert server_options().at_max_connections == "drop"
        assert server_options({"at_max_connections": None}).at_max_connections == "drop"
        assert server_options({"at_max_connections": "pause"}).at_max_connections == "pause"
        with pytest.raises(ArgumentValueError, match=r"at_max_connections.*'drop' or 'pause'.*wait"):
            server_options({"at_max_connections": "wait"})
        with pytest.raises(ArgumentTypeError, match="at_max_connections"):
            server_options({"at_max_connections": True})

    @pytest.mark.parametrize(
        "name",
        ["timeout", "keep_alive_timeout", "headers_timeout", "request_timeout", "write_timeout", "linger_timeout"],
    )
    def test_durations(self, name: str) -> None:
        assert getattr(server_options({name: 7}), name) == 7.0
        assert getattr(server_options({name: 0}), name) == 0.0
        for value in (-1, math.nan, math.inf):
            with pytest.raises(ArgumentValueError, match=name) as caught:
                server_options({name: value})
            assert caught.value.code == "ERR_OUT_OF_RANGE"
        with pytest.raises(ArgumentTypeError, match=name):
            server_options({name: "7"})

    @pytest.mark.parametrize("name", ["insecure_http_parser", "http_allow_half_open", "require_host_header"])
    def test_bools(self, name: str) -> None:
        # MOD-18
        assert getattr(server_options({name: True}), name) is True
        assert getattr(server_options({name: False}), name) is False
        for value in (0, 1, "x", ""):
            with pytest.raises(ArgumentTypeError, match=name):
                server_options({name: value})

    def test_none_is_not_given(self) -> None:
        names = list(ServerOptions.__dataclass_fields__)
        assert server_options(dict.fromkeys(names)) == ServerOptions()

    def test_unknown_name(self) -> None:
        with pytest.raises(ArgumentTypeError, match='"keepAliveTimeout"; did you mean "keep_alive_timeout"'):
            server_options({"keepAliveTimeout": 5})

    def test_allow_half_open_is_ignored(self) -> None:
        # MOD-19
        assert server_options({"allow_half_open": False}) == ServerOptions()

    def test_tls(self) -> None:
        # MOD-74
        assert server_options({"cert": "c", "tls": {"key": "k"}}).tls == {"cert": "c", "key": "k"}
        with pytest.raises(ArgumentTypeError, match="reject_unauthorized"):
            server_options({"reject_unauthorized": 0})


class TestProcessSettings:
    def test_nothing_set(self) -> None:
        made = process_settings({})
        assert (made.max_header_size, made.insecure_http_parser) == (16384, False)  # MOD-7
        assert made.effective_max_header_size() == 16384

    def test_max_header_size(self) -> None:
        # MOD-9
        made = process_settings({"ANYWIRE_MAX_HTTP_HEADER_SIZE": "8192"})
        assert made.max_header_size == 8192
        assert made.effective_max_header_size() == 8192
        assert made.effective_max_header_size(100) == 100
        zero = process_settings({"ANYWIRE_MAX_HTTP_HEADER_SIZE": "0"})
        assert zero.max_header_size == 0
        assert zero.effective_max_header_size() == 16384

    @pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
    def test_insecure(self, value: str) -> None:
        # MOD-10: the warning comes once, when the first parser is set up.
        made = process_settings({"ANYWIRE_INSECURE_HTTP_PARSER": value})
        assert made.insecure_http_parser is True
        assert made.use_insecure_parser(False) is False
        assert made.use_insecure_parser(True) is True
        with pytest.warns(RuntimeWarning, match="^Using insecure HTTP parsing$"):
            assert made.use_insecure_parser() is True
        assert made.use_insecure_parser() is True

    @pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
    def test_secure(self, value: str) -> None:
        made = process_settings({"ANYWIRE_INSECURE_HTTP_PARSER": value})
        assert made.use_insecure_parser() is False

    @pytest.mark.parametrize(
        "environ",
        [
            {"ANYWIRE_MAX_HTTP_HEADER_SIZE": "8k"},
            {"ANYWIRE_MAX_HTTP_HEADER_SIZE": "-1"},
            {"ANYWIRE_MAX_HTTP_HEADER_SIZE": "٣"},
            {"ANYWIRE_MAX_HTTP_HEADER_SIZE": "9" * 5000},
            {"ANYWIRE_INSECURE_HTTP_PARSER": "maybe"},
        ],
    )
    def test_nonsense(self, environ: dict[str, str]) -> None:
        with pytest.raises(ArgumentValueError, match="ANYWIRE_"):
            process_settings(environ)


class Sock:
    """What tells a socket."""

    def getsockname(self) -> None: ...


class TestListen:
    @pytest.mark.parametrize("arguments", [(), (None,), (0,), ({"port": None},), ({"port": 0},), ("",)])
    def test_any_port_on_all_addresses(self, arguments: tuple[Any, ...]) -> None:
        # SRV-76, SRV-80
        assert listen_options(*arguments) == ListenOptions()
        assert ListenOptions().backlog == 511 and ListenOptions().host is None

    def test_port_and_host(self) -> None:
        # SRV-75, SRV-77
        assert listen_options(80, "127.0.0.1") == ListenOptions(port=80, host="127.0.0.1")
        assert listen_options("80", "::1", backlog=5) == ListenOptions(port=80, host="::1", backlog=5)
        assert listen_options("0") == ListenOptions()
        assert listen_options(80, "") == ListenOptions(port=80)
        assert listen_options(80, None, backlog=0).backlog == 511
        assert listen_options(80, "[::1]", ipv6_only=True) == ListenOptions(port=80, host="::1", ipv6_only=True)

    def test_unix(self) -> None:
        # SRV-77
        made = ListenOptions(path="/tmp/x")
        assert listen_options("/tmp/x") == made
        assert listen_options(path="/tmp/x") == made
        assert listen_options(pathlib.PurePosixPath("/tmp/x")) == made
        assert listen_options(path=pathlib.PurePosixPath("/tmp/x")) == made
        assert listen_options({"path": "/tmp/x"}) == made
        assert listen_options({"path": "/tmp/x", "readable_all": True, "writable_all": True}) == ListenOptions(
            path="/tmp/x", readable_all=True, writable_all=True
        )

    def test_descriptor_and_socket(self) -> None:
        sock = Sock()
        assert listen_options(fd=3) == ListenOptions(fd=3)
        assert listen_options(fd=0).fd == 0
        assert listen_options({"fd": 3}).fd == 3
        assert listen_options(sock=sock).sock is sock

    def test_mapping(self) -> None:
        # SRV-75
        options = {"port": 80, "host": "h", "backlog": 7, "ipv6_only": True, "exclusive": True}
        assert listen_options(options) == ListenOptions(port=80, host="h", backlog=7, ipv6_only=True)
        assert options["port"] == 80

    @pytest.mark.parametrize("port", [65536, -1, 70000, math.nan, 80.5])
    @pytest.mark.parametrize("mapping", [False, True])
    def test_bad_port(self, port: object, mapping: bool) -> None:
        # SRV-78
        message = r"^options\.port should be >= 0 and < 65536\. Received .*\.$"
        with pytest.raises(ArgumentValueError, match=message) as caught:
            listen_options({"port": port} if mapping else port)
        assert caught.value.code == "ERR_SOCKET_BAD_PORT"

    @pytest.mark.parametrize("port", ["x", "", "70000", "80x"])
    def test_bad_port_text(self, port: str) -> None:
        with pytest.raises(ArgumentValueError) as caught:
            listen_options({"port": port})
        assert caught.value.code == "ERR_SOCKET_BAD_PORT"

    def test_message(self) -> None:
        with pytest.raises(ArgumentValueError) as caught:
            listen_options(70000)
        assert str(caught.value) == "options.port should be >= 0 and < 65536. Received 70000."

    @pytest.mark.parametrize("port", [True, False, [], b"80"])
    def test_port_type(self, port: object) -> None:
        # SRV-79
        for given in (port, {"port": port}):
            with pytest.raises(ArgumentValueError) as caught:
                listen_options(given)
            assert caught.value.code == "ERR_INVALID_OPT_VALUE"

    @pytest.mark.parametrize("options", [{}, {"host": "h"}, {"path": None}, {"backlog": 5}])
    def test_nowhere(self, options: dict[str, object]) -> None:
        # SRV-79
        with pytest.raises(ArgumentValueError) as caught:
            listen_options(options)
        assert caught.value.code == "ERR_INVALID_ARG_VALUE"

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"port": 80, "path": "/x"}, "ERR_INVALID_ARG_VALUE"),
            ({"fd": 3, "path": "/x"}, "ERR_INVALID_ARG_VALUE"),
            ({"fd": 3, "sock": object()}, "ERR_INVALID_ARG_VALUE"),
            ({"port": 80, "fd": 0}, "ERR_INVALID_ARG_VALUE"),
            ({"path": ""}, "ERR_INVALID_ARG_VALUE"),
            ({"path": 5}, "ERR_INVALID_ARG_TYPE"),
            ({"path": "/x\0y"}, "ERR_INVALID_ARG_VALUE"),
            ({"host": 5}, "ERR_INVALID_ARG_TYPE"),
            ({"host": "127.1"}, "ERR_INVALID_ARG_VALUE"),  # SEC-48
            ({"backlog": "5"}, "ERR_INVALID_ARG_TYPE"),
            ({"backlog": -1}, "ERR_OUT_OF_RANGE"),
            ({"fd": True}, "ERR_INVALID_ARG_TYPE"),
            ({"fd": "3"}, "ERR_INVALID_ARG_TYPE"),
            ({"fd": -1}, "ERR_OUT_OF_RANGE"),
            ({"ipv6_only": 1}, "ERR_INVALID_ARG_TYPE"),
            ({"readable_all": 1}, "ERR_INVALID_ARG_TYPE"),
            ({"writable_all": 1}, "ERR_INVALID_ARG_TYPE"),
        ],
    )
    def test_refused(self, options: dict[str, Any], code: str) -> None:
        with pytest.raises(AnywireError) as caught:
            listen_options(**options)
        assert caught.value.code == code

    def test_refused_in_a_mapping(self) -> None:
        with pytest.raises(ArgumentTypeError, match='"backlogg"; did you mean "backlog"'):
            listen_options({"port": 0, "backlogg": 1})
        with pytest.raises(ArgumentTypeError):
            listen_options({"port": {}})
