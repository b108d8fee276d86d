"""Options do what docs/options.md says they do; none is taken and then ignored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from anywire.core import (
    Agent,
    ArgumentTypeError,
    ArgumentValueError,
    ClientAgent,
    Limits,
    ParseError,
    RawStream,
    client_context,
    server_context,
)
from anywire.core._server_options import ListenOptions, server_options
from anywire.core.facade import Listening, listening_sockets

from .harness import Client, Clock, FakePump, Serving, get, response


def hello(req: Any, res: Any) -> None:
    res.end_nowait()


def chunked(body: bytes) -> bytes:
    return get("/", "Transfer-Encoding: chunked", method="POST", body=body)


# ------------------------------------------------------------------------------------------ limits of a server


def test_the_defaults_of_a_server_are_those_of_limits() -> None:
    made = server_options()
    for name in ("max_trailer_size", "max_chunk_extension_size", "max_buffered", "max_drain"):
        assert getattr(made, name) == getattr(Limits(), name)
    assert made.linger_timeout == 5.0


@pytest.mark.parametrize(
    ("option", "body", "answer"),
    [
        ("max_trailer_size", b"0\r\nX-Sum: 12345678901234567890\r\n\r\n", b"HTTP/1.1 431 "),  # WIR-100
        ("max_chunk_extension_size", b"1;name=12345678901234567890\r\na\r\n0\r\n\r\n", b"HTTP/1.1 413 "),  # SEC-10
    ],
)
def test_limits_behind_the_head_are_options(option: str, body: bytes, answer: bytes) -> None:
    def reading(req: Any, res: Any) -> Any:
        while (piece := req.read_nowait()) != b"":
            if piece is None:
                yield
        res.end_nowait()

    assert Serving(reading).feed(chunked(body)).startswith(b"HTTP/1.1 200 ")
    limited: dict[str, Any] = {option: 20}
    assert Serving(reading, **limited).feed(chunked(body)).startswith(answer)


def test_max_headers_count_counts_for_connections_accepted_later_SRV_43() -> None:
    server = Serving(hello)
    server.server.max_headers_count = 1
    assert server.feed(get("/", "A: 1")).startswith(b"HTTP/1.1 200 ")  # two fields: taken by the shortcut
    assert server.feed(get("/", "A: 1", "Expect: x")).startswith(b"HTTP/1.1 417 ")  # three: by the grammar
    assert server.server.max_headers_count == 1 and server.server.limits.max_headers_count == 1


def test_what_was_drained_does_not_count_against_what_may_linger() -> None:
    """RFC 9112 section 9.6: closing at once behind a long drained body would reset the response away."""
    server = Serving(hello, max_drain=2 << 20)
    server.feed(chunked(b""))
    for _ in range(3):
        server.feed(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
    assert server.pump.half_closed and not server.ended
    server.eof()
    assert server.ended


def test_a_stream_that_may_buffer_nothing_still_reads() -> None:
    pump = FakePump(None, Clock())  # type: ignore[arg-type]
    raw = RawStream(pump, max_buffered=0)
    assert raw.want_read
    raw.receive_data(b"x")
    assert not raw.want_read


# ------------------------------------------------------------------------------------------ limits of a request


def reused(first: dict[str, Any], second: dict[str, Any]) -> tuple[Client, Any]:
    """A request on the connection that another one, with other options, has opened."""
    client = Client()
    request = client.get(**first)
    message = client.answer(request, response("a"))
    assert message is not None
    while message.read_nowait():
        pass
    again = client.get(**second)
    assert again.reused_socket
    return client, again


@pytest.mark.parametrize(
    "options",
    [{"max_headers_count": 1}, {"max_header_size": 30}],  # CLI-30, CLI-14: a request's own, whoever connected
)
def test_limits_are_those_of_the_request_on_a_pooled_connection_CLI_30(options: dict[str, Any]) -> None:
    head = b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 0\r\n\r\n"
    client, request = reused({}, options)
    with pytest.raises(ParseError) as caught:
        client.answer(request, head)
    assert caught.value.code == "HPE_HEADER_OVERFLOW"
    client, request = reused(options | {"max_headers_count": 50, "max_header_size": 500}, {})
    assert client.answer(request, head) is not None


def test_leniency_is_the_requests_own_on_a_pooled_connection_WIR_59() -> None:
    doubtful = b"HTTP/1.1 200 OK\r\nA: b\x01c\r\nContent-Length: 0\r\n\r\n"
    client, request = reused({}, {"insecure_http_parser": True})
    message = client.answer(request, doubtful)
    assert message is not None and message.headers["a"] == "b\x01c"
    next_one = client.get()
    assert next_one.reused_socket
    with pytest.raises(ParseError):
        client.answer(next_one, doubtful)


# ------------------------------------------------------------------------------------------ agents


def test_an_agents_socket_path_is_where_it_connects_AGT_8() -> None:
    client = Client(socket_path="/run/x")
    request = client.request()
    wanted = client.agent.connection_options(request._options)
    assert wanted["path"] == wanted["socket_path"] == "/run/x"
    assert request._lease is not None and request._lease.name == "h:80::/run/x"


def test_an_unknown_option_of_an_agent_is_refused() -> None:
    """What a request refuses an agent refuses too: max_socket=1 for max_sockets=1 would mean "no limit"."""
    with pytest.raises(ArgumentTypeError, match=r'"max_socket".*"max_sockets"'):
        ClientAgent(max_socket=1)  # type: ignore[call-arg]
    made = ClientAgent(
        protocol="https:", family=4, lookup=print, ca="x", tls={"odd": 1}, socket_options={"no_delay": True}, host="h"
    )
    assert made.options["family"] == 4
    assert Agent(anything=1).options["anything"] == 1  # the pure policy passes on what it is given (AGT-7)


# ------------------------------------------------------------------------------------------ TLS


class FakeContext:
    def __init__(self, _: object = None) -> None:
        self.options = 0
        self.check_hostname = True
        self.verify_mode = 0

    def set_alpn_protocols(self, _: object) -> None: ...

    def load_cert_chain(self, *_: object, **__: object) -> None: ...

    def set_ciphers(self, names: str) -> None:
        self.ciphers = names

    def set_ecdh_curve(self, name: str) -> None:
        self.curve = name


SSL: Any = SimpleNamespace(
    Purpose=SimpleNamespace(CLIENT_AUTH=1, SERVER_AUTH=2),
    create_default_context=FakeContext,
    CERT_NONE=0,
    OP_CIPHER_SERVER_PREFERENCE=4,
)


@pytest.mark.parametrize("name", ["session_id_context", "pfx", "crl"])
def test_a_tls_option_without_counterpart_is_refused(name: str) -> None:
    with pytest.raises(ArgumentValueError, match=name):
        client_context(SSL, None, {name: "x"})


def test_honor_cipher_order_MOD_74() -> None:
    given = {"cert": "/c", "key": "/k"}
    assert server_context(SSL, None, given | {"honor_cipher_order": True}).options == SSL.OP_CIPHER_SERVER_PREFERENCE
    assert server_context(SSL, None, given | {"honor_cipher_order": False}).options == 0


def test_a_server_that_listens_again_reads_its_certificate_again() -> None:
    """Certificates are renewed under the same path; only clients, who parse a CA store each time, share contexts."""
    given = {"cert": "/c", "key": "/k"}
    assert server_context(SSL, None, given) is not server_context(SSL, None, given)
    assert client_context(SSL, None, {"ciphers": "C"}) is client_context(SSL, None, {"ciphers": "C"})


def test_tls_options_in_the_mapping_of_an_agent_count_MOD_61() -> None:
    assert client_context(SSL, None, {"tls": {"ciphers": "A"}}).ciphers == "A"
    assert client_context(SSL, None, {"ciphers": "B", "tls": {"ciphers": "A"}}).ciphers == "B"
    with pytest.raises(ArgumentValueError, match="odd"):  # nobody would ever look at it
        client_context(SSL, None, {"tls": {"odd": 1}})


# ------------------------------------------------------------------------------------------ listen()


class FakeSocket:
    def __init__(self, family: int, _: int = 1) -> None:
        self.family = family
        self.set: dict[int, int] = {}

    def setsockopt(self, _: int, option: int, value: int) -> None:
        self.set[option] = value

    def bind(self, _: object) -> None: ...
    def listen(self, _: int) -> None: ...
    def setblocking(self, _: bool) -> None: ...


@pytest.mark.parametrize(
    ("host", "only", "expected"),
    [(None, False, 0), (None, True, 1), ("::", False, 0), ("::", True, 1), ("::1", False, 1)],
)
def test_ipv6_only_SRV_76(host: str | None, only: bool, expected: int) -> None:
    """``::`` takes IPv4 too unless told otherwise, whether it was written or meant."""
    module: Any = SimpleNamespace(
        socket=FakeSocket, AF_INET=2, AF_INET6=10, SOCK_STREAM=1, SOL_SOCKET=1, SO_REUSEADDR=2, IPPROTO_IPV6=41,
        IPV6_V6ONLY=26, AI_PASSIVE=1, has_dualstack_ipv6=lambda: True,
        getaddrinfo=lambda host, port, **_: [(10, 1, 6, "", (host, port, 0, 0))],
    )  # fmt: skip
    [made] = listening_sockets(module, None, ListenOptions(host=host, ipv6_only=only))
    assert made.set[26] == expected


class Unlinking:
    """The os module, as far as it is used."""

    def __init__(self) -> None:
        self.unlinked: list[str] = []

    def unlink(self, path: str) -> None:
        if "\0" in path:
            raise ValueError("embedded null byte")
        self.unlinked.append(path)


@pytest.mark.parametrize(
    ("options", "bound", "address", "unlinked"),
    [
        (ListenOptions(), ("::1", 80, 0, 0), ("::1", 80), []),
        (ListenOptions(path="/run/it"), "/run/it", "/run/it", ["/run/it"]),
        (ListenOptions(path="\0it"), b"\0it", "\0it", []),  # Linux's abstract names are no files
        (ListenOptions(fd=3), "/run/it", "/run/it", []),  # the file of a socket that was handed in is not ours
    ],
)
def test_address_of_a_listener_SRV_85(options: ListenOptions, bound: Any, address: Any, unlinked: list[str]) -> None:
    """And when it stops, the file of a Unix socket goes with it (SRV-86). No case can hand in a socket."""
    os = Unlinking()
    stopped: list[bool] = []
    made = Listening(
        os, options, [SimpleNamespace(getsockname=lambda: bound)], [SimpleNamespace(close=lambda: stopped.append(True))]
    )
    assert made.address() == address
    made.stop()
    assert (stopped, os.unlinked) == ([True], unlinked)
