"""Upgrade and CONNECT in both roles, and a tunnel that carries another request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncio_peers import (
    GET,
    OK,
    Certificates,
    Wire,
    counts,
    dial,
    peer,
    pool,
    port_of,
    serving,
    turns,
    until,
)

from anywire.asyncio import http, https
from anywire.core import AnywireError, ConnectionLost, StateError

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
ASK: dict[str, Any] = {"headers": {"Connection": "Upgrade", "Upgrade": "echo"}}


# ---------------------------------------------------------------- the server's side


async def test_server_upgrade() -> None:
    """SRV-67 to SRV-71: head bytes first, then a stream of the listener's own."""
    seen: list[Any] = []

    async def upgrade(req: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        seen.append((req.url, req.upgrade, req.complete, head))
        await stream.send(SWITCHING + head)
        async for piece in stream:
            await stream.send(piece.upper())
        await stream.close()

    async with serving(setup=lambda server: server.on("upgrade", upgrade)) as server, dial(port_of(server)) as wire:
        await wire.send(UPGRADE + b"early ")
        assert await wire.head() == SWITCHING
        assert await wire.reader.readexactly(6) == b"early "
        await wire.send(b"bird")
        assert await wire.reader.readexactly(4) == b"BIRD"
        assert server.get_connections() == 0  # SRV-70: it is not the server's any more
        wire.eof()
        assert await wire.rest() == b""
    assert seen == [("/chat", True, True, b"early ")]


async def test_server_without_an_upgrade_listener_answers_normally() -> None:
    """SRV-68, ASK-34."""

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        assert not req.upgrade
        await res.end(await req.read())

    request = UPGRADE.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\nbody")
    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(request + GET)
        assert (await wire.message())[1] == b"body"
        assert (await wire.message())[1] == b""


async def test_server_connect() -> None:
    """SRV-73, SRV-74."""
    seen: list[Any] = []

    async def connect(req: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        seen.append((req.method, req.url, head))
        async with stream:
            await stream.send("HTTP/1.1 200 OK\r\n\r\n")
            await stream.send(head)
            await stream.send_eof()
            assert await stream.receive() == b"more"

    async with serving(setup=lambda server: server.on("connect", connect)) as server, dial(port_of(server)) as wire:
        await wire.send(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\nhead")
        await wire.head()
        assert await wire.rest() == b"head"
        await wire.send(b"more")
        await until(lambda: seen)
        await turns()
    assert seen == [("CONNECT", "example.org:443", b"head")]


async def test_server_without_a_connect_listener_destroys() -> None:
    """SRV-73."""
    async with serving(lambda req, res: pytest.fail("request")) as server, dial(port_of(server)) as wire:
        await wire.send(b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n")
        assert await wire.gone() == b""


async def test_an_upgrade_listener_that_raises_destroys_only_its_stream(reports: list[dict[str, Any]]) -> None:
    async def upgrade(req: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        raise ZeroDivisionError

    async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        await res.end("fine")

    async with serving(app, setup=lambda server: server.on("upgrade", upgrade)) as server:
        async with dial(port_of(server)) as wire:
            await wire.send(UPGRADE)
            assert await wire.gone() == b""
        async with dial(port_of(server)) as wire:
            await wire.send(GET)
            assert (await wire.message())[1] == b"fine"
    assert [type(report["exception"]) for report in reports] == [ZeroDivisionError]


async def test_an_upgraded_stream_outlives_its_handler() -> None:
    """The listener may keep the stream and return."""
    streams: list[http.Socket] = []

    def upgrade(req: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        streams.append(stream)

    async with serving(setup=lambda server: server.on("upgrade", upgrade)) as server, dial(port_of(server)) as wire:
        await wire.send(UPGRADE)
        await until(lambda: streams)
        await turns()
        await streams[0].send(b"hello")
        assert await wire.reader.readexactly(5) == b"hello"
        await wire.send(b"you")
        assert await streams[0].receive() == b"you"
        streams[0].destroy()
        assert await wire.gone() == b""
        with pytest.raises(ConnectionLost):
            await streams[0].receive()
        with pytest.raises(ConnectionLost):
            await streams[0].send(b"x")


async def test_a_stream_is_told_when_its_peer_resets() -> None:
    streams: list[http.Socket] = []

    def upgrade(req: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        streams.append(stream)

    async with serving(setup=lambda server: server.on("upgrade", upgrade)) as server, dial(port_of(server)) as wire:
        await wire.send(UPGRADE)
        await until(lambda: streams)
        receiving = asyncio.ensure_future(streams[0].receive())
        await turns()
        wire.reset()
        await asyncio.wait([receiving])
        assert isinstance(receiving.exception(), ConnectionLost)


# ---------------------------------------------------------------- the client's side


async def upgrader(wire: Wire) -> None:
    await wire.head()
    await wire.send(SWITCHING + b"head")
    while data := await wire.reader.read(65536):
        await wire.send(data.upper())


async def test_client_upgrade_by_event() -> None:
    """CLI-41 to CLI-44, AGT-79."""
    events: list[Any] = []

    async def listener(message: http.IncomingMessage, stream: http.Socket, head: bytes) -> None:
        events.append((message.status_code, message.upgrade, head))
        await stream.send(b"ping")
        events.append(await stream.receive())
        await stream.close()

    async with peer(upgrader) as server, pool(max_sockets=1) as agent:
        req = http.get(server.url, agent=agent, **ASK)
        req.on("upgrade", listener)
        req.on("response", lambda res: pytest.fail("response"))
        req.on("close", lambda: events.append("close"))
        message = await req.response()
        assert message.status_code == 101
        assert events == [(101, True, b"head"), b"PING", "close"]
        assert counts(agent) == (0, 0, 0, 0)


async def test_client_upgrade_by_call() -> None:
    async with peer(upgrader) as server, pool() as agent:
        message, stream, head = await http.get(server.url, agent=agent, **ASK).upgraded()
        async with stream:
            assert (message.status_code, head) == (101, b"head")
            assert counts(agent) == (0, 0, 0, 0)
            await stream.send("ping")
            assert await stream.receive(2) == b"PI"
            assert await stream.receive() == b"NG"
            await stream.send_eof()
            assert await stream.receive() == b""


async def test_client_upgrade_that_nobody_listens_for() -> None:
    """CLI-43 is silent; decision 4: an error that says so."""
    async with peer(upgrader) as server, pool() as agent:
        req = http.get(server.url, agent=agent, **ASK)
        with pytest.raises(StateError) as caught:
            await req.response()
        assert caught.value.code == "ERR_HTTP_UNHANDLED_UPGRADE"
        assert counts(agent) == (0, 0, 0, 0)
        await until(lambda: server.wires[0].reader.at_eof())


async def test_client_upgrade_that_is_declined() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.head()
            await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent, **ASK)
        with pytest.raises(StateError) as caught:
            await req.upgraded()
        assert caught.value.code == "ERR_HTTP_NOT_UPGRADED"
        assert req.res is not None
        async with req as res:
            assert await res.read() == b"ok"


async def test_cancelled_while_waiting_for_an_upgrade() -> None:
    async def script(wire: Wire) -> None:
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        task = asyncio.ensure_future(http.get(server.url, agent=agent, **ASK).upgraded())
        await until(lambda: server.wires)
        task.cancel()
        await asyncio.wait([task])
        assert counts(agent) == (0, 0, 0, 0)


# ---------------------------------------------------------------- tunnels


def proxy(port: int, requests: list[bytes]) -> Any:
    """A CONNECT proxy to `port`, whatever it is asked for."""

    async def script(wire: Wire) -> None:
        requests.append(await wire.head())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            finally:
                target.close()

        try:
            await asyncio.gather(pump(wire.reader, writer), pump(reader, wire.writer))
        finally:
            writer.close()

    return script


async def origin(wire: Wire) -> None:
    while True:
        head = await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))


async def test_client_connect() -> None:
    """CLI-46 to CLI-50, ASK-42: one write; a refusal is an answer with its body as ``head``."""

    async def refusing(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nhi")

    async with peer(refusing) as server, pool() as agent:
        req = http.request(server.url, method="CONNECT", path="example.org:443", agent=agent)
        message, stream, head = await req.upgraded()
        assert (message.status_code, head) == (407, b"hi")
        await stream.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_request_through_a_tunnel(secure: bool, certificates: Certificates) -> None:
    """AGT-31: ``create_connection`` may return an upgraded stream; TLS goes on top of it."""
    requests: list[bytes] = []
    tls = certificates.server_side() if secure else None
    async with peer(origin, tls=tls) as target, peer(proxy(target.port, requests)) as server, pool() as agent:

        async def through(options: dict[str, Any]) -> http.Socket:
            connect = http.request(
                server.url, method="CONNECT", path=f"{options['host']}:{options['port']}", agent=agent
            )
            message, stream, head = await connect.upgraded()
            assert (message.status_code, head) == (200, b"")
            return stream

        if secure:
            inner: Any = https.Agent(keep_alive=True, create_connection=through, ca=certificates.ca)
            get, url = https.get, f"https://localhost:{target.port}/a"
        else:
            inner = http.Agent(keep_alive=True, create_connection=through)
            get, url = http.get, f"http://localhost:{target.port}/a"
        for _ in range(2):
            async with get(url, agent=inner) as res:
                assert (await res.read()).startswith(b"GET /a HTTP/1.1\r\n")
        assert len(target.wires) == 1
        assert requests[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\nHost: " % target.port)
        inner.destroy()
        await turns(20)


async def test_a_tunnel_that_speaks_first_is_refused() -> None:
    """SEC-26."""
    established = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await established.wait()
        await wire.send(OK)
        await wire.gone()

    async with peer(script) as server, pool() as agent:

        async def through(options: dict[str, Any]) -> http.Socket:
            req = http.request(server.url, method="CONNECT", path="h:1", agent=agent)
            _, stream, _ = await req.upgraded()
            established.set()
            await until(lambda: stream._raw._buffer)  # type: ignore[union-attr]
            return stream

        with pytest.raises(AnywireError) as caught:
            await http.get("http://h/", create_connection=through)
        assert caught.value.code == "EPROTO"
