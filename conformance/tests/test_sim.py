"""The sim itself: kernel, network, peers; exchanges however they are split; the same seed, the same bytes."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import Any

import pytest
import trustme

from anywire.conformance import sim
from anywire.conformance.sim import Fault, Faults, Network, Wire, http, https
from anywire.core import ServerKeywords

# ---------------------------------------------------------------- kernel


def test_time_is_virtual_and_exact() -> None:
    async def main() -> tuple[float, float]:
        other = sim.spawn(sim.sleep(86400.0))
        await sim.sleep(0.1)
        first = sim.now()
        await other.join()
        return first, sim.now()

    assert sim.run(main) == (0.1, 86400.0)


def test_a_deadlock_says_who_waits_for_what() -> None:
    async def reader() -> None:
        wire = await sim.dial(80)
        await wire.read(10)

    async def main() -> None:
        listener = sim.peer(80, lambda wire: wire.until(b"never"))
        task = sim.spawn(reader(), "the reader")
        assert listener is not None
        await task.join()

    with pytest.raises(sim.Deadlock) as caught:
        sim.run(main)
    text = str(caught.value)
    assert "main waits for the end of the reader" in text
    assert "the reader waits for #0" in text
    assert "peer #0 waits for #0" in text


def test_running_in_circles_ends() -> None:
    async def main() -> None:
        while True:
            await sim.sleep(0)

    with pytest.raises(sim.Deadlock, match="still busy"):
        sim.run(main)


def test_outside_of_a_run() -> None:
    with pytest.raises(RuntimeError):
        sim.now()
    with pytest.raises(RuntimeError):
        http.get("http://127.0.0.1/")


def test_errors_that_nobody_waits_for_are_raised_at_the_end() -> None:
    async def fails() -> None:
        raise ValueError("lost")

    async def main() -> str:
        sim.spawn(fails())
        await sim.sleep(1.0)
        return "done"

    with pytest.raises(ExceptionGroup) as caught:
        sim.run(main)
    assert [str(error) for error in caught.value.exceptions] == ["lost"]
    reports: list[tuple[str, BaseException]] = []
    assert sim.run(main, reports=reports) == "done"
    assert [str(error) for _, error in reports] == ["lost"]


def test_cancel_once_twice_early_late() -> None:
    seen: list[str] = []

    async def victim() -> None:
        try:
            await sim.sleep(1.0)
            seen.append("woke")
            await sim.sleep(1.0)
        except sim.Cancelled:
            seen.append(f"cancelled at {sim.now()}")
            try:
                await sim.sleep(0)
            except sim.Cancelled:
                seen.append("again")
            raise

    async def main(k: int, late: bool, times: int) -> int:
        task = sim.spawn(victim())

        def cancel() -> None:
            for _ in range(times):
                task.cancel()

        task.act_at(k, cancel, late=late)
        with pytest.raises(sim.Cancelled):
            await task.join()
        assert task.done
        return task.suspensions_after_cancel

    assert sim.run(lambda: main(1, False, 1)) == 1
    assert seen == ["cancelled at 0.0"]
    seen.clear()
    assert sim.run(lambda: main(1, True, 2)) == 1
    assert seen == ["cancelled at 1.0", "again"]  # woken, but not run any more
    seen.clear()
    assert sim.run(lambda: main(2, True, 1)) == 1
    assert seen == ["woke", "cancelled at 2.0"]


def test_what_is_left_is_cancelled_and_sees_its_end() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await sim.sleep(float("inf"))
        finally:
            await sim.sleep(1.0)
            ended.append("cleaned up")

    async def stubborn() -> None:
        parking = sim.Parking(sim.current(), "nothing")
        while True:
            try:
                await parking
            except sim.Cancelled:
                parking = sim.Parking(sim.current(), "nothing")
            except GeneratorExit:
                ended.append("closed")
                raise

    async def main() -> None:
        sim.spawn(forever())
        sim.spawn(stubborn())
        await sim.sleep(1.0)

    sim.run(main)
    assert ended == ["cleaned up", "closed"]


# ---------------------------------------------------------------- network


def between(client: Any, server: Any, **options: Any) -> Network:
    """Run two scripts against each other."""
    network = Network(**options)

    async def main() -> None:
        sim.peer(80, server)
        wire = await sim.dial(80)
        try:
            await client(wire)
        finally:
            wire.close()
        await sim.sleep(1000.0)

    sim.run(main, network=network)
    return network


async def hear(wire: Wire) -> None:
    await wire.gone()


def wire_log(network: Network) -> list[str]:
    return [str(entry) for entry in network.transcript]


def test_transcript_of_a_plain_exchange() -> None:
    async def client(wire: Wire) -> None:
        await wire.send(b"ping")
        await wire.expect(b"pong")
        wire.fin()
        assert await wire.receive() == b""

    async def server(wire: Wire) -> None:
        await wire.expect(b"ping")
        await sim.sleep(1.0)
        await wire.send(b"pong")
        assert await wire.receive() == b""

    assert wire_log(between(client, server, latency=0.25)) == [
        "0.250000 #0 > open",
        "0.750000 #0 > data b'ping'",
        "2.000000 #0 < data b'pong'",
        "2.250000 #0 > fin",
        "2.500000 #0 < fin",
    ]


@pytest.mark.parametrize("pieces", [1, 4, 0])
def test_pieces(pieces: int) -> None:
    async def client(wire: Wire) -> None:
        await wire.send(b"0123456789")

    network = between(client, hear, pieces=pieces)
    sizes = [len(entry.data) for entry in network.transcript if entry.what == "data"]
    assert sum(sizes) == 10
    assert max(sizes) <= (pieces or 10)
    assert (len(sizes) == 10) == (pieces == 1)
    assert (len(sizes) == 1) == (pieces == 0)


def test_faults_strike_behind_their_byte() -> None:
    async def client(wire: Wire) -> None:
        await wire.send(b"0123456789")
        await sim.sleep(100.0)

    def log(*faults: Fault, arrow: str = ">") -> list[str]:
        return wire_log(between(client, hear, faults=Faults(streams={(0, arrow): list(faults)})))[1:]

    assert log(Fault("rst", 4))[:3] == ["0.000000 #0 > data b'0123'", "0.000000 #0 > rst", "0.000000 #0 ! rst"]
    assert log(Fault("fin", 4))[:2] == ["0.000000 #0 > data b'0123'", "0.000000 #0 > fin"]
    assert log(Fault("stall", 9, 7.5))[:2] == ["0.000000 #0 > data b'012345678'", "7.500000 #0 > data b'9'"]
    assert log(Fault("stall", 1), arrow=">")[:1] == ["0.000000 #0 > data b'0'"]
    two = log(Fault("stall", 2, 1.0), Fault("stall", 5, 2.0))
    assert two[:3] == ["0.000000 #0 > data b'01'", "1.000000 #0 > data b'234'", "3.000000 #0 > data b'56789'"]


def test_bandwidth_and_latency() -> None:
    async def client(wire: Wire) -> None:
        await wire.send(bytes(100))
        await wire.send(bytes(50))

    network = between(client, hear, latency=1.0, bandwidth=10.0)
    assert [entry.time for entry in network.transcript if entry.what == "data"] == [13.0, 18.0]


def test_a_sender_blocks_on_a_reader_that_does_not_read() -> None:
    sent: list[tuple[int, float]] = []

    async def client(wire: Wire) -> None:
        for count in range(1, 6):
            await wire.send(bytes(1000))
            sent.append((count, sim.now()))

    async def server(wire: Wire) -> None:
        await sim.sleep(50.0)
        await wire.gone()

    between(client, server, buffer=2000)
    # 2000 in the buffer, and the one piece a peer takes in without being asked.
    assert sent == [(1, 0.0), (2, 0.0), (3, 0.0), (4, 50.0), (5, 50.0)]


def test_refused_silent_and_unknown() -> None:
    async def main() -> list[tuple[str, float]]:
        found = []
        for host in ("10.0.0.1", "10.0.0.9"):
            start = sim.now()
            with pytest.raises(OSError) as caught:
                await sim.dial(80, host)
            found.append((caught.value.strerror or "", sim.now() - start))
        with pytest.raises(OSError, match="ENOTFOUND"):
            await http.get("http://nowhere.test/").response()
        with pytest.raises(OSError, match="ECONNREFUSED"):
            await http.get("http://10.0.0.1/").response()
        with pytest.raises(FileNotFoundError):
            await http.get(socket_path="/nobody").response()
        return found

    network = Network(latency=0.5, silent=frozenset({"10.0.0.9"}), connect_timeout=20.0)
    assert sim.run(main, network=network) == [("nobody listens", 1.0), ("nobody answers", 20.0)]


def test_faults_of_connecting() -> None:
    async def main() -> None:
        sim.peer(80, hear)
        with pytest.raises(ConnectionRefusedError):
            await sim.dial(80)
        with pytest.raises(TimeoutError):
            await sim.dial(80)
        (await sim.dial(80)).close()

    sim.run(main, network=Network(faults=Faults(connects={0: "refuse", 1: "drop"})))


def test_backlog() -> None:
    """Two handshakes complete without anybody accepting; the third waits for an accept."""

    async def main() -> list[float]:
        listener = sim.current().network.listen(("10.0.0.1", 80), backlog=2)
        times: list[float] = []

        async def client() -> None:
            await sim.dial(80, "10.0.0.1")
            times.append(sim.now())

        tasks = [sim.spawn(client()) for _ in range(3)]
        await sim.sleep(5.0)
        assert listener.accept() is not None
        for task in tasks:
            await task.join()
        with pytest.raises(OSError, match="in use"):
            sim.peer(80, hear, host="10.0.0.1")
        return times

    assert sim.run(main) == [0.0, 0.0, 5.0]


def test_closing_with_unread_input_resets() -> None:
    async def rude(wire: Wire) -> None:
        await wire.until(b"\n")
        await wire.send(b"bye")
        await sim.sleep(1.0)

    async def client(wire: Wire) -> None:
        await wire.send(b"line\n")
        await sim.sleep(0.5)
        await wire.send(b"unread")
        await wire.send(b"unread")
        await wire.expect(b"bye")
        with pytest.raises(ConnectionError):
            await wire.receive()

    assert "rst" in [entry.what for entry in between(client, rude).transcript]


def test_peers_expect_exactly() -> None:
    async def client(wire: Wire) -> None:
        await wire.send(b"GET / HTTP/1.1\r\n")

    async def server(wire: Wire) -> None:
        await wire.expect(b"GET /")
        await wire.expect(b" HTTP/1.0\r\n")

    with pytest.raises(ExceptionGroup) as caught:
        between(client, server)
    (error,) = caught.value.exceptions
    assert str(error) == "expected b' HTTP/1.0\\r\\n'\n     got b' HTTP/1.1\\r\\n'"


# ---------------------------------------------------------------- exchanges


async def echo(req: Any, res: Any) -> None:
    res.set_header("X-Method", req.method)
    if req.url == "/length":
        await res.end(await req.read())
        return
    async for piece in req:
        await res.write(piece)
    await res.end(trailers={"X-Seen": ",".join(f"{name}={value}" for name, value in req.trailers.items())})


BODY = bytes(range(256)) * 4


async def exchanges() -> None:
    async with http.create_server(echo) as server, http.Agent(keep_alive=True, max_sockets=2) as agent:
        await server.listen(80)
        url = "http://localhost:80"
        async with http.get(url, agent=agent) as res:
            assert (res.status_code, await res.read(), res.headers["x-method"]) == (200, b"", "GET")
        req = http.request(f"{url}/length", method="POST", agent=agent)
        await req.end(BODY)
        res = await req.response()
        assert res.headers["content-length"] == str(len(BODY))
        assert await res.read() == BODY
        req = http.request(url, method="PUT", agent=agent)
        for start in range(0, len(BODY), 200):
            await req.write(BODY[start : start + 200])
        await req.end(trailers={"X-Sum": "1024"})
        res = await req.response()
        assert await res.read() == BODY
        assert res.trailers == {"x-seen": "x-sum=1024"}
        assert req.reused_socket
        agent.check_invariants()
        (stats,) = agent.stats().values()
        assert (stats.active, stats.connecting, stats.queued, stats.created) == (0, 0, 0, 1)


@pytest.mark.parametrize("seed", range(30))
def test_exchanges_however_they_arrive(seed: int) -> None:
    """Same messages for every split and delay, back-pressure included."""
    rough = Network(latency=(0.0, 0.2), pieces=[1, 7, 100, 3000, 0][seed % 5], buffer=[50, 900, 65536][seed % 3])
    sim.run(exchanges, seed=seed, network=rough, shuffle=seed % 2 == 1)


def test_noise_on_an_idle_connection_kills_it() -> None:
    """SEC-1: a second answer in the same piece, or 5 s later, is never the answer to another request."""

    async def main(gap: float | None) -> None:
        async def script(wire: Wire) -> None:
            while True:
                await wire.until()
                answer = b"HTTP/1.1 200 OK\r\nX-Connection: %d\r\nContent-Length: 2\r\n\r\n" % wire.number
                if gap is None:
                    await wire.send(answer + b"ok" + answer + b"no")
                else:
                    await wire.send(answer + b"ok")
                    await sim.sleep(gap)
                    await wire.send(answer + b"no")

        sim.peer(80, script)
        async with http.Agent(keep_alive=True) as agent:
            for number in range(3):
                async with http.get("http://10.0.0.1:80/", agent=agent) as res:
                    assert (await res.read(), res.headers["x-connection"]) == (b"ok", str(number))
                await sim.sleep(6.0)

    sim.run(lambda: main(None))
    sim.run(lambda: main(5.0))


def test_an_early_answer_is_heard() -> None:
    """ASK-28: 413 and close while we upload; the send fails, the answer arrives with its body."""

    async def script(wire: Wire) -> None:
        await wire.until()
        await wire.send(b"HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate")
        wire.close()  # with unread input: a reset follows the answer

    async def main() -> None:
        sim.peer(80, script)
        async with http.Agent(keep_alive=True) as agent:
            req = http.request("http://10.0.0.1:80/", method="POST", agent=agent)
            written = 0
            while await req.write(bytes(100_000)):
                written += 100_000
                assert written < 2_000_000
            res = await req.response()
            assert (res.status_code, await res.read()) == (413, b"late")
            agent.check_invariants()

    for latency in (0.0, 0.01, (0.0, 0.3)):
        sim.run(main, network=Network(latency=latency))


def test_upgrade_and_connect_through_a_tunnel() -> None:
    """SRV-67, CLI-46; a connection made through CONNECT is a handle like any other."""

    async def main() -> None:
        server = http.create_server(echo)
        proxy = http.create_server()

        async def connect(req: Any, client: Any, head: bytes) -> None:
            upstream = await sim.dial(80)
            await client.send(b"HTTP/1.1 200 Connection Established\r\n\r\n")

            async def down() -> None:
                while data := await upstream.receive():
                    await client.send(data)

            task = sim.spawn(down())
            async for data in client:
                await upstream.send(data)
            upstream.fin()
            await task.join()
            await client.close()

        proxy.on("connect", connect)
        await server.listen(80)
        await proxy.listen(3128)

        async def through(options: Any) -> Any:
            req = http.request("http://127.0.0.1:3128/", method="CONNECT", path="10.0.0.1:80")
            return (await req.upgraded())[1]

        async with http.get("http://10.0.0.1:80/", create_connection=through) as res:
            assert (res.status_code, res.headers["x-method"]) == (200, "GET")
            await res.read()
        await proxy.close(grace=1.0)
        await server.close(grace=1.0)

    sim.run(main, network=Network(latency=0.001))


def test_a_unix_path() -> None:
    async def main() -> None:
        async with http.create_server(echo) as server:
            await server.listen(path="/run/app.sock")
            assert server.address() == "/run/app.sock"
            async with http.get(socket_path="/run/app.sock", path="/x") as res:
                assert res.status_code == 200
                await res.read()

    sim.run(main)


def test_tls_over_the_network() -> None:
    """Both roles; what travels is ciphertext, and the network may cut it up as it likes."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    ca, chain = authority.cert_pem.bytes(), issued.cert_chain_pems[0].bytes()
    network = Network(latency=(0.0, 0.01), pieces=7)

    async def main() -> None:
        options: ServerKeywords = {"cert": chain, "key": issued.private_key_pem.bytes()}
        async with (
            https.create_server(echo, **options) as server,
            https.Agent(keep_alive=True, ca=ca.decode()) as agent,
        ):
            await server.listen(443, "127.0.0.1")
            for _ in range(2):
                request = https.request("https://127.0.0.1/", method="POST", agent=agent)
                await request.end(b"plain" * 1000)
                async with request as res:
                    assert await res.read() == b"plain" * 1000
                assert request.socket.encrypted and request.socket.authorized
            assert len(server.connections) == 1

    sim.run(main, network=network)
    sent = b"".join(entry.data for entry in network.transcript)
    assert len(sent) > 20000 and b"plain" not in sent


