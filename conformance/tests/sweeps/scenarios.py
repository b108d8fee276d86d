"""What is interrupted: one set of scenarios for every backend, plain and over TLS, and the server they talk to.

A scenario is written as those of the suite are (``async def``, with ``settle`` around what waits). It uses public
names alone, checks that what it got is its own, and leaves nothing behind if it is let through.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

from anywire.conformance.backends import settle
from anywire.conformance.folders import certificate
from anywire.core import AnywireError

from .strikers import Strike, Striker

__all__ = ["CLIENTS", "HANDLERS", "SERVERS", "Handler", "Play", "entered"]

MEGABYTE = bytes(1 << 20)
SOME = b"some" * 300


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    """A context manager of either colour."""
    awaiting = hasattr(manager, "__aenter__")
    value = await settle(manager.__aenter__() if awaiting else manager.__enter__())
    leave = manager.__aexit__ if awaiting else manager.__exit__
    try:
        yield value
    except BaseException as error:
        if not await settle(leave(type(error), error, error.__traceback__)):
            raise
    else:
        await settle(leave(None, None, None))


class Pieces:
    """Iterate in either colour. No generator: one that is left early waits for its end."""

    def __init__(self, source: Any) -> None:
        self._source = source

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        if hasattr(self._source, "__anext__"):
            return await self._source.__anext__()
        try:
            return next(self._source)
        except StopIteration:
            raise StopAsyncIteration from None


def hooked(play: Play, function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
    """A hook in the colour of the backend; what it returns counts."""
    return play.on.backend.hook(function)


class Play:
    """The stage of one run: a server, an agent, and the runtime both live in.

    Attributes:
        on: the runtime.
        api: its ``http`` or ``https`` module.
        destroy: what a thread does to the victim.
        others: tasks beside the victim; :meth:`over` waits for them.
        nonce: of the last request; its answer has to have it.
    """

    def __init__(self, on: Striker, *, secure: bool) -> None:
        self.on = on
        backend = on.backend
        self.api: Any = self._module(backend, secure)
        self.secure = secure
        self.nonce = 0
        self.others: list[Any] = []
        self.failures: list[BaseException] = []
        self.destroy: Callable[[], object] = bool
        self.busy, self.go = backend.flag(), backend.flag()
        options: dict[str, Any] = {}
        if secure:
            pem = certificate("localhost")
            options = {"cert": pem, "key": pem}
        self.server = self.api.create_server(backend.hook(self._app), **options)
        self.victim: Callable[..., Coroutine[Any, Any, None]]
        """Serves /victim."""
        self.server.on("upgrade", backend.hook(self._switched))
        self.server.on("connect", backend.hook(self._switched))
        self.server.grace = 0.0
        self.agent = self.make_agent(max_sockets=1)

    @staticmethod
    def _module(backend: Any, secure: bool) -> Any:
        if secure and backend.https is None:
            raise LookupError(f"{backend.name} has no https")
        return backend.https if secure else backend.http

    def make_agent(self, **options: Any) -> Any:
        """An agent that trusts the server."""
        if self.secure:
            options |= {"ca": certificate("authority"), "servername": "localhost"}
        return self.api.Agent(keep_alive=True, **options)

    # ---------------------------------------------------------------- the server

    async def listen(self) -> None:
        await settle(self.server.listen(0, "127.0.0.1"))
        self.port = self.server.address()[1]

    async def _app(self, req: Any, res: Any) -> None:
        path = req.url.partition("?")[0]
        if path == "/victim":
            await self.victim(req, res)
            return
        if path == "/early":
            await settle(res.write_head(413, {"X-Url": req.url, "Connection": "close", "Content-Length": 5}))
            await settle(res.end("large"))
            return
        if path == "/interim":
            await settle(res.write_processing())
            await self.on.turn()
            await settle(res.write_information(103, {"Link": "</style.css>; rel=preload"}))
            await self.on.turn()
        if path == "/slow":
            for _ in range(3):
                await self.on.turn()
        got = 0
        await settle(res.write_head(200, {"X-Url": req.url, "Trailer": "X-Sum"}))
        async for piece in Pieces(req):
            got += len(piece)
            if path == "/echo":
                await settle(res.write(piece))
        if path == "/stream":
            for _ in range(3):
                await settle(res.write(SOME))
                await self.on.turn()
        elif path == "/big":
            for _ in range(4):
                await settle(res.write(MEGABYTE))
        elif path == "/some":
            for _ in range(2):
                await settle(res.write(MEGABYTE[: 1 << 17]))
        await settle(res.end(f"{got}.", trailers={"X-Sum": str(got)}))

    async def _switched(self, req: Any, stream: Any, head: bytes) -> None:
        if req.url.startswith("/victim"):
            async with entered(stream):
                await self.victim(stream, head)
            return
        status = (
            "200 OK" if req.method == "CONNECT" else "101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade"
        )
        async with entered(stream):
            await settle(stream.send(f"HTTP/1.1 {status}\r\n\r\n"))
            got = 0
            async for data in Pieces(stream):
                got += len(data)
                if "sink" not in req.url:
                    await settle(stream.send(data))
            await settle(stream.send(f"{got}."))

    # ---------------------------------------------------------------- requests

    def ask(self, path: str, agent: Any = None, **options: Any) -> Any:
        """A request with a nonce."""
        self.nonce += 1
        options.setdefault("agent", agent or self.agent)
        url = f"{self.api.Agent().protocol}//{options.pop('name', '127.0.0.1')}:{self.port}"
        req = self.api.request(f"{url}{path}?{self.nonce}", **options)
        self.destroy = req.destroy
        return req

    @asynccontextmanager
    async def answer(self, path: str, **options: Any) -> AsyncIterator[Any]:
        """``async with request as response``, or without the ``async``; the answer is checked to be this request's."""
        req = self.ask(path, **options)
        wanted = f"{path}?{self.nonce}"
        async with entered(req) as res:
            assert res.headers["x-url"] == wanted, (res.headers, wanted)
            yield res

    def beside(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run `work` beside the victim; it has to come through."""

        async def body() -> None:
            try:
                await work()
            except Exception as error:
                self.failures.append(error)

        self.others.append(self.on.backend.start(body))

    async def over(self, strike: Strike | None = None) -> None:
        """Wait for those beside. Raises what one of them raised, unless a server was struck, and they lost it."""
        while self.others:
            await settle(self.others.pop().join())
        for error in self.failures:
            if strike is None or not (strike.struck and isinstance(error, AnywireError)):
                raise error


# -------------------------------------------------------------------- victims: clients


async def get(play: Play) -> None:
    """A new connection; or the pooled one, if there is one."""
    async with play.answer("/get") as res:
        assert await settle(res.read()) == b"0."


async def again(play: Play) -> None:
    """Over a connection that was pooled, then over the same once more."""
    await get(play)
    await get(play)


async def by_hand(play: Play) -> None:
    """Without a context manager: nobody cleans up but the call that is interrupted."""
    req = play.ask("/stream")
    res = await settle(req.response())
    assert await settle(res.read()) == SOME * 3 + b"0."
    assert res.trailers["x-sum"] == "0"


async def in_pieces(play: Play) -> None:
    """The three ways to read."""
    async with play.answer("/stream") as res:
        assert await settle(res.read(4)) == b"some"
        async for piece in Pieces(res):
            assert piece
            break
        await settle(res.resume())


async def slow(play: Play) -> None:
    """Leaves a rest that the context manager reads for the sake of the connection (ASK-7)."""
    async with play.answer("/slow") as res:
        assert res.status_code == 200


async def unread(play: Play) -> None:
    """Leaves more than that: the connection goes."""
    async with play.answer("/big") as res:
        assert res.status_code == 200


async def dropped(play: Play) -> None:
    """Holds the response no longer; whoever needs its place gets it (ASK-7)."""
    await settle(play.ask("/big").response())
    play.destroy = bool


async def upload(play: Play) -> None:
    """More than buffers hold, so writing has to wait."""
    req = play.ask("/sink", method="POST")
    for _ in range(4):
        assert await settle(req.write(MEGABYTE))
    await settle(req.end(b"end", trailers={"X-Sum": "1"}))
    res = await settle(req.response())
    assert await settle(res.read()) == b"%d." % (4 * len(MEGABYTE) + 3)


async def expect(play: Play) -> None:
    """The body waits for 100."""
    headers = {"Expect": "100-continue", "Content-Length": 4}
    req = play.ask("/echo", method="PUT", headers=headers, continue_timeout=30.0)
    await settle(req.flush_headers())
    await settle(req.write(b"bo"))
    await settle(req.end(b"dy"))
    res = await settle(req.response())
    assert await settle(res.read()) == b"body4."


async def interim(play: Play) -> None:
    """102 and 103 before the answer."""
    req = play.ask("/interim")
    seen: list[int] = []
    req.on("information", lambda message: seen.append(message.status_code))
    async with entered(req) as res:
        await settle(res.read())
    assert seen == [102, 103]


async def early(play: Play) -> None:
    """Refused in the middle of the upload (ASK-28)."""
    req = play.ask("/early", method="POST")
    for _ in range(64):
        if not await settle(req.write(MEGABYTE)):
            break
    else:
        raise AssertionError("64 MiB were written to nobody")
    async with entered(req) as res:
        assert (res.status_code, await settle(res.read())) == (413, b"large")


async def queued(play: Play) -> None:
    """Behind another that has the only connection, and before a third (ASK-16)."""
    over = []

    async def before() -> None:
        try:
            await stream_of(play)
        finally:
            over.append(True)

    play.beside(before)
    # A thread may be done with all of it before this one is looked at again.
    while not (over or any(each.active + each.connecting for each in play.agent.stats().values())):
        await play.on.turn()
    req = play.ask("/get")
    destroy = play.destroy
    play.beside(lambda: get(play))
    play.destroy = destroy
    async with entered(req) as res:
        assert await settle(res.read()) == b"0."


async def stream_of(play: Play) -> None:
    async with play.answer("/stream") as res:
        assert len([each async for each in Pieces(res)]) > 1


async def looked_up(play: Play) -> None:
    """A resolver that takes its time, and a first address that refuses."""

    async def lookup(host: str, options: Any) -> list[str]:
        await play.on.turn()
        return ["127.0.0.2", "127.0.0.1"]

    async with play.answer("/get", name="nobody.test", lookup=hooked(play, lookup)) as res:
        assert await settle(res.read()) == b"0."


async def two_addresses(play: Play) -> None:
    """The first never answers, so both are tried at once (ASK-11)."""

    async def lookup(host: str, options: Any) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    with unanswered("127.0.0.2", play.port):
        async with play.answer("/get", name="nobody.test", lookup=hooked(play, lookup)) as res:
            assert await settle(res.read()) == b"0."


@contextmanager
def unanswered(host: str, port: int) -> Any:
    """A listener whose backlog is full: whoever connects hears nothing."""
    listening = socket.socket()
    fillers: list[socket.socket] = []
    try:
        listening.bind((host, port))
        listening.listen(0)
        for _ in range(3):
            fillers.append(socket.socket())
            fillers[-1].setblocking(False)
            fillers[-1].connect_ex((host, port))
        yield
    finally:
        for each in (listening, *fillers):
            each.close()


async def made_by_hand(play: Play) -> None:
    """What ``create_connection`` is replaced with waits, too."""

    async def connect(options: Any) -> Any:
        await play.on.turn()
        return await settle(play.on.backend.world.dial(play.port))

    agent = play.make_agent(create_connection=hooked(play, connect))
    try:
        async with play.answer("/get", agent=agent) as res:
            assert await settle(res.read()) == b"0."
    finally:
        agent.destroy()


async def limited(play: Play) -> None:
    """Every limit is armed; none strikes."""
    names = ("deadline", "timeout", "queue_timeout", "connect_timeout", "head_timeout", "idle_timeout", "write_timeout")
    limits: Any = dict.fromkeys(names, 30.0)
    async with play.answer("/stream", **limits) as res:
        await settle(res.read())


async def upgraded(play: Play) -> None:
    """A raw stream, both ways, to its end."""
    headers = {"Connection": "Upgrade", "Upgrade": "echo"}
    _, stream, head = await settle(play.ask("/echo", headers=headers).upgraded())
    play.destroy = stream.destroy
    async with entered(stream):
        await settle(stream.send(b"hello"))
        got = head
        while len(got) < 5:
            got += await settle(stream.receive())
        await settle(stream.send_eof())
        got += b"".join([data async for data in Pieces(stream)])
        await settle(stream.close())
    assert got == b"hello5."


async def tunnel(play: Play) -> None:
    """CONNECT, and more than buffers hold."""
    # The target of a CONNECT has no path and no nonce.
    req = play.api.request(
        f"{play.api.Agent().protocol}//127.0.0.1:{play.port}", method="CONNECT", path="sink.test:1", agent=play.agent
    )
    play.destroy = req.destroy
    _, stream, head = await settle(req.upgraded())
    play.destroy = stream.destroy
    async with entered(stream):
        for _ in range(4):
            await settle(stream.send(MEGABYTE))
        await settle(stream.send_eof())
        got = head + b"".join([data async for data in Pieces(stream)])
    assert got == b"%d." % (4 * len(MEGABYTE))


async def piped(play: Play) -> None:
    """From one request into another, on an agent of its own."""
    agent = play.make_agent()
    try:
        async with play.answer("/some") as res:
            destroy = play.destroy
            destination = play.ask("/sink", agent=agent, method="POST")
            play.destroy = lambda: (destroy(), destination.destroy())
            await settle(res.pipe(destination))
            async with entered(destination) as sunk:
                assert await settle(sunk.read()) == b"%d." % ((1 << 18) + 2)
    finally:
        agent.destroy()


CLIENTS = [
    get, again, by_hand, in_pieces, slow, unread, dropped, upload, expect, interim, early, queued, looked_up,
    two_addresses, made_by_hand, limited, upgraded, tunnel, piped,
]  # fmt: skip


# -------------------------------------------------------------------- victims: handlers


class Handler(NamedTuple):
    """A handler, and what its client does. The client takes any whole answer: the handler may have been interrupted."""

    name: str
    serve: Callable[[Play, Any, Any], Coroutine[Any, Any, None]]
    ask: Callable[[Play], Coroutine[Any, Any, None]]


async def reads(play: Play, req: Any, res: Any) -> None:
    got = await settle(req.read())
    await settle(res.end(f"{len(got)}."))


async def writes(play: Play, req: Any, res: Any) -> None:
    for _ in range(4):
        await settle(res.write(MEGABYTE))
    await settle(res.end("."))


async def writes_interim(play: Play, req: Any, res: Any) -> None:
    await settle(res.write_processing())
    await settle(res.write_early_hints({"Link": "</style.css>; rel=preload"}))
    res.write_head(200)
    await settle(res.flush_headers())
    await settle(res.end("."))


async def pipes(play: Play, req: Any, res: Any) -> None:
    res.write_head(200)
    await settle(req.pipe(res))


async def continues(play: Play, req: Any, res: Any) -> None:
    await settle(res.write_continue())
    await reads(play, req, res)


async def talks(play: Play, stream: Any, head: bytes) -> None:
    """Is given a raw stream."""
    await settle(stream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"))
    async for data in Pieces(stream):
        await settle(stream.send(data))
    for _ in range(4):
        await settle(stream.send(MEGABYTE))
    await settle(stream.send_eof())


async def posts(play: Play) -> None:
    """Its body comes in two parts."""
    async with await started(play, {}) as res:
        await settle(res.read())


async def started(play: Play, headers: dict[str, Any], **options: Any) -> Any:
    req = play.ask("/victim", method="POST", headers=headers, **options)
    more = await settle(req.write(b"u" * 70000))
    await play.on.turn()
    if more:
        await settle(req.write(b"u" * 70000))
    await settle(req.end())
    return entered(req)


async def posts_expecting(play: Play) -> None:
    async with await started(play, {"Expect": "100-continue"}, continue_timeout=30.0) as res:
        await settle(res.read())


async def gets_late(play: Play) -> None:
    """Reads when the server has written all it can."""
    async with entered(play.ask("/victim")) as res:
        for _ in range(5):
            await play.on.pause()
        await settle(res.read())


async def upgrades(play: Play) -> None:
    req = play.ask("/victim", headers={"Connection": "Upgrade", "Upgrade": "x"})
    _, stream, _ = await settle(req.upgraded())
    async with entered(stream):
        await settle(stream.send(b"hello"))
        await play.on.pause()
        await settle(stream.send_eof())
        async for _ in Pieces(stream):
            pass


HANDLERS = [
    Handler("reads", reads, posts),
    Handler("writes", writes, gets_late),
    Handler("writes_interim", writes_interim, gets_late),
    Handler("pipes", pipes, posts),
    Handler("continues", continues, posts_expecting),
    Handler("talks", talks, upgrades),
]


# -------------------------------------------------------------------- victims: who waits for a server


async def closing(play: Play) -> None:
    """Exchanges get time to finish."""
    await settle(play.server.close(grace=30.0))


async def forever(play: Play) -> None:
    await settle(play.server.serve_forever())


async def listening(play: Play) -> None:
    await settle(play.server.close(grace=0.0))
    await settle(play.server.listen(0, "127.0.0.1"))


SERVERS = [closing, forever, listening]
