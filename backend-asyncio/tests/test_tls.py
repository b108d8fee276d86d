"""https in both roles."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncio_peers import (
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
)

from anywire.asyncio import http, https
from anywire.core import ConnectError

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


# ---------------------------------------------------------------- the client's side


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