def test_plain_exchanges_do_nothing_of_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """ASK-40."""
    monkeypatch.setattr("anywire.conformance.sim._runtime.Runtime.ssl", None)
    monkeypatch.setattr("anywire.conformance.sim._runtime.Runtime.tempfile", None)

    async def main() -> None:
        async with http.create_server(echo) as server:
            await server.listen(80, "127.0.0.1")
            async with http.get("http://127.0.0.1/") as res:
                assert res.status_code == 200
                await res.read()

    sim.run(main)


# ---------------------------------------------------------------- the same seed, the same bytes


def digest(seed: int) -> str:
    """A run with everything random in it, as a hash."""
    network = Network(latency=(0.0, 0.2), pieces=9, buffer=900)

    async def main() -> None:
        async with http.create_server(echo) as server, http.Agent(keep_alive=True, max_sockets=3) as agent:
            server.grace = 0.0
            await server.listen(80)

            async def client(number: int) -> None:
                for _ in range(3):
                    async with http.request(
                        "http://localhost:80/", method="POST", headers={"X-Number": number}, agent=agent
                    ) as res:
                        await res.read()

            for task in [sim.spawn(client(number)) for number in range(5)]:
                await task.join()
            wires = [await sim.dial(80) for _ in range(20)]
            assert len(wires) == 20
        await sim.sleep(1.0)  # the ends of what the server closed all at once

    sim.run(main, seed=seed, network=network, shuffle=True)
    return hashlib.sha256("\n".join(map(str, network.transcript)).encode()).hexdigest()


