"""docs/options.md: "a wrong name or value raises at the call and names the argument".

Each documented option is given ``object()``, which is right for none of them; then what people really get wrong.
Python manners go before Node's where Node ignores a mistake (MOD-40, MOD-45).
"""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from anywire.core import (
    AnywireError,
    ArgumentTypeError,
    ArgumentValueError,
    ClientAgent,
    ConnectError,
    ConnectionLost,
    client_context,
    listen_options,
    os_error,
    request_options,
    server_context,
)
from anywire.core._checks import check_count, check_destination, check_error
from anywire.core._errors import listen_error
from anywire.core._failure import Quiet
from anywire.core._names import TLS_OPTIONS
from anywire.core._options import REQUEST_OPTIONS
from anywire.core._server_options import server_arguments
from anywire.core.facade import awaiting, blocking

from .harness import Client

OPTIONS = (Path(__file__).resolve().parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
LISTEN = ("port", "host", "path", "backlog", "fd", "sock", "ipv6_only", "readable_all", "writable_all", "callback")


def documented(section: str) -> list[str]:
    """The names in the first column of a section's table."""
    table = OPTIONS.split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith(("| `", "| TLS"))]
    return sorted({name for row in rows for name in re.findall(r"`([a-z_]+)`", row)})


def names(error: AnywireError, option: str) -> bool:
    return re.search(rf"(?<![a-z_]){option}(?![a-z_])", str(error), re.IGNORECASE) is not None


REQUEST = sorted({*documented("request and get"), *REQUEST_OPTIONS} - {"tls"})
AGENT = sorted({*documented("Agent"), *TLS_OPTIONS, "default_port", "protocol"})
SERVER = sorted({*documented("create_server"), *TLS_OPTIONS})


def test_the_tables_are_read() -> None:
    assert {"method", "deadline", "create_connection", "ssl_context"} <= set(REQUEST)
    assert {"keep_alive", "max_sockets", "max_socket_age", "lookup"} <= set(AGENT)
    assert {"headers_timeout", "max_connections", "incoming_message_class", "cert"} <= set(SERVER)


@pytest.mark.parametrize("option", REQUEST)
def test_every_option_of_a_request(option: str) -> None:
    with pytest.raises(AnywireError) as caught:
        request_options(None, {option: object()}, secure=True)
    assert names(caught.value, option)


@pytest.mark.parametrize("option", AGENT)
@pytest.mark.parametrize("facade", [awaiting, blocking])
def test_every_option_of_an_agent(option: str, facade: Any) -> None:
    with pytest.raises(AnywireError) as caught:
        facade.SecureAgent(**{option: object()})
    assert names(caught.value, option)


@pytest.mark.parametrize("option", SERVER)
def test_every_option_of_a_server(option: str) -> None:
    with pytest.raises(AnywireError) as caught:
        server_arguments({option: object()})
    assert names(caught.value, option)


@pytest.mark.parametrize("argument", LISTEN)
def test_every_argument_of_listen(argument: str) -> None:
    with pytest.raises(AnywireError) as caught:
        listen_options(**{argument: object()})
    assert names(caught.value, argument)


# ---- agents ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"max_socket": 5}, ArgumentTypeError, '"max_socket"; did you mean "max_sockets"'),
        ({"keepAlive": True}, ArgumentTypeError, '"keepAlive"; did you mean "keep_alive"'),
        ({"timeout": "x"}, ArgumentTypeError, r'"timeout".*str \(x\)'),
        ({"timeout": -1}, ArgumentValueError, r'"timeout".*-1'),
        ({"keep_alive": "no"}, ArgumentTypeError, r'keep_alive".*str \(no\)'),
        ({"keep_alive_delay": "x"}, ArgumentTypeError, r'"keep_alive_delay".*str \(x\)'),
        ({"max_socket_age": "x"}, ArgumentTypeError, r'"max_socket_age".*str \(x\)'),
        ({"max_sockets": 1.5}, ArgumentValueError, r'1\.5.*"max_sockets".*positive integer or inf'),
        ({"max_free_sockets": 0.5}, ArgumentValueError, r'"max_free_sockets".*positive integer or inf'),
        ({"max_total_sockets": -math.inf}, ArgumentValueError, r'"max_total_sockets"'),
        ({"max_sockets": False}, ArgumentTypeError, r'"max_sockets".*False'),
        ({"scheduling": "random"}, ArgumentValueError, "scheduling.*random"),
        ({"family": 5}, ArgumentValueError, r'family".*5'),
        ({"ca": "x"}, ArgumentValueError, '"ca".*https'),
    ],
)
def test_agents(options: dict[str, Any], kind: type[AnywireError], text: str) -> None:
    with pytest.raises(kind, match=text):
        ClientAgent(**options)


