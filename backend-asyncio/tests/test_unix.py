"""Unix sockets in both roles."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from asyncio_peers import CLOSE, OK, Wire, counts, dial, peer, pool

from anywire.asyncio import http
from anywire.core import ConnectError


def exists(path: str) -> bool:
    return Path(path).exists()


def touch(path: str) -> None:
    Path(path).touch()


async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    assert req.socket.remote_address is None
    await res.end("unix")


async def test_server(tmp_path: Path) -> None:
    """SRV-75, SRV-85, SRV-86: the file is removed on close."""
    path = str(tmp_path / "socket")
    async with http.create_server(app) as server:
        server.grace = 0
        await server.listen(path=path)
        assert server.address() == path
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        async with dial(path=path) as wire:
            await wire.send(CLOSE)
            assert (await wire.rest()).endswith(b"unix")
    assert not exists(path)


async def test_a_path_as_the_first_argument(tmp_path: Path) -> None:
    """SRV-77."""
    async with http.create_server(app) as server:
        server.grace = 0
        await server.listen(str(tmp_path / "socket"))
        assert server.address() == str(tmp_path / "socket")


@pytest.mark.parametrize("content", ["file", "socket"])
async def test_an_existing_file_is_an_error_and_left_alone(content: str, tmp_path: Path) -> None:
    """SRV-86."""
    path = str(tmp_path / "socket")
    other = http.create_server(app)
    async with http.create_server(app) as server:
        server.grace = 0
        if content == "file":
            touch(path)
        else:
            await server.listen(path=path)
        with pytest.raises(ConnectError) as caught:
            await other.listen(path=path)
        assert (caught.value.code, caught.value.address) == ("EADDRINUSE", path)
        assert exists(path)


async def test_access_bits(tmp_path: Path) -> None:
    """SRV-75."""
    path = str(tmp_path / "socket")
    async with http.create_server(app) as server:
        server.grace = 0
        await server.listen(path=path, readable_all=True, writable_all=True)
        assert stat.S_IMODE(os.stat(path).st_mode) & 0o066 == 0o066


async def test_client(tmp_path: Path) -> None:
    """MOD-59: Host says localhost; the pool's name is the path (AGT-15)."""
    path = str(tmp_path / "socket")
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        while True:
            heads.append(await wire.head())
            await wire.send(OK)

    async with peer(script, path=path) as server, pool() as agent:
        for target in ("/a", "/b"):
            async with http.request(socket_path=path, path=target, agent=agent) as res:
                assert await res.read() == b"ok"
        assert len(server.wires) == 1
        assert [name.endswith(f":{path}") for name in agent.free_sockets] == [True]
    assert heads[0].startswith(b"GET /a HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.parametrize("what", ["nothing", "nobody"])
async def test_nobody_there(what: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    if what == "nobody":
        touch(path)
    async with pool() as agent:
        with pytest.raises(ConnectError) as caught:
            await http.get(socket_path=path, agent=agent)
        assert caught.value.code == ("ENOENT" if what == "nothing" else "ECONNREFUSED")
        assert caught.value.address == path
        assert counts(agent) == (0, 0, 0, 0)