def test_the_same_seed_gives_the_same_transcript() -> None:
    """Byte for byte, times included, in other processes, under other hash seeds and another layout of memory."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); keep = [bytes(n) for n in range(int(sys.argv[2]))]\n"
        "import test_sim\n"
        "from anywire.conformance.sim.worlds import World\n"
        "print(*map(test_sim.digest, (1, 2)))\n"
        "for seed in range(8):\n"
        "    world = World(seed)\n"
        "    print(dict(world.run().outcomes), len(world.network.transcript), world.network.transcript[-1])\n"
    )

    def elsewhere(hash_seed: str, objects: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, os.path.dirname(__file__), str(objects)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    first = elsewhere("0", 0)
    assert first == elsewhere("4242", 3000)
    assert first.split("\n")[0].split() == [digest(1), digest(2)]
    assert digest(1) != digest(2)


# ---------------------------------------------------------------- its size


def test_it_stays_small() -> None:
    """What a backend consists of stays under the limit of every backend; so does what it runs on."""
    folder = Path(sim.__file__).parent

    def lines(*names: str) -> int:
        return sum(code_lines(folder / f"{name}.py") for name in names)

    assert lines("_pump", "_runtime", "http", "https", "__init__") <= 400
    assert lines("_kernel", "_network") <= 400


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, no comments, no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[int] = set()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
                found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(found)
