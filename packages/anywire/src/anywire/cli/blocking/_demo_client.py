# Made from packages/anywire/src/anywire/cli/awaiting/_demo_client.py by tools/make_blocking.py; change that one.
"""The demo's client: every exchange of the job. What is asked and what is right is in ``cli/demo/_client.py``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..demo import DEADLINE, EXPECTATIONS, Client, Entry, Expectation, Job, Phase, Reporter, Result, expect

if TYPE_CHECKING:
    from anywire.sync import http

    from ._runtime import Runtime, Work

__all__ = ["run_demo"]


def run_demo(runtime: Runtime, job: Job, result: Result, reporter: Reporter) -> None:
    """Run the job."""
    client = _Client(runtime, job, result, reporter)
    with client.agent:
        for name, step in client.steps():
            with client.step(name):
                step()


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

    def _ask(self, method: str, path: str, status: int = 200) -> bytes:
        """One request through the Agent, without a body. Returns that of the answer."""
        with self.request(method, path) as res:
            text: bytes = res.read()
            expect(res, status, text)
            return text

    # ---------------------------------------------------------------- the tree

    def _manifest(self) -> None:
        self.check_manifest(self._ask("GET", "/manifest"))

    def _mirror(self) -> None:
        with self.mirroring() as asked:
            self._all(partial(self._fetch, *each) for each in asked)
        self._verify("mirror", self.job.mirror)

    def _fetch(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> None:
        with self.fetching(entry, phase) as copy, req as res:
            expect(res, 200)
            for piece in res:
                copy.write(piece)

    def _upload(self) -> None:
        with self.uploading() as asked:
            self._all(partial(self._put, *each) for each in asked)
        self._verify("upload", self.job.uploads)

    def _put(self, entry: Entry, req: http.ClientRequest, phase: Phase) -> None:
        with self.sending(entry, phase) as copy:
            req.flush_headers()  # waits for a socket; only then is the file opened
            for piece in copy.pieces():
                if not req.write(piece):
                    break  # the answer is there already
            req.end(trailers=copy.trailers)
            with req as res:
                expect(res, 201, res.read())

    def _all(self, works: Any) -> None:
        # Requests get their sockets in the order in which they were made, and works begin in that order:
        # twice as many as there are sockets, and each socket has somebody who waits for it.
        self._runtime.together(works, 2 * self.job.sockets)

    def _verify(self, what: str, copy: Path) -> None:
        with self.verifying(what, copy) as compare:
            # In a thread, so that somebody hears what happens on the idle sockets of the Agent.
            self._runtime.in_thread(compare)

    # ---------------------------------------------------------------- the stream

    def _streams(self) -> None:
        self._ask("POST", "/watch", 204)
        with self.streaming():
            req = self.request("GET", f"/stream?size={self.job.material.stream_size}")
            with self.stream_down() as take, req as res:
                expect(res, 200)
                for piece in res:
                    take(piece)
            with self.stream_up() as up:
                for piece in up.pieces():
                    if not up.req.write(piece):
                        break
                up.req.end(trailers=up.trailers)
                with up.req as res:
                    up.judge(res, res.read())
        self.tell_memory(self._ask("GET", "/watch"))

    def _sockets(self) -> None:
        self.check_sockets(self._ask("GET", "/watch"))

    # ---------------------------------------------------------------- shown

    def _wrong_digest(self) -> None:
        for req, body, trailers in self.wrong_digests():
            req.write(body)
            req.end(trailers=trailers)
            with req as res:
                expect(res, 422, res.read())

    def _tunnel(self) -> None:
        """HTTP to an origin of our own through a tunnel of the server."""

        def inner(req: http.IncomingMessage, res: http.ServerResponse) -> None:
            res.end(f"{req.method} {req.headers['host']}")

        def through(options: dict[str, Any]) -> Any:
            return self.tunnelled(*self.tunnel_to(options["host"], options["port"]).upgraded())

        answers = []
        with self.http.create_server(inner) as origin:
            origin.listen(0, "127.0.0.1")
            url = self.url_of(origin)
            with self.http.Agent(keep_alive=True, create_connection=through) as agent:
                for _ in range(2):
                    with self.http.get(url, agent=agent, deadline=DEADLINE) as res:
                        answers.append(res.read())
                created = agent.total_stats().created
        elsewhere, socket, _ = self.tunnel_to("192.0.2.1", 80).upgraded()
        socket.destroy()
        self.check_tunnel(answers, url, created, elsewhere)

    def _upgrade(self) -> None:
        req = self.alone("GET", "/", headers={"Connection": "Upgrade", "Upgrade": "echo"})
        message, socket, head = req.upgraded()
        with socket, self.echoing(message, socket, head) as (sent, came):

            def say() -> None:
                socket.send(sent)
                socket.send_eof()

            def hear() -> None:
                for data in socket:
                    came.extend(data)

            self._runtime.together([say, hear], 2)

    def _expectation(self, wanted: Expectation) -> None:
        req, judge = self.expecting(wanted)
        req.flush_headers()
        with req as res:
            judge(res, res.read())

    def _hints(self) -> None:
        req, judge = self.asking_for_hints()
        with req as res:
            expect(res, 200, res.read())
        judge()
