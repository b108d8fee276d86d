"""Mistakes in arguments are told at the call, by name; and errors say where, whose and which limit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncio_peers import Certificates, Wire, peer, pool, port_of, serving, unanswered_port, url_of

from anywire.asyncio import http, https
from anywire.core import ArgumentTypeError, ArgumentValueError, ConnectError, TimedOut

ERRORS = """
AnywireError ArgumentTypeError ArgumentValueError ConnectError ConnectionLost ParseError StateError TLSError TimedOut
TruncatedError
""".split()


async def hello(req: Any, res: Any) -> None:
    await res.end("hello")


@pytest.mark.parametrize("module", [http, https])
def test_a_module_shows_what_it_offers(module: Any) -> None:
    assert {name for name in dir(module) if not name.startswith("__")} == set(module.__all__)
    public = {name for name in vars(module) if not name.startswith("_")}
    assert public - {"annotations"} <= set(module.__all__)
    assert set(ERRORS) <= set(module.__all__)
    assert "__doc__" in dir(module)


@pytest.mark.parametrize("module", [http, https])
def test_the_global_agent_is_an_agent(module: Any) -> None:
    """MOD-12."""
    before = module.global_agent
    for wrong in (5, http.Agent, None):
        with pytest.raises(ArgumentTypeError, match='"agent"'):
            module.set_global_agent(wrong)
        with pytest.raises(ArgumentTypeError, match='"agent"'):
            module.global_agent = wrong
    assert module.global_agent is before


async def test_tls_options_at_the_call() -> None:
    for call in (https.get, https.create_server):
        with pytest.raises(ArgumentTypeError, match="ssl_context"):
            call(ssl_context=5)
    for call in (http.get, http.create_server):
        with pytest.raises(ArgumentValueError, match="use the https module"):
            call(ca="/x")


async def test_reading_and_piping() -> None:
    async with serving(hello) as server, pool() as agent, http.get(url_of(server), agent=agent) as res:
        with pytest.raises(ArgumentTypeError, match='"n"'):
            await res.read("x")  # type: ignore[arg-type]
        with pytest.raises(ArgumentTypeError, match='"destination"'):
            await res.pipe(5)
        with pytest.raises(ArgumentTypeError, match='"encoding"'):
            res.set_encoding(5)  # type: ignore[arg-type]
        assert await res.read() == b"hello"


async def test_a_destination_need_not_have_destroy() -> None:
    class Broken:
        def __init__(self) -> None:
            self.ended = False

        async def write(self, chunk: bytes) -> None:
            raise ZeroDivisionError

        async def end(self) -> None:
            self.ended = True

    async with serving(hello) as server, pool() as agent, http.get(url_of(server), agent=agent) as res:
        broken = Broken()
        with pytest.raises(ZeroDivisionError):
            await res.pipe(broken)
        assert not broken.ended


async def test_listen_takes_callbacks_that_can_be_called() -> None:
    server = http.create_server()
    with pytest.raises(ArgumentTypeError, match='"callback"'):
        await server.listen(0, "127.0.0.1", callback=5)  # type: ignore[arg-type]
    assert not server.listening


async def test_listening_on_a_name_that_nobody_knows() -> None:
    server = http.create_server()
    with pytest.raises(ConnectError) as caught:
        await server.listen(0, "no-such-host.invalid")
    assert caught.value.message == "getaddrinfo ENOTFOUND no-such-host.invalid"
    assert (caught.value.code, caught.value.syscall) == ("ENOTFOUND", "getaddrinfo")


async def test_files_that_are_not_there(certificates: Certificates, tmp_path: Path) -> None:
    """Neither connecting nor listening failed: an option is wrong. (No socket is left: see the conftest.)"""
    nope = tmp_path / "nope.pem"
    cert, key = certificates._file("a", certificates.cert), certificates._file("b", certificates.key)
    options: list[dict[str, Any]] = [
        {"cert": nope, "key": key},
        {"cert": cert, "key": nope},
        {"cert": cert, "key": key, "ca": nope},
    ]
    for option in options:
        name = next(each for each, path in option.items() if path is nope)
        with pytest.raises(ArgumentValueError) as caught:
            await https.create_server(**option).listen(0, "127.0.0.1")
        assert str(caught.value) == f'The option "{name}": no such file: {str(nope)!r}'
        assert caught.value.code == "ENOENT"
    async with serving(hello) as server:
        request = https.get(f"https://127.0.0.1:{port_of(server)}/", ca=nope, agent=False)
        with pytest.raises(ArgumentValueError, match='"ca": no such file') as caught:
            await request
        assert caught.value.code == "ENOENT"


async def silence(wire: Wire) -> None:
    await wire.head()
    await asyncio.Event().wait()


async def half(wire: Wire) -> None:
    await wire.head()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("option", "script", "phase"),
    [
        ("head_timeout", silence, "head"), ("timeout", silence, "head"), ("deadline", silence, "head"),
        ("idle_timeout", half, "body"), ("deadline", half, "body"),
    ],
)  # fmt: skip
async def test_a_limit_says_whose_it_is(option: str, script: Any, phase: str) -> None:
    async with peer(script) as server, pool() as agent:
        limit: Any = {option: 0.02}
        with pytest.raises(TimedOut) as caught:
            async with http.get(f"{server.url}a?b", agent=agent, **limit) as res:
                await res.read()
        assert caught.value.message == f"GET {server.url}a?***: {option} of 0.02 s reached in phase {phase}"


async def test_the_limit_of_the_queue_says_whose_it_is() -> None:
    async with peer(silence) as server, pool(max_sockets=1) as agent:
        first = http.get(server.url, agent=agent)
        with pytest.raises(TimedOut) as caught:
            await http.get(server.url, agent=agent, queue_timeout=0.02)
        assert caught.value.message == f"GET {server.url}: queue_timeout of 0.02 s reached in phase queue"
        first.destroy()


@pytest.mark.parametrize("option", ["connect_timeout", "timeout"])
async def test_the_limit_of_connecting_says_whose_it_is(option: str) -> None:
    async with unanswered_port() as port, pool() as agent:
        url = f"http://127.0.0.1:{port}/"
        limit: Any = {option: 0.02}
        with pytest.raises(TimedOut) as caught:
            await http.get(url, agent=agent, **limit)
        assert caught.value.message == f"GET {url}: {option} of 0.02 s reached in phase connect"
