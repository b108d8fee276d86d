"""https in both roles."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncio_peers import (
    CLOSE,
    GET,
    OK,
    Certificates,
    Peer,
    Wire,
    counts,
    dial,
    peer,
    port_of,
    serving,
    turns,
    until,
)

from anywire.asyncio import http, https
from anywire.core import AnywireError, ConnectError, ConnectionLost, LocalError, TimedOut

Request = http.IncomingMessage
Response = http.ServerResponse


async def hello(req: Request, res: Response) -> None:
    await res.end("hello" if req.socket.encrypted else "bare")


async def ok(wire: Wire) -> None:
    while True:
        await wire.message()
        await wire.send(OK)


def url_of(server: Peer, host: str = "localhost") -> str:
    return f"https://{host}:{server.port}/"


@asynccontextmanager
async def secure_pool(**options: Any) -> AsyncIterator[Any]:
    agent = https.Agent(**{"keep_alive": True, **options})
    try:
        yield agent
    finally:
        agent.destroy()
        await turns(30)
        assert counts(agent) == (0, 0, 0, 0)


async def get(url: str, agent: Any, **options: Any) -> bytes:
    async with https.get(url, agent=agent, **options) as res:
        return await res.read()


# ---------------------------------------------------------------- the server's side


@pytest.mark.parametrize("form", ["text", "path", "context"])
async def test_server(form: str, certificates: Certificates) -> None:
    """MOD-74: PEM text, paths, or an SSLContext."""
    options: dict[str, Any]
    if form == "text":
        options = {"cert": certificates.cert, "key": certificates.key}
    elif form == "path":
        options = {"cert": certificates._file("a", certificates.cert), "key": certificates._file("b", certificates.key)}
    else:
        options = {"ssl_context": certificates.server_side()}
    async with serving(hello, secure=True, **options) as server:
        async with dial(port_of(server), tls=certificates.client_side()) as wire:
            for _ in range(3):
                await wire.send(GET)
                head, body = await wire.message()
                assert body == b"hello"
                assert b"Connection: keep-alive" in head
        async with dial(port_of(server), tls=certificates.client_side()) as wire:
            await wire.send(CLOSE)
            assert (await wire.rest()).endswith(b"hello")


async def test_server_alpn(certificates: Certificates) -> None:
    """MOD-74."""
    context = certificates.client_side()
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with (
        serving(hello, secure=True, cert=certificates.cert, key=certificates.key) as server,
        dial(port_of(server), tls=context) as wire,
    ):
        assert wire.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


def test_a_server_without_a_certificate_says_so() -> None:
    async def main() -> None:
        server = https.create_server(hello)
        with pytest.raises(LocalError, match="cert"):
            await server.listen(0, "127.0.0.1")

    asyncio.run(main())


async def test_plain_http_to_a_tls_port_does_not_harm_the_server(certificates: Certificates) -> None:
    """MOD-77: no bytes in answer."""
    async with serving(hello, secure=True, cert=certificates.cert, key=certificates.key) as server:
        for noise in (GET, b"\x16\x03\x01", b"", b"\x00" * 5000):
            async with dial(port_of(server)) as wire:
                await wire.send(noise)
                if noise == GET:
                    assert not (await wire.gone()).startswith(b"HTTP")
        async with dial(port_of(server), tls=certificates.client_side()) as wire:
            await wire.send(GET)
            assert (await wire.message())[1] == b"hello"


async def test_client_certificates(certificates: Certificates) -> None:
    """``ca`` on a server asks for one and verifies it; ``authorized`` says so (MOD-71)."""
    seen: list[Any] = []

    async def app(req: Request, res: Response) -> None:
        seen.append((req.socket.authorized, bool(req.socket.ssl_object.getpeercert())))
        await res.end("hello")

    options: dict[str, Any] = {"cert": certificates.cert, "key": certificates.key, "ca": certificates.ca}
    async with serving(app, secure=True, **options) as server:
        async with dial(port_of(server), tls=certificates.client_side(with_certificate=True)) as wire:
            await wire.send(GET)
            assert (await wire.message())[1] == b"hello"
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):  # noqa: PT012
            async with dial(port_of(server), tls=certificates.client_side()) as wire:
                await wire.send(GET)
                await wire.message()
        # Our own client's side of it.
        url = f"https://localhost:{port_of(server)}/"
        mine = {"cert": certificates.client_cert, "key": certificates.client_key}
        async with secure_pool(ca=certificates.ca) as agent:
            assert await get(url, agent, **mine) == b"hello"
        async with secure_pool(ca=certificates.ca) as agent:
            with pytest.raises(AnywireError):
                await get(url, agent)
    assert seen == [(True, True)] * 2


@pytest.mark.slow
async def test_an_early_refusal_of_an_upload(certificates: Certificates) -> None:
    """ASK-32 under TLS: closing with unread input would reset the client before it read the answer."""

    async def app(req: Request, res: Response) -> None:
        res.write_head(413, {"Content-Length": 9, "Connection": "close"})
        await res.end("too large")

    lost = 0
    async with serving(app, secure=True, cert=certificates.cert, key=certificates.key) as server:
        for _ in range(20):
            async with dial(port_of(server), tls=certificates.client_side()) as wire:

                async def upload(wire: Wire = wire) -> None:
                    await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n")
                    for _ in range(20):
                        await wire.send(bytes(100_000))

                uploading = asyncio.ensure_future(upload())
                await asyncio.wait([uploading])
                uploading.exception()
                try:
                    assert (await wire.message())[1] == b"too large"
                except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
                    lost += 1
                wire.close()
    assert lost == 0


async def test_a_client_that_leaves_is_noticed(certificates: Certificates) -> None:
    """ASK-14 under TLS: close_notify or a reset."""
    events: list[str] = []

    async def app(req: Request, res: Response) -> None:
        gone = asyncio.Event()
        req.on("aborted", lambda: events.append("aborted"))
        res.on("close", gone.set)
        await gone.wait()

    async with serving(app, secure=True, cert=certificates.cert, key=certificates.key) as server:
        for how in ("close", "reset"):
            async with dial(port_of(server), tls=certificates.client_side()) as wire:
                await wire.send(GET)
                await until(lambda: server.connections)
                await turns()
                getattr(wire, how)()
                await until(lambda: not server.connections)
    assert events == ["aborted"] * 2


async def test_closing_with_an_open_connection(certificates: Certificates) -> None:
    """ASK-17: a client that never answers our goodbye holds nothing up."""
    async with (
        serving(hello, secure=True, cert=certificates.cert, key=certificates.key) as server,
        dial(port_of(server), tls=certificates.client_side()) as wire,
    ):
        await wire.send(GET)
        await wire.message()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await server.close(grace=0)
        assert not server.connections


# ---------------------------------------------------------------- the client's side


async def test_client(certificates: Certificates) -> None:
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        for _ in range(3):
            req = https.get(url_of(server), agent=agent)
            async with req as res:
                assert await res.read() == b"ok"
            assert req.socket.encrypted
            assert req.socket.authorized
        assert len(server.wires) == 1


async def test_an_untrusted_certificate(certificates: Certificates) -> None:
    """MOD-71: Node's code; nothing of the request was sent."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool() as agent:
        with pytest.raises(ConnectError) as caught:
            await get(url_of(server), agent)
        assert caught.value.code in (
            "DEPTH_ZERO_SELF_SIGNED_CERT",
            "SELF_SIGNED_CERT_IN_CHAIN",
            "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
            "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        )
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert (caught.value.phase, caught.value.replay_safe) == ("tls", "yes")
        assert not server.heads


@pytest.mark.parametrize("self_signed", ["leaf", "chain"])
async def test_the_codes_of_self_signed_certificates(self_signed: str, certificates: Certificates) -> None:
    """MOD-71."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert, key = await asyncio.get_running_loop().run_in_executor(None, self_signed_pair)
    if self_signed == "leaf":
        chain, code = cert, "DEPTH_ZERO_SELF_SIGNED_CERT"
        context.load_cert_chain(certificates._file("ss", chain), certificates._file("ssk", key))
    else:
        chain, code = certificates.cert + certificates.ca, "SELF_SIGNED_CERT_IN_CHAIN"
        context.load_cert_chain(certificates._file("sc", chain), certificates._file("sck", certificates.key))
    async with peer(ok, tls=context) as server, secure_pool() as agent:
        with pytest.raises(ConnectError) as caught:
            await get(url_of(server), agent)
        assert caught.value.code == code


def self_signed_pair() -> tuple[str, str]:
    from datetime import datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime(2020, 1, 1)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return cert.public_bytes(pem).decode(), private.decode()


async def test_reject_unauthorized_false_accepts_anything(certificates: Certificates) -> None:
    """MOD-71: and ``authorized`` says that nothing was verified."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool() as agent:
        req = https.get(url_of(server), agent=agent, reject_unauthorized=False)
        async with req as res:
            assert await res.read() == b"ok"
        assert not req.socket.authorized


@pytest.mark.parametrize("value", [None, 0, "", []])
async def test_only_false_turns_verification_off(value: Any, certificates: Certificates) -> None:
    """SEC-42."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool() as agent:
        with pytest.raises((ConnectError, LocalError)):
            await get(url_of(server), agent, reject_unauthorized=value)


async def test_a_certificate_for_another_name(certificates: Certificates) -> None:
    """MOD-70: also when it is the Host header that names the other."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        for options in ({"headers": {"Host": "other.test"}}, {"servername": "other.test"}):
            with pytest.raises(ConnectError) as caught:
                await get(url_of(server), agent, **options)
            assert caught.value.code == "ERR_TLS_CERT_ALTNAME_INVALID"
        # The certificate holds the address, too.
        assert await get(url_of(server, "127.0.0.1"), agent) == b"ok"


async def test_sni(certificates: Certificates) -> None:
    """MOD-69."""
    names: list[str | None] = []
    context = certificates.server_side()
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    async with peer(ok, tls=context) as server, secure_pool(reject_unauthorized=False) as agent:
        await get(url_of(server), agent)
        await get(url_of(server, "127.0.0.1"), agent)
        await get(url_of(server), agent, servername="chosen.test")
        await get(url_of(server), agent, headers={"Host": "field.test:1"})
    assert names == ["localhost", None, "chosen.test", "field.test"]


async def test_an_empty_server_name_still_verifies(certificates: Certificates) -> None:
    """MOD-69, SEC-42: against the host."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        assert await get(url_of(server), agent, servername="") == b"ok"
        assert await get(url_of(server, "127.0.0.1"), agent, servername="") == b"ok"


async def test_the_agents_server_name_wins(certificates: Certificates) -> None:
    """AGT-8."""
    async with (
        peer(ok, tls=certificates.server_side()) as server,
        secure_pool(ca=certificates.ca, servername="other.test") as agent,
    ):
        with pytest.raises(ConnectError) as caught:
            await get(url_of(server), agent)
        assert caught.value.code == "ERR_TLS_CERT_ALTNAME_INVALID"


async def test_a_host_header_set_late_does_not_change_whom_we_talk_to(certificates: Certificates) -> None:
    """ASK-39: the pool's name and the verified name are decided together."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        req = https.request(url_of(server), agent=agent)
        req.set_header("Host", "other.test")
        async with req as res:
            assert await res.read() == b"ok"


async def test_connections_with_different_tls_options_are_never_shared(certificates: Certificates) -> None:
    """ASK-39, AGT-18."""
    async with peer(ok, tls=certificates.server_side()) as server, secure_pool() as agent:
        variants: list[dict[str, Any]] = [
            {"ca": certificates.ca},
            {"reject_unauthorized": False},
            {"ca": certificates.ca, "servername": "127.0.0.1"},
            {"ca": certificates.ca, "min_version": "TLSv1.2"},
            {"ca": certificates.ca, "max_version": "TLSv1.2"},
            {"ca": certificates.ca, "cert": certificates.client_cert, "key": certificates.client_key},
            {"ca": certificates.ca, "alpn_protocols": ["http/1.1", "x"]},
        ]
        for _ in range(2):
            for options in variants:
                assert await get(url_of(server), agent, **options) == b"ok"
        assert len(server.wires) == len(variants)
        with pytest.raises(ConnectError):
            await get(url_of(server), agent)


async def test_a_server_that_speaks_no_tls() -> None:
    async def script(wire: Wire) -> None:
        await wire.reader.read(10)
        await wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with peer(script) as server, secure_pool() as agent:
        with pytest.raises(ConnectError) as caught:
            await get(url_of(server), agent)
        assert caught.value.code.startswith("ERR_SSL_")
        assert caught.value.phase == "tls"


async def test_a_server_that_closes_during_the_handshake() -> None:
    async def script(wire: Wire) -> None:
        await wire.reader.read(10)

    async with peer(script) as server, secure_pool() as agent:
        with pytest.raises(AnywireError) as caught:
            await get(url_of(server), agent)
        assert caught.value.replay_safe == "yes"


@pytest.mark.parametrize("how", ["limit", "cancel"])
async def test_a_server_that_never_finishes_the_handshake(how: str) -> None:
    """ASK-17, ASK-19."""

    async def script(wire: Wire) -> None:
        await wire.gone()

    async with peer(script) as server, secure_pool() as agent:
        if how == "limit":
            with pytest.raises(TimedOut) as caught:
                await get(url_of(server), agent, connect_timeout=0.05)
            assert caught.value.phase in ("connect", "tls")
        else:
            task = asyncio.ensure_future(get(url_of(server), agent))
            await until(lambda: server.wires)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert counts(agent) == (0, 0, 0, 0)
        await turns(20)


async def test_a_stale_pooled_connection(certificates: Certificates) -> None:
    """ASK-1 under TLS."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)
        if wire.number % 2:
            await wire.head()

    async with peer(script, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        for number in range(6):
            assert await get(url_of(server), agent) == b"ok"
            if number % 2:
                await turns(20)


async def test_cancelling_in_the_middle(certificates: Certificates) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
        await wire.gone()

    async with peer(script, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        task = asyncio.ensure_future(get(url_of(server), agent))
        await until(lambda: counts(agent)[0])
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert counts(agent) == (0, 0, 0, 0)


async def test_a_truncated_body(certificates: Certificates) -> None:
    """ASK-30 under TLS."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")

    async with peer(script, tls=certificates.server_side()) as server, secure_pool(ca=certificates.ca) as agent:
        with pytest.raises(ConnectionLost):
            await get(url_of(server), agent)


