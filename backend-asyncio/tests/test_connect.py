"""Resolving and connecting: happy eyeballs, local addresses, lookups, refusals, limits."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from asyncio_peers import OK, Wire, counts, peer, pool, unanswered_port

from anywire.asyncio import http
from anywire.core import AnywireError, ArgumentTypeError, ConnectError, LocalError, TimedOut


async def ok(wire: Wire) -> None:
    while True:
        await wire.message()
        await wire.send(OK)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]  # type: ignore[no-any-return]


async def test_refused() -> None:
    """CLI-53: attributes, message, events."""
    events: list[str] = []
    port = free_port()
    async with pool() as agent:
        req = http.get(f"http://127.0.0.1:{port}/", agent=agent)
        for name in ("socket", "error", "close", "finish"):
            req.on(name, lambda *_, name=name: events.append(name))
        with pytest.raises(ConnectionRefusedError) as caught:
            await req.response()
        error = caught.value
        assert isinstance(error, ConnectError)
        assert (error.code, error.syscall, error.address, error.port) == ("ECONNREFUSED", "connect", "127.0.0.1", port)
        assert (error.phase, error.replay_safe, error.bytes_written) == ("connect", "yes", 0)
        assert error.message == f"connect ECONNREFUSED 127.0.0.1:{port}"
        assert events == ["error", "close"]
        assert counts(agent) == (0, 0, 0, 0)


async def test_each_queued_request_gets_its_own_refusal() -> None:
    """AGT-73."""
    port = free_port()
    async with pool(max_sockets=1) as agent:
        requests = [http.get(f"http://127.0.0.1:{port}/", agent=agent).response() for _ in range(3)]
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == ["ECONNREFUSED"] * 3
        assert len({id(result) for result in results}) == 3


async def test_a_name_that_does_not_exist() -> None:
    """AGT-74. ``.invalid`` never resolves (RFC 6761)."""
    async with pool() as agent:
        with pytest.raises(OSError, match="getaddrinfo ENOTFOUND") as caught:
            await http.get("http://nowhere.invalid/", agent=agent)
        assert isinstance(caught.value, ConnectError)
        assert (caught.value.code, caught.value.phase) == ("ENOTFOUND", "resolve")
        assert counts(agent) == (0, 0, 0, 0)


async def test_connect_timeout_names_the_phase() -> None:
    """ASK-19."""
    async with unanswered_port() as port, pool() as agent:
        for option in ("connect_timeout", "timeout", "deadline"):
            limit: dict[str, Any] = {option: 0.05}
            with pytest.raises(TimedOut) as caught:
                await http.get(f"http://127.0.0.1:{port}/", agent=agent, **limit)
            assert (caught.value.phase, caught.value.limit) == ("connect", 0.05)
            assert counts(agent) == (0, 0, 0, 0)


@pytest.mark.slow
async def test_happy_eyeballs() -> None:
    """ASK-11: the first address does not answer, the second does; the loser's socket is closed."""

    async with unanswered_port() as port:
        # The same port on another address of this host, where somebody answers.
        server = await asyncio.start_server(lambda r, w: answer(r, w), "127.0.0.2", port)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
            writer.close()

        async with server, pool() as agent:
            req = http.get(
                f"http://two.test:{port}/", agent=agent, lookup=lambda host, options: ["127.0.0.1", "127.0.0.2"]
            )
            async with req as res:
                assert await res.read() == b"ok"
                assert req.socket.remote_address == "127.0.0.2"


async def test_the_next_address_is_tried_at_once_after_a_refusal() -> None:
    async with peer(ok, host="127.0.0.2") as server, pool() as agent:
        req = http.get(
            f"http://two.test:{server.port}/",
            agent=agent,
            lookup=lambda host, options: [("127.0.0.1", 4), ("127.0.0.2", 4)],
        )
        async with req as res:
            assert await res.read() == b"ok"


async def test_lookup() -> None:
    """MOD-52: called with the name and the family; sync or async, any of its result forms."""
    asked: list[Any] = []

    async def slow(host: str, options: Any) -> Any:
        await asyncio.sleep(0)
        return [("127.0.0.1", 4)]

    def plain(host: str, options: Any) -> Any:
        asked.append((host, options["family"]))
        return "127.0.0.1"

    async with peer(ok) as server, pool() as agent:
        for lookup in (plain, slow, lambda host, options: ("127.0.0.1", 4), lambda host, options: ["127.0.0.1"]):
            async with http.get(f"http://made.up:{server.port}/", agent=agent, lookup=lookup, family=4) as res:
                assert await res.read() == b"ok"
            agent.destroy()
        assert asked == [("made.up", 4)]

        def failing(host: str, options: Any) -> Any:
            raise OSError("no such luck")

        for wrong, kind in ((failing, AnywireError), (lambda host, options: 5, ArgumentTypeError)):
            with pytest.raises(kind):
                await http.get(f"http://made.up:{server.port}/", agent=agent, lookup=wrong)
            assert counts(agent) == (0, 0, 0, 0)


