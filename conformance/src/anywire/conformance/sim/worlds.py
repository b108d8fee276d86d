"""Seeded worlds: many clients, an Agent or two, a faulty network, and what must hold in all of them.

A world is made up from its seed: the network's latency, splitting, buffers and faults, the
Agent's and the server's limits, what each client asks for, and when it loses patience. Some
servers are honest anywire servers whose handlers answer early, late, in part or not at all;
some are scripts that close idle connections, or send more than they were asked for. Beside
the clients there are strangers, who speak to the honest server in bytes: nonsense, halves,
and many requests at once. In some worlds the server closes, or an Agent is destroyed, in the
middle of it all.

What must hold (ASK-12, ASK-13, ASK-20, ASK-48, SEC-1, SEC-2):

1. a response carries the nonce of its request, in its head and all through its body, and
   a server sees in a request's body only what belongs to its head;
2. every request ends in exactly one outcome: its response, one error of ours, or the cancel
   that struck it; ``close`` is emitted once, ``error`` at most once and never after success;
3. a cancelled request makes no further suspension;
4. the Agent's limits hold and its books are true, all the time;
5. everything ends, and each request by its deadline;
6. pipelined requests are answered in their order, and whatever arrives is either answered
   in HTTP or not at all;
7. afterwards nothing is left: no lease, no connection, no task, no timer, no error that
   nobody waited for.

A failure is a :class:`WorldError` that names the seed, and the seed replays it. There is no TLS
in these worlds: its handshakes are of random length, so no seed would replay them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from anywire.core import FOREVER, AnywireError, ParseError
from anywire.core._framing import RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser

from . import http
from ._kernel import Cancelled, Kernel, Task, current
from ._network import Fault, Faults, Network
from ._peers import Wire, dial, peer

__all__ = ["Result", "World", "WorldError", "run_world"]

OURS, NOISY = 80, 81
"""Ports of the two kinds of server."""


NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf",
    b"GET / HTTP/1.1\r\nHo",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"X: " + b"y" * 20000,
    b"\r\n" * 50,
]
"""What strangers send who do not mean well."""


PATIENCE = 2000.0
"""Seconds after which a stranger goes, whatever it waits for: longer than any limit of a server."""


class WorldError(AssertionError):
    """Something did not hold.

    Attributes:
        kinds: how often what did not: ``mismatch``, ``outcome``, ``suspension``, ``limit``, ``late``, ``leak``,
            ``raised``.
    """

    def __init__(self, text: str, kinds: Counter[str]) -> None:
        super().__init__(text)
        self.kinds = kinds


class Deliberate(Exception):
    """What a handler raises on purpose."""


class RandomFaults(Faults):
    """Faults made up as connections are made."""

    def __init__(self, random: Random, rate: float) -> None:
        super().__init__()
        self._random = random
        self._rate = rate

    def connect(self, number: int) -> str:
        """One in many is refused, or never answered."""
        if self._random.random() < self._rate / 2:
            return self._random.choice(["refuse", "refuse", "drop"])
        return ""

    def stream(self, number: int, arrow: str) -> list[Fault]:
        """A stall, an end or a reset somewhere in the first exchanges."""
        random = self._random
        found = []
        while random.random() < self._rate:
            at = random.choice([0, random.randrange(30), random.randrange(600), random.randrange(20000)])
            kind = random.choice(["rst", "fin", "stall", "stall"])
            found.append(Fault(kind, at, random.choice([0.001, 0.3, 7.0, 100.0])))
        return sorted(found, key=lambda fault: fault.at)


@dataclass
class Result:
    """What came of a world."""

    outcomes: Counter[str] = field(default_factory=Counter)
    strangers: int = 0
    seconds: float = 0.0

    @property
    def exchanges(self) -> int:
        """Requests made, those of strangers apart."""
        return sum(self.outcomes.values())


class World:
    """One seed's world."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random = Random(f"world {seed}")
        self.network = Network(
            latency=random.choice([(0.0, 0.0), (0.0, 0.001), (0.0001, 0.02), (0.0, 0.6)]),
            pieces=random.choice([0, 0, 0, 0, 0, 0, 0, 1, 3, 40, 40, 2000]),
            buffer=random.choice([700, 5000, 65536, 65536]),
            bandwidth=random.choice([FOREVER, FOREVER, 50_000.0]),
            reset_discards=random.random() < 0.3,
            faults=RandomFaults(random, random.choice([0.0, 0.05, 0.3])),
        )
        self.agent_options: dict[str, Any] = {
            "keep_alive": random.random() < 0.85,
            "max_sockets": random.choice([None, 1, 1, 2, 4]),
            "max_free_sockets": random.choice([None, 1, 2]),
            "max_total_sockets": random.choice([None, None, 1, 2, 3]),
            "timeout": random.choice([None, None, 0.05, 2.0]),
            "max_socket_age": random.choice([None, None, 0.5]),
            "scheduling": random.choice(["fifo", "lifo"]),
        }
        # Bodies, in nonces; a byte at a time the largest would take a second each.
        self.largest = {0: 20000, 1: 10, 3: 30, 40: 500}.get(self.network.pieces, 10000)
        self.result = Result()
        self.wrong: list[str] = []
        self.kinds: Counter[str] = Counter()
        self._nonces = 0

    def complain(self, kind: str, text: str) -> None:
        """Something does not hold."""
        self.kinds[kind] += 1
        self.wrong.append(f"{current().now:.6f} {kind}: {text}")

    def nonce(self) -> str:
        """What was never said before."""
        self._nonces += 1
        return f"n{self._nonces:05}"

    # ---------------------------------------------------------------- servers

    async def app(self, req: Any, res: Any) -> None:
        """An honest handler with moods."""
        random = self.random
        kernel = current()
        nonce = req.headers.get("x-nonce", "stranger")
        mood = random.random()
        body = b""
        if mood < 0.7:
            body = await req.read()
            if nonce != "stranger" and not all_of(nonce, body):
                self.complain("mismatch", f"{nonce} carried {body[:80]!r}")
        if random.random() < 0.2:
            await kernel.sleep(random.choice([0.0, 0.01, 1.0]))
        if mood > 0.97:
            raise Deliberate
        if mood > 0.94:
            res.destroy()
            return
        if random.random() < 0.1:
            await res.write_information(103, {"Link": f"<{nonce}>"})
        res.set_header("X-Nonce", nonce)
        size = min(random.choice([0, 1, 1, 1, 30, 500, 20000]), self.largest)
        if random.random() < 0.5:
            await res.end(nonce * size)
            return
        for _ in range(random.randrange(4)):
            await res.write(nonce * size)
            if random.random() < 0.05:
                raise Deliberate
            await kernel.sleep(random.choice([0.0, 0.0, 0.05]))
        await res.end(nonce, trailers={"X-Nonce": nonce} if random.random() < 0.5 else None)

    async def script(self, wire: Wire) -> None:
        """A server of bytes: closes around reuse, sends too much, or answers and goes."""
        random = self.random
        kernel = current()
        while True:
            head, body = await wire.message()
            nonce = field_of(head, b"x-nonce")
            if nonce != "stranger" and not all_of(nonce, body):
                self.complain("mismatch", f"{nonce} carried {body[:80]!r}")
            answer = b"HTTP/1.1 200 OK\r\nX-Nonce: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
                nonce.encode(),
                len(nonce),
                random.choice([b"", b"", b"Keep-Alive: timeout=1\r\n", b"Connection: close\r\n"]),
                nonce.encode(),
            )
            mood = random.random()
            if mood < 0.15 and not self.network.pieces:
                # Nobody asked for a second answer. In one piece with the first it can be told; what arrives when
                # the next request is out already looks like its answer to everybody (RFC 9112 section 9.3.2).
                await wire.send(answer + answer.replace(nonce.encode(), b"stolen"))
            elif mood < 0.2:
                await wire.send(answer[: random.randrange(len(answer))])
                return
            else:
                await wire.send(answer)
            if b"Connection: close" in answer:
                return
            if random.random() < 0.3:
                await kernel.sleep(random.choice([0.0, 0.0005, 0.01, 0.3]))
                wire.rst() if random.random() < 0.3 else wire.close()
                return

    # ---------------------------------------------------------------- clients

    async def stranger(self) -> None:
        """Bytes for the honest server, and a look at what it makes of them."""
        random = self.random
        kernel = current()
        await kernel.sleep(random.choice([0.0, 0.01, 1.0]))
        asked = [self.nonce() for _ in range(random.choice([0, 1, 1, 2, 5]))]
        data = b"".join(b"GET /%b HTTP/1.1\r\nHost: h\r\nX-Nonce: %b\r\n\r\n" % ((n.encode(),) * 2) for n in asked)
        if not asked or random.random() < 0.5:
            data += random.choice(NONSENSE)
        try:
            wire = await dial(OURS)
        except OSError:
            return
        self.result.strangers += 1
        patience = kernel.at(kernel.now + PATIENCE, lambda: self.forgotten(wire))
        got = b""
        try:
            for piece in (data[: (cut := random.randrange(len(data)))], data[cut:]):
                await wire.send(piece)
                await kernel.sleep(random.choice([0.0, 0.0, 0.3, 100.0]))
            how = random.random()
            if how < 0.2:
                wire.rst()
                return
            if how < 0.6:
                wire.fin()
            got = await wire.gone()
        except ConnectionError:
            pass
        finally:
            kernel.forget(patience)
            wire.close()
            self.answered(asked, got)

    def forgotten(self, wire: Wire) -> None:
        """The last thing that a stranger does: the server should have let it go long ago."""
        if any(each.pump.info("peername") == wire.name for each in self.server.connections):
            self.complain("late", f"{wire.name} is still served")
        wire.rst()

    def answered(self, asked: list[str], got: bytes) -> None:
        """Are these answers to these requests, in their order?"""
        parser = Parser(RESPONSE, Limits())
        parser.receive_data(got)
        try:
            while (head := parser.next_response("GET")) is not None:
                status, nonce = head[0], field_of(b"\r\n" + head[3], b"x-nonce")
                if status >= 200 and asked:
                    wanted = asked.pop(0)
                    if status == 200 and nonce not in (wanted, "stranger"):
                        self.complain("mismatch", f"a stranger asked {wanted} and got {nonce}")
                while head[4] and (piece := parser.next_body()) != b"":
                    if piece is None:
                        return
        except ParseError as error:
            self.complain("mismatch", f"the server's answer is no HTTP: {error} in {got[:200]!r}")

    async def client(self, agent: http.Agent) -> None:
        """Some requests in a row, each in a task of its own, so that it can be cancelled alone."""
        kernel = current()
        for _ in range(self.random.randrange(1, 8)):
            await kernel.sleep(self.random.choice([0.0, 0.0, 0.01, 0.5, 1.1]))
            nonce = self.nonce()
            events: list[str] = []
            task = kernel.spawn(self.exchange(agent, nonce, events), f"exchange {nonce}")
            if self.random.random() < 0.3:
                self.strike(task, kernel)
            try:
                outcome = await task.join()
            except Cancelled:
                if not task.done:
                    raise
                outcome = "cancelled"
            except AnywireError as error:
                outcome = type(error).__name__
            self.result.outcomes[outcome] += 1
            if task.suspensions_after_cancel:
                self.complain("suspension", f"{task.name}: {task.suspensions_after_cancel} suspensions after a cancel")
            if outcome == "response" and "error" in events:
                self.complain("outcome", f"{task.name}: {outcome}, and {events}")
            if events.count("error") > 1 or (events and events.count("close") != 1):
                self.complain("outcome", f"{task.name}: {outcome}, and {events}")
            self.check(agent)

    def strike(self, task: Task, kernel: Kernel) -> None:
        """Cancel a task at some moment or at some suspension, perhaps twice in a row."""
        random = self.random

        def cancel() -> None:
            for _ in range(random.choice([1, 1, 2])):
                task.cancel()

        if random.random() < 0.5:
            task.act_at(random.randrange(1, 12), cancel, late=random.random() < 0.5)
        else:
            kernel.at(kernel.now + random.choice([0.0, 0.001, 0.05, 0.7]) * random.random(), cancel)

    async def exchange(self, agent: http.Agent, nonce: str, events: list[str]) -> str:
        """One request, to its outcome."""
        random = self.random
        method = random.choice(["GET", "GET", "POST", "PUT", "DELETE"])
        options: dict[str, Any] = {"deadline": 400.0}
        for name in ("timeout", "deadline", "queue_timeout", "connect_timeout", "head_timeout", "idle_timeout"):
            if random.random() < 0.15:
                options[name] = random.choice([0.001, 0.1, 1.0, 3.0])
        headers = {"X-Nonce": nonce}
        if random.random() < 0.1:
            headers["Expect"] = "100-continue"
            options["continue_timeout"] = random.choice([0.01, 0.5])
        port = OURS if random.random() < 0.6 else NOISY
        req = http.request(f"http://127.0.0.1:{port}/{nonce}", method=method, headers=headers, agent=agent, **options)
        if random.random() < 0.5:
            for name in ("error", "close", "finish", "information", "abort"):
                req.on(name, lambda *_, name=name: events.append(name))
        kernel = current()
        if random.random() < 0.1:
            how: Any = random.choice([req.destroy, req.abort])
            kernel.at(kernel.now + random.choice([0.0, 0.002, 0.1, 1.0]) * random.random(), how)
        due = kernel.now + options["deadline"]
        try:
            return await self._exchanged(req, nonce, method)
        finally:
            if kernel.now > due + 1e-6:
                self.complain("late", f"{nonce} ended {kernel.now - due:.6f} s after its deadline")
            if not (req._over or req._error):
                req.destroy()  # as a user would who gives up without a context manager

    async def _exchanged(self, req: Any, nonce: str, method: str) -> str:
        random = self.random
        if method in ("POST", "PUT"):
            size = min(random.choice([0, 1, 1, 20, 500, 20000]), self.largest)
            if random.random() < 0.4:
                await req.end(nonce * size)
            else:
                for _ in range(random.randrange(4)):
                    if not await req.write(nonce * size):
                        break
                await req.end(trailers={"X-Nonce": nonce} if random.random() < 0.3 else None)
        if random.random() < 0.5:
            async with req as res:
                return await self._read(res, nonce)
        return await self._read(await req.response(), nonce)

    async def _read(self, res: Any, nonce: str) -> str:
        seen = res.headers.get("x-nonce")
        if seen != nonce and res.status_code == 200:
            self.complain("mismatch", f"the answer to {nonce} says {seen}")
        if self.random.random() < 0.1:
            return "unread"
        try:
            body = await res.read()
        except AnywireError as error:
            body = getattr(error, "partial", b"")
            if res.status_code == 200 and not all_of(nonce, body, cut=True):
                self.complain("mismatch", f"the answer to {nonce} began with {body[:80]!r}")
            raise
        if res.status_code != 200:
            return str(res.status_code)
        if not all_of(nonce, body):
            self.complain("mismatch", f"the answer to {nonce} was {body[:80]!r}")
        return "response"

    # ---------------------------------------------------------------- the whole

    def check(self, agent: http.Agent) -> None:
        """The books are true, the limits hold."""
        agent.check_invariants()
        stats = agent.stats()
        for name, each in stats.items():
            if each.active + each.connecting + each.idle > agent.max_sockets:
                self.complain("limit", f"{name}: {each} with max_sockets {agent.max_sockets}")
            if each.idle > agent.max_free_sockets:
                self.complain("limit", f"{name}: {each} with max_free_sockets {agent.max_free_sockets}")
        if sum(each.active + each.connecting + each.idle for each in stats.values()) > agent.max_total_sockets:
            self.complain("limit", f"{stats} with max_total_sockets {agent.max_total_sockets}")

    async def shut(self, server: http.Server) -> None:
        """Close the server in the middle of it all."""
        grace = self.random.choice([0.0, 0.1, 2.0])
        await current().sleep(self.random.random() * 2.0)
        began = current().now
        await server.close(grace=grace)
        if current().now > began + grace + 0.1:
            self.complain("late", f"closed {current().now - began:.6f} s after close(grace={grace})")

    async def main(self) -> None:
        """The world's course."""
        random = self.random
        kernel = current()
        self.server = server = http.create_server(
            self.app,
            keep_alive_timeout=random.choice([0.02, 0.5, 5.0]),
            headers_timeout=random.choice([0.5, 60.0]),
            request_timeout=random.choice([1.0, 300.0]),
            max_requests_per_socket=random.choice([0, 0, 1, 3]),
            max_connections=random.choice([None, None, None, 2]),
            http_allow_half_open=random.random() < 0.3,
        )
        agents = [http.Agent(**self.agent_options) for _ in range(random.choice([1, 1, 1, 2]))]
        await server.listen(OURS)
        listener = peer(NOISY, self.script)
        clients = [
            kernel.spawn(self.client(random.choice(agents)), f"client {i}") for i in range(random.randrange(1, 6))
        ]
        clients += [kernel.spawn(self.stranger(), f"stranger {i}") for i in range(random.choice([0, 0, 1, 2]))]
        if random.random() < 0.1:
            clients.append(kernel.spawn(self.shut(server), "shut"))
        if random.random() < 0.05:
            kernel.at(random.random() * 2.0, agents[0].destroy)
        for task in clients:
            await task.join()
        for agent in agents:
            self.check(agent)
            left = [each for each in agent.stats().values() if each.active or each.connecting or each.queued]
            if left:
                self.complain("leak", f"left in the agent: {left}")
            agent.destroy()
            if any(each.idle for each in agent.stats().values()):
                self.complain("leak", f"left in a destroyed agent: {agent.stats()}")
        listener.stop()
        if server.listening:
            await server.close(grace=random.choice([0.0, 2.0]))
        if server.connections:
            self.complain("leak", f"left in the server: {server.connections}")
        await kernel.sleep(5000.0)  # the longest stalls are over, and kept-alive clocks have struck
        for task in kernel.tasks:
            if task.name not in ("main",) and not task.name.startswith("peer"):
                self.complain("leak", f"left: {task.name}, waiting for {task.parked and task.parked.what}")
        if kernel.next_timer < FOREVER:
            self.complain("leak", f"a timer is left, for {kernel.next_timer}")

    def run(self) -> Result:
        """Run it.

        Raises:
            WorldError: with the seed.
        """
        kernel = Kernel(self.seed, shuffle=True)
        kernel.network = self.network
        self.network.begin(kernel)
        try:
            kernel.run(self.main())
        except Exception as error:
            raise self._failed(f"{type(error).__name__}: {error}", raised=1) from error
        for message, reported in kernel.reports:
            if not isinstance(reported, Deliberate):
                raise self._failed(f"reported: {message}: {reported!r}", raised=1) from reported
        if self.wrong:
            raise self._failed("\n  ".join(["", *self.wrong]))
        self.result.seconds = kernel.now
        return self.result

    def _failed(self, text: str, **kinds: int) -> WorldError:
        return WorldError(f"seed {self.seed}: {text}", self.kinds + Counter(kinds))


def run_world(seed: int) -> Result:
    """Make up the world of `seed`, run it, and check what must hold.

    Raises:
        WorldError: with the seed.
    """
    return World(seed).run()


def all_of(nonce: str, body: bytes, *, cut: bool = False) -> bool:
    """Is `body` nothing but repetitions of `nonce`?"""
    times, rest = divmod(len(body), len(nonce))
    return (cut or not rest) and body == nonce.encode() * times + nonce.encode()[:rest]


def field_of(head: bytes, name: bytes) -> str:
    """The value of a field of a head."""
    return head.lower().partition(b"\r\n%b:" % name)[2].partition(b"\r\n")[0].strip().decode()