async def test_both_roles_are_ours(certificates: Certificates) -> None:
    async def app(req: Request, res: Response) -> None:
        await res.end(await req.read())

    options: dict[str, Any] = {"cert": certificates.cert, "key": certificates.key}
    async with serving(app, secure=True, **options) as server, secure_pool(ca=certificates.ca) as agent:
        body = bytes(range(256)) * 4096
        for _ in range(3):
            req = https.request(f"https://localhost:{port_of(server)}/", method="POST", agent=agent)
            await req.end(body)
            async with req as res:
                assert await res.read() == body
        assert len(server.connections) == 1


def test_contexts_are_made_once() -> None:
    """ASK-40: the CA store is parsed once for all default Agents, and never for plain requests."""
    from anywire.core import _tls

    made: list[Any] = []
    original = _tls._make

    def counting(*args: Any, **keywords: Any) -> Any:
        made.append(args)
        return original(*args, **keywords)

    async def main() -> None:
        async def script(wire: Wire) -> None:
            await wire.reader.read(10)

        async with peer(script) as server:
            for _ in range(5):
                async with secure_pool() as agent:
                    with pytest.raises(AnywireError):
                        await get(url_of(server), agent)

    _tls._contexts.clear()
    _tls._make = counting
    try:
        asyncio.run(main())
    finally:
        _tls._make = original
    assert len(made) == 1


async def test_a_wrong_certificate_file_leaves_no_socket_behind(tmp_path: Any) -> None:
    """The conftest fails on a leaked descriptor; the mistake is ours, and told before anybody connects."""
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(LocalError, match="TLS options"):
        await https.get(f"https://127.0.0.1:{port}/", ca=str(wrong), agent=False)
    server.close()
    await server.wait_closed()