async def test_local_address() -> None:
    """MOD-51."""
    seen: list[Any] = []

    async def script(wire: Wire) -> None:
        seen.append(wire.writer.get_extra_info("peername")[0])
        await ok(wire)

    async with peer(script) as server, pool() as agent:
        req = http.get(server.url, agent=agent, local_address="127.0.0.3")
        async with req as res:
            await res.read()
        assert req.socket.local_address == "127.0.0.3"
        with pytest.raises(AnywireError) as caught:
            await http.get(server.url, agent=agent, local_address="203.0.113.1")
        assert caught.value.code == "EADDRNOTAVAIL"
        assert counts(agent)[:2] == (0, 0)
    assert seen == ["127.0.0.3"]


@pytest.mark.parametrize(("family", "address"), [(4, "127.0.0.1"), (6, "::1")])
async def test_family(family: int, address: str) -> None:
    """MOD-45."""
    async with peer(ok, host=address) as server, pool() as agent:
        # Whether "localhost" has an IPv6 address is the machine's affair.
        def lookup(host: str, options: Any) -> str:
            return {4: "127.0.0.1", 6: "::1"}[options["family"]]

        req = http.get(f"http://two.test:{server.port}/", agent=agent, family=family, lookup=lookup)
        async with req as res:
            await res.read()
        assert req.socket.remote_address == address


async def test_an_ipv6_literal() -> None:
    """WIR-27."""
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        await wire.send(OK)

    async with peer(script, host="::1") as server, pool() as agent:
        async with http.get(f"http://[::1]:{server.port}/", agent=agent) as res:
            await res.read()
        assert b"\r\nHost: [::1]:%d\r\n" % server.port in heads[0]


async def test_create_connection_of_a_request() -> None:
    """MOD-37, AGT-41: no agent then, and ``Connection: close``."""
    given: list[Any] = []
    heads: list[bytes] = []

    async def script(wire: Wire) -> None:
        heads.append(await wire.head())
        await wire.send(OK)

    async with peer(script) as server:

        def create(options: dict[str, Any]) -> socket.socket:
            given.append(options)
            return socket.create_connection(("127.0.0.1", server.port))

        req = http.get("http://made.up:1234/", create_connection=create)
        assert req.agent is None
        async with req as res:
            assert await res.read() == b"ok"
        assert (given[0]["host"], given[0]["port"], given[0]["path"]) == ("made.up", 1234, None)
        assert b"\r\nConnection: close\r\n" in heads[0]


async def test_create_connection_of_an_agent() -> None:
    """AGT-31: once per connection; may be async."""
    calls: list[int] = []
    async with peer(ok) as server:

        async def create(options: dict[str, Any]) -> socket.socket:
            calls.append(options["port"])
            await asyncio.sleep(0)
            return socket.create_connection(("127.0.0.1", server.port))

        async with pool(create_connection=create) as agent:
            for _ in range(3):
                async with http.get("http://made.up/", agent=agent) as res:
                    await res.read()
        assert calls == [80]


async def test_create_connection_that_fails() -> None:
    """AGT-33, decision 4: fails its request, once and for all; the next in the queue is served."""

    def broken(options: dict[str, Any]) -> Any:
        raise OSError(101, "unreachable")

    def wrong(options: dict[str, Any]) -> Any:
        return "not a socket"

    def mine(options: dict[str, Any]) -> Any:
        raise ZeroDivisionError

    for create, kind in ((broken, OSError), (wrong, ArgumentTypeError), (mine, ZeroDivisionError)):
        async with pool(create_connection=create, max_sockets=1) as agent:
            requests = [http.get("http://h/", agent=agent).response() for _ in range(2)]
            results = await asyncio.gather(*requests, return_exceptions=True)
            assert [isinstance(result, kind) for result in results] == [True, True]
            assert counts(agent) == (0, 0, 0, 0)


async def test_tcp_options() -> None:
    """ASK-22: keep-alive probes on, TCP_NODELAY on, on both sides."""
    async with peer(ok) as server, pool() as agent:
        req = http.get(server.url, agent=agent)
        async with req as res:
            await res.read()
            raw = req.socket._pump.info("socket")
            assert raw.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_bad_arguments() -> None:
    async with pool() as agent:
        wrong: list[dict[str, Any]] = [{"local_address": "nonsense"}, {"port": 70000}, {"host": "a/b"}]
        for options in wrong:
            with pytest.raises(LocalError):
                http.get(agent=agent, **options)
        assert counts(agent) == (0, 0, 0, 0)