def test_limits_of_an_agent_may_change_and_are_checked_then() -> None:
    agent = ClientAgent(max_sockets=2, timeout=math.inf)
    with pytest.raises(ArgumentValueError, match='"max_sockets"'):
        agent.max_sockets = 1.5
    assert agent.max_sockets == 2
    agent.max_sockets = math.inf
    assert agent.max_sockets == math.inf


@pytest.mark.parametrize("agent", [ClientAgent, object(), True, {}, "x"])
@pytest.mark.parametrize("facade", [awaiting, blocking])
def test_what_is_no_agent(agent: object, facade: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=r'"options\.agent"'):  # MOD-36
        request_options(None, {"agent": agent})
    with pytest.raises(ArgumentTypeError, match='"agent"'):
        facade.Api(None, None).set_global_agent(agent)


# ---- TLS -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [{"ssl_context": 5}, {"tls": {"ssl_context": 5}}])
def test_a_context_that_is_none(option: dict[str, Any]) -> None:
    for call in (lambda: request_options(None, option, secure=True), lambda: server_arguments(option)):
        with pytest.raises(ArgumentTypeError, match=r"ssl_context.*5"):
            call()


@pytest.mark.parametrize("option", [{"ca": "x"}, {"reject_unauthorized": True}, {"tls": {"key": "x"}}])
def test_tls_options_without_tls(option: dict[str, Any]) -> None:
    for call in (lambda: request_options(None, option), lambda: server_arguments(option, secure=False)):
        with pytest.raises(ArgumentValueError, match=r'"(ca|reject_unauthorized|key)".*https'):
            call()


def test_files_may_be_paths() -> None:
    files: dict[str, Any] = {"ca": [Path("/a")], "cert": Path("/c"), "key": Path("/k")}
    wanted = {"ca": ["/a"], "cert": "/c", "key": "/k"}
    assert request_options(None, files, secure=True).tls == wanted
    assert server_arguments(files)[1].tls == wanted
    assert {name: ClientAgent(protocol="https:", **files).options[name] for name in wanted} == wanted


