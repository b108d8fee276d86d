"""The demo's client: every exchange of the job. What is asked and what is right is in ``cli/demo/_client.py``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo import DEADLINE, EXPECTATIONS, Client, Entry, Expectation, Job, Phase, Reporter, Result, expect

if TYPE_CHECKING:
    from anywire.asyncio import http

    from ._runtime import Runtime, Work

__all__ = ["run_demo"]


async def run_demo(runtime: Runtime, job: Job, result: Result, reporter: Reporter) -> None:
    """Run the job."""
    client = _Client(runtime, job, result, reporter)
    async with client.agent:
        for name, step in client.steps():
            with client.step(name):
                await step()


class _Client(Client):
    def __init__(self, runtime: Runtime, job: Job, result: Result, reporter: Reporter) -> None:
        super().__init__(runtime.http, job, result, reporter)
        self._runtime = runtime

    def steps(self) -> list[tuple[str, Work]]:
        """In order. The stream first: what thousands of requests leave in the heap would hide its growth."""
        return [
            ("stream", self._streams),
            ("manifest", self._manifest),
            ("mirror", self._mirror),
            ("upload", self._upload),
            ("sockets", self._sockets),
            ("422", self._wrong_digest),
            ("tunnel", self._tunnel),
            ("upgrade", self._upgrade),
            *((wanted.name, partial(self._expectation, wanted)) for wanted in EXPECTATIONS),
            ("103", self._hints),
        ]

    async def _ask(self, method: str, path: str, status: int = 200) -> bytes:
        """One request through the Agent, without a body. Returns that of the answer."""
        async with self.request(method, path) as res:
            text: bytes = await res.read()
            expect(res, status, text)
            return text

    # ---------------------------------------------------------------- the tree

    async def _manifest(self) -> None:
        self.check_manifest(await self._ask("GET", "/manifest"))

    async def _mirror(self) -> None:
        with self.mirroring() as asked:
            await self._all(partial(self._fetch, *each) for each in asked)
        await self._verify("mirror", self.job.mirror)

    async def _fetch(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> None:
        with self.fetching(entry, phase) as copy:
            async with req as res:
                expect(res, 200)
                async for piece in res:
                    copy.write(piece)

    async def _upload(self) -> None:
        with self.uploading() as asked:
            await self._all(partial(self._put, *each) for each in asked)
        await self._verify("upload", self.job.uploads)

    async def _put(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> None:
        with self.sending(entry, phase) as copy:
            await req.flush_headers()  # waits for a socket; only then is the file opened
            for piece in copy.pieces():
                if not await req.write(piece):
                    break  # the answer is there already
            await req.end(trailers=copy.trailers)
            async with req as res:
                expect(res, 201, await res.read())

    async def _all(self, works: Any) -> None:
        # Requests get their sockets in the order in which they were made, and works begin in that order:
        # twice as many as there are sockets, and each socket has somebody who waits for it.
        await self._runtime.together(works, 2 * self.job.sockets)

    async def _verify(self, what: str, copy: Path) -> None:
        with self.verifying(what, copy) as compare:
            # In a thread, so that somebody hears what happens on the idle sockets of the Agent.
            await self._runtime.in_thread(compare)

    # ---------------------------------------------------------------- the stream

    async def _streams(self) -> None:
        await self._ask("POST", "/watch", 204)
        with self.streaming():
            req = self.request("GET", f"/stream?size={self.job.material.stream_size}")
            with self.stream_down() as take:
                async with req as res:
                    expect(res, 200)
                    async for piece in res:
                        take(piece)
            with self.stream_up() as up:
                for piece in up.pieces():
                    if not await up.req.write(piece):
                        break
                await up.req.end(trailers=up.trailers)
                async with up.req as res:
                    up.judge(res, await res.read())
        self.tell_memory(await self._ask("GET", "/watch"))

    async def _sockets(self) -> None:
        self.check_sockets(await self._ask("GET", "/watch"))

    # ---------------------------------------------------------------- shown

    async def _wrong_digest(self) -> None:
        for req, body, trailers in self.wrong_digests():
            await req.write(body)
            await req.end(trailers=trailers)
            async with req as res:
                expect(res, 422, await res.read())

    async def _tunnel(self) -> None:
        """HTTP to an origin of our own through a tunnel of the server."""

        async def inner(req: http.IncomingMessage, res: http.ServerResponse) -> None:
            await res.end(f"{req.method} {req.headers['host']}")

        async def through(options: dict[str, Any]) -> Any:
            return self.tunnelled(*await self.tunnel_to(options["host"], options["port"]).upgraded())

        answers = []
        async with self.http.create_server(inner) as origin:
            await origin.listen(0, "127.0.0.1")
            url = self.url_of(origin)
            async with self.http.Agent(keep_alive=True, create_connection=through) as agent:
                for _ in range(2):
                    async with self.http.get(url, agent=agent, deadline=DEADLINE) as res:
                        answers.append(await res.read())
                created = agent.total_stats().created
        elsewhere, socket, _ = await self.tunnel_to("192.0.2.1", 80).upgraded()
        socket.destroy()
        self.check_tunnel(answers, url, created, elsewhere)

    async def _upgrade(self) -> None:
        req = self.alone("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "echo"})
        message, socket, head = await req.upgraded()
        async with socket:
            with self.echoing(message, socket, head) as (sent, came):

                async def say() -> None:
                    await socket.send(sent)
                    await socket.send_eof()

                async def hear() -> None:
                    async for data in socket:
                        came.extend(data)

                await self._runtime.together([say, hear], 2)

    async def _expectation(self, wanted: Expectation) -> None:
        req, judge = self.expecting(wanted)
        await req.flush_headers()
        async with req as res:
            judge(res, await res.read())

    async def _hints(self) -> None:
        req, judge = self.asking_for_hints()
        async with req as res:
            expect(res, 200, await res.read())
        judge()
