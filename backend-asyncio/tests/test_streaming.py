"""Back-pressure both ways, uploads that are answered early, and what one exchange costs."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest
from asyncio_peers import GET, OK, Certificates, Wire, counts, dial, peer, pool, port_of, serving, turns, until

from anywire.asyncio import http, https
from anywire.core import HIGH_WATER_MARK, AnywireError, ConnectionLost

Request = http.IncomingMessage
Response = http.ServerResponse


async def stalled(wire: Wire) -> None:
    """Sends a request and then reads nothing."""
    wire.writer.write(GET)
    wire.reader._transport.pause_reading()  # type: ignore[attr-defined]


# ---------------------------------------------------------------- the server writes


async def test_write_waits_for_a_slow_reader_and_write_nowait_says_so() -> None:
    """RES-49, RES-50, ASK-27: False at the mark, ``drain`` when everything went out, memory bounded."""
    drained, blocked = asyncio.Event(), asyncio.Event()
    piece = bytes(65536)
    unsent: list[int] = []

    async def app(req: Request, res: Response) -> None:
        res.on("drain", drained.set)
        while res.write_nowait(piece):
            pass
        unsent.append(res.writable_length)
        blocked.set()
        await drained.wait()
        assert res.writable_length == 0
        assert res.write_nowait(b"x")
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await stalled(wire)
        await blocked.wait()
        assert not drained.is_set()
        assert HIGH_WATER_MARK <= unsent[0] <= HIGH_WATER_MARK + len(piece) + 16
        wire.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await wire.head()
        body, _ = await wire.chunks()
        assert body.endswith(b"x")


@pytest.mark.slow
async def test_a_response_of_any_size_takes_no_memory() -> None:
    """Design section 6: flat while streaming; 64 MiB through a reader that is slower than the writer."""
    piece = bytes(65536)
    count = 1024

    async def app(req: Request, res: Response) -> None:
        for _ in range(count):
            assert await res.write(piece)
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await wire.send(GET)
        await wire.head()
        size = 0
        while length := int(await wire.line(), 16):
            size += len(await wire.reader.readexactly(length))
            await wire.line()
        assert size == count * len(piece)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16384  # KiB; a quarter of what was sent


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_blocked_write_ends_when_the_client_leaves(how: str) -> None:
    """ASK-26."""
    caught: list[AnywireError] = []
    aborted: list[str] = []
    writing = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        req.on("aborted", lambda: aborted.append("aborted"))
        try:
            while True:
                writing.set()
                await res.write(bytes(1 << 20))
        except AnywireError as error:
            caught.append(error)
            raise

    async with serving(app) as server, dial(port_of(server)) as wire:
        await stalled(wire)
        await writing.wait()
        await until(lambda: next(iter(server.connections)).pump.blocked)
        if how == "reset":
            wire.reset()
        else:
            wire.eof()
        await until(lambda: caught)
    assert isinstance(caught[0], ConnectionLost)
    assert aborted == ["aborted"]


async def test_pushing_server_sent_events() -> None:
    """ASK-29: each write is readable before the next is made."""
    heard = asyncio.Event()

    async def app(req: Request, res: Response) -> None:
        res.write_head(200, {"Content-Type": "text/event-stream"})
        for number in range(3):
            heard.clear()
            await res.write(b"data: %d\n\n" % number)
            await heard.wait()
        await res.end()

    async with serving(app) as server, pool() as agent:
        async with http.get(f"http://127.0.0.1:{port_of(server)}/", agent=agent) as res:
            pieces = []
            async for piece in res:
                pieces.append(piece)
                heard.set()
        assert pieces == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.slow
async def test_the_servers_read_ahead_is_bounded() -> None:
    """Nobody reads the body: the client is held back."""
    entered, proceed = asyncio.Event(), asyncio.Event()
    sizes: list[int] = []

    async def app(req: Request, res: Response) -> None:
        entered.set()
        await proceed.wait()
        sizes.append(len(await req.read()))
        await res.end()

    total = 32 << 20
    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % total)

        async def send() -> None:
            for _ in range(total >> 16):
                await wire.send(bytes(65536))

        sending = asyncio.ensure_future(send())
        await entered.wait()
        connection = next(iter(server.connections))
        await until(lambda: not connection.want_read)
        await asyncio.sleep(0.02)
        assert not sending.done()
        assert connection._parser.buffered <= 65536 + 262144
        proceed.set()
        await wire.message()
        await sending
    assert sizes == [total]


async def test_corked_writes_are_one() -> None:
    """RES-59."""

    async def app(req: Request, res: Response) -> None:
        res.cork()
        for word in (b"a", b"b", b"c"):
            await res.write(word)
        await turns()
        res.uncork()
        await res.end()

    async with serving(app) as server, dial(port_of(server)) as wire:
        await wire.send(GET)
        await wire.head()
        assert (await wire.chunks())[0] == b"abc"


# ---------------------------------------------------------------- the client writes


async def test_an_upload_waits_for_a_slow_server() -> None:
    """CLI-20, ASK-27."""
    go = asyncio.Event()
    got: list[int] = []

    async def script(wire: Wire) -> None:
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        wire.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await wire.head()
        got.append(len((await wire.chunks())[0]))
        await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        written = 0

        async def upload() -> None:
            nonlocal written
            for _ in range(256):
                assert await req.write(bytes(65536))
                written += 65536
            await req.end()

        task = asyncio.ensure_future(upload())
        before = -1
        while before != written or not written:
            before = written
            await asyncio.sleep(0.02)
        assert written < 256 * 65536
        assert req.writable_length <= HIGH_WATER_MARK + 65536 + 16
        go.set()
        await task
        async with req as res:
            assert await res.read() == b"ok"
    assert got == [256 * 65536]


async def refuse(wire: Wire) -> None:
    """413 as soon as the head is there, and close, with most of the body unread."""
    await wire.head()
    await wire.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large")


async def upload_refused(url: str, agent: http.Agent, **options: Any) -> int:
    """Upload 20 MiB to a server that refuses it. Returns the status; raises if it was lost."""
    piece = bytes(1 << 20)
    request = https.request if url.startswith("https") else http.request
    req = request(url, method="POST", agent=agent, **options)
    for _ in range(20):
        if not await req.write(piece):
            break
    else:
        await req.end()
    async with req as res:
        assert await res.read() == b"too large"
        return res.status_code or 0


@pytest.mark.slow
async def test_an_early_refusal_of_an_upload_is_never_lost() -> None:
    """ASK-28: fifty times 20 MiB into a 413 and a close (with a reset, for there is unread input)."""
    async with peer(refuse) as server, pool() as agent:
        lost = []
        for _ in range(50):
            try:
                assert await upload_refused(server.url, agent) == 413
            except AnywireError as error:
                lost.append(repr(error))
        assert not lost
        assert counts(agent) == (0, 0, 0, 0)


@pytest.mark.slow
async def test_an_early_refusal_under_tls(certificates: Certificates) -> None:
    """ASK-28 under TLS, where the peer's reset may destroy what it had said before we could decrypt it."""
    async with peer(refuse, tls=certificates.server_side()) as server:
        url = f"https://localhost:{server.port}/"
        agent = https.Agent(keep_alive=True, ca=certificates.ca)
        lost = []
        for _ in range(20):
            try:
                assert await upload_refused(url, agent) == 413
            except AnywireError as error:
                lost.append(repr(error))
        agent.destroy()
        await turns(20)
        assert not lost