class FakeSsl:
    """The ssl module, on a machine that has the files of `there`."""

    PROTOCOL_TLS_CLIENT = CERT_REQUIRED = CERT_OPTIONAL = 1
    SSLError = type("SSLError", (OSError,), {"__module__": "ssl"})

    class Purpose:
        SERVER_AUTH = CLIENT_AUTH = None

    def __init__(self, *there: str) -> None:
        self.there = there

    def SSLContext(self, _: object) -> Any:
        return self

    create_default_context = SSLContext

    def set_alpn_protocols(self, _: object) -> None: ...

    def load_verify_locations(self, cafile: str) -> None:
        if cafile not in self.there:
            raise FileNotFoundError(2, "No such file or directory")
        raise self.SSLError("no certificate or crl found")

    def load_cert_chain(self, cert: str, key: str, password: object) -> None:
        if {cert, key} - {*self.there}:
            raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ca": "/nope.pem"}, """The option "ca": no such file: '/nope.pem'"""),
        ({"cert": "/nope.pem", "key": "/k"}, """The option "cert": no such file: '/nope.pem'"""),
        ({"cert": "/c", "key": "/nope.pem"}, """The option "key": no such file: '/nope.pem'"""),
    ],
)
def test_files_that_are_not_there(options: dict[str, Any], text: str) -> None:
    for make in (client_context, server_context):
        with pytest.raises(ArgumentValueError) as caught:
            make(FakeSsl("/c", "/k"), None, {"cert": "/c", "key": "/k", **options})
        assert (str(caught.value), caught.value.code) == (text, "ENOENT")


# ---- options and arguments -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("body", r"write\(\) or end\(\)"), ("data", r"write\(\) or end\(\)"), ("json", r"write\(\) or end\(\)"),
        ("params", "URL"), ("timeuot", '"timeout"'), ("maxHeaderSize", '"max_header_size"'),
    ],
)  # fmt: skip
def test_unknown_names_are_told_what_to_do(option: str, hint: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f'"{option}"; .*{hint}'):
        request_options(None, {option: 1})


def test_far_names_are_not_proposed() -> None:
    with pytest.raises(ArgumentTypeError, match=r'^Unknown option "xyz"$'):
        request_options(None, {"xyz": 1})


@pytest.mark.parametrize("option", ["incoming_message_class", "server_response_class"])
@pytest.mark.parametrize("facade", [awaiting, blocking])
def test_classes_are_subclasses(option: str, facade: Any) -> None:
    with pytest.raises(ArgumentTypeError, match=rf"{option}.*subclass of \w+\. Received int"):  # MOD-16
        facade.Api(None, None).create_server({option: int})


def test_destroy_takes_errors() -> None:
    request = Client().get()
    with pytest.raises(ArgumentTypeError, match=r'"error".*str \(x\)'):
        request.destroy("x")  # type: ignore[arg-type]
    assert not request.destroyed
    with pytest.raises(ArgumentTypeError, match='"error"'):
        check_error(ValueError)
    with pytest.raises(ArgumentTypeError, match='"seconds" argument'):  # not Node's milliseconds (CLI-95)
        request.set_timeout("x")  # type: ignore[arg-type]


def test_messages_check_too() -> None:
    client = Client()
    message = client.answer(client.get(), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
    assert message is not None
    for call in (message.destroy, message.set_encoding, message.set_timeout):
        with pytest.raises(ArgumentTypeError, match=r'"(error|encoding|seconds)"'):
            call(object())  # type: ignore[arg-type]


def test_counts_and_destinations() -> None:
    for wrong in ("x", 1.0, True, None):
        with pytest.raises(ArgumentTypeError, match='"n"'):
            check_count(wrong, "n")
    assert check_count(-1, "n") == -1

    class Half:
        def write(self, chunk: bytes) -> None: ...

    for destination in (5, Half(), Half):
        with pytest.raises(ArgumentTypeError, match=r'"destination".*write\(\) and end\(\)'):
            check_destination(destination)


# ---- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "name"),
    [
        *((os_error(OSError(n, "x"), syscall="connect", address="h", port=1), "ConnectError") for n in (1, 2, 13, 111)),
        (Quiet("socket hang up"), "ConnectionLost"),
    ],
)
def test_errors_have_public_names_and_pickle(error: AnywireError, name: str) -> None:
    assert (type(error).__name__, type(error).__qualname__) == (name, name)
    error.phase = "connect"
    made = pickle.loads(pickle.dumps(error))
    assert type(made) is type(error)
    assert (str(made), made.code, made.phase) == (str(error), error.code, "connect")
    assert isinstance(made, (ConnectError, ConnectionLost))


class gaierror(OSError):  # the socket module's name
    """Name resolution failed."""


def test_what_stopped_listen() -> None:
    unknown = listen_error(gaierror(-2, "Name or service not known"), path=None, host="no.such", port=80)
    assert (str(unknown), unknown.code) == ("getaddrinfo ENOTFOUND no.such", "ENOTFOUND")
    used = listen_error(OSError(98, "in use"), path=None, host=None, port=80)
    assert (str(used), used.code) == ("listen EADDRINUSE :::80", "EADDRINUSE")
    path = listen_error(OSError(98, "in use"), path="/x", host=None, port=0)
    assert str(path) == "listen EADDRINUSE /x"


def test_a_request_shows_its_port() -> None:
    assert repr(Client().get()).endswith("Request GET http://h:80/ waiting>")
    connect = Client().request(method="CONNECT", path="x:443")
    assert "CONNECT http://h:80 x:443 " in repr(connect)


def test_a_bad_character_is_shown_RES_11() -> None:
    with pytest.raises(ArgumentValueError) as caught:
        Client().request().set_header("a", "x\r\n")
    assert str(caught.value) == 'Invalid character in header content ["a"]: U+000D at offset 1'


def test_a_body_cut_short_says_whose() -> None:
    client = Client()
    message = client.answer(client.get(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    assert message is not None and message.read_nowait() == b"part"
    client.pump.eof()
    with pytest.raises(ConnectionLost, match=r"^aborted: GET http://h:80/ \(ECONNRESET, phase body, "):
        message.read_nowait()


def test_silence_says_whose_and_which_limit() -> None:
    client = Client()
    request = client.get(timeout=5.0, watch=False)
    client.advance(1)
    client.advance(5)
    says = "GET http://h:80/: timeout of 5.0 s reached in phase head"
    assert str(request.error) == f"{says} (ETIMEDOUT, new connection, after 5.000 s)"