async def test_an_early_answer_stops_the_upload() -> None:
    """ASK-28: long before everything was sent."""

    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        req = http.request(server.url, method="POST", agent=agent)
        written = 0
        while await req.write(bytes(65536)):
            written += 1
            assert written < 1000, "the answer was not heard"
        async with req as res:
            assert res.status_code == 403


# ---------------------------------------------------------------- what it costs


class Counting:
    """A socket of which the calls of ``send`` are counted."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.sent.append(data)
        return self.sock.send(data)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)


@pytest.mark.parametrize("size", [0, 5, 8192])
@pytest.mark.parametrize("form", ["end", "write_head", "write", "async"])
async def test_a_small_response_is_one_send(form: str, size: int) -> None:
    """Design section 6."""
    body = b"x" * size

    async def app(req: Request, res: Response) -> None:
        if form == "write_head":
            res.write_head(200, {"Content-Length": size})
        if form == "write":
            res.cork()
            await res.write(body)
            await res.end()
        elif form == "async":
            await turns(2)
            await res.end(body)
        else:
            await res.end(body)

    async with serving(app) as server, dial(port_of(server)) as wire:
        await until(lambda: server.connections)
        pump: Any = next(iter(server.connections)).pump
        counting = pump.sock = Counting(pump.sock)
        for number in range(3):
            await wire.send(GET)
            assert (await wire.message())[1] == body
            assert len(counting.sent) == number + 1


async def test_a_small_request_is_one_send() -> None:
    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(OK)

    async with peer(script) as server, pool() as agent:
        async with http.get(server.url, agent=agent) as res:
            await res.read()
        pump: Any = next(iter(agent.free_sockets.values()))[0].connection.pump
        counting = pump.sock = Counting(pump.sock)
        async with http.get(server.url, agent=agent) as res:
            await res.read()
        req = http.request(server.url, method="POST", agent=agent)
        await req.end(b"body")
        async with req as res:
            await res.read()
        assert len(counting.sent) == 2


async def test_a_keep_alive_request_costs_no_task_and_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Design section 6: one wake-up, no task, no timer, on the server; none of both on the client."""
    handlers = 0

    async def app(req: Request, res: Response) -> None:
        nonlocal handlers
        handlers += 1
        await res.end(b"ok")

    async with serving(app) as server, dial(port_of(server)) as wire, pool() as agent:
        await wire.send(GET)
        await wire.message()
        url = f"http://127.0.0.1:{port_of(server)}/"
        async with http.get(url, agent=agent) as res:
            await res.read()
        loop = asyncio.get_running_loop()
        calls: list[str] = []

        class Watched:
            """uvloop's loop takes no attributes, so the pumps get others to talk to."""

            def __init__(self, callbacks: Any) -> None:
                self.callbacks = callbacks

            def __getattr__(self, name: str) -> Any:
                if name in ("at", "call_at", "call_later", "create_task"):
                    calls.append(name)
                return Watched(loop) if name == "loop" else getattr(self.callbacks, name)

        pumps: list[Any] = [connection.pump for connection in server.connections]
        pumps += [pooled[0].connection.pump for pooled in agent.free_sockets.values()]
        for pump in pumps:
            pump._loop = Watched(pump._loop)
        before = handlers
        # Not through the peer's streams: their own tasks and timers are not what is counted.
        for _ in range(20):
            wire.writer.write(GET)
            await wire.message()
            async with http.get(url, agent=agent) as res:
                await res.read()
        assert handlers == before + 40
        assert calls == []
