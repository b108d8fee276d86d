"""The pool on real sockets: reuse, queues, stale connections, two event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import threading
from typing import Any

import pytest
from asyncio_peers import OK, Wire, counts, peer, pool, turns, until

from anywire.asyncio import http
from anywire.core import AnywireError, ConnectionLost


async def echo_path(wire: Wire) -> None:
    """Answers each request with its target."""
    while True:
        head, _ = await wire.message()
        path = head.split(b" ")[1]
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))


async def fetch(url: str, agent: http.Agent, **options: Any) -> bytes:
    async with http.get(url, agent=agent, **options) as res:
        return await res.read()


async def test_one_connection_for_any_number_of_requests() -> None:
    async with peer(echo_path) as server, pool() as agent:
        for number in range(50):
            assert await fetch(f"{server.url}{number}", agent) == b"/%d" % number
        assert len(server.wires) == 1
        stats = next(iter(agent.stats().values()))
        assert (stats.created, stats.reused, stats.idle) == (1, 49, 1)


async def test_a_deep_queue_is_served_in_order_within_the_limit() -> None:
    """AGT-4, AGT-30."""
    order: list[int] = []
    most = 0
    open_now = 0

    async def script(wire: Wire) -> None:
        nonlocal most, open_now
        open_now += 1
        most = max(most, open_now)
        try:
            while True:
                head, _ = await wire.message()
                order.append(int(head.split(b" ")[1][1:]))
                await wire.send(OK)
        finally:
            open_now -= 1

    async with peer(script) as server, pool(max_sockets=4) as agent:
        requests = [http.get(f"{server.url}{number}", agent=agent) for number in range(300)]
        assert counts(agent)[3] == 296
        assert len(agent.requests) == 1

        async def one(req: http.ClientRequest) -> None:
            async with req as res:
                assert await res.read() == b"ok"

        await asyncio.gather(*map(one, requests))
        assert counts(agent) == (0, 0, 4, 0)
        assert (len(server.wires), most) == (4, 4)
    assert sorted(order) == list(range(300))
    # Four at a time: none may overtake more than the others that are under way with it.
    assert all(abs(place - number) < 8 for place, number in enumerate(order))


async def test_max_sockets_one_is_strictly_first_in_first_out() -> None:
    """AGT-30; ``reused_socket`` tells the truth on hand-over (decision 4)."""
    async with peer(echo_path) as server, pool(max_sockets=1) as agent:
        done: list[int] = []
        reused: list[bool] = []

        async def one(number: int, req: http.ClientRequest) -> None:
            async with req as res:
                await res.read()
            done.append(number)
            reused.append(req.reused_socket)

        requests = [http.get(f"{server.url}{number}", agent=agent) for number in range(20)]
        await asyncio.gather(*(one(number, req) for number, req in enumerate(requests)))
        assert done == list(range(20))
        assert reused == [False] + [True] * 19
        assert len(server.wires) == 1


async def test_max_total_sockets_over_two_servers() -> None:
    """AGT-L1, ASK-4."""
    async with peer(echo_path) as one, peer(echo_path) as two, pool(max_total_sockets=1) as agent:
        results = await asyncio.gather(*(fetch((one if n % 2 else two).url + str(n), agent) for n in range(10)))
        assert results == [b"/%d" % number for number in range(10)]
        assert counts(agent)[2] == 1


async def test_agent_false_is_an_agent_of_its_own() -> None:
    """MOD-36."""
    async with peer(echo_path) as server:
        for _ in range(2):
            async with http.get(server.url, agent=False) as res:
                await res.read()
        assert len(server.wires) == 2


async def test_events_of_the_agent() -> None:
    """AGT-87."""
    freed: list[Any] = []
    async with peer(echo_path) as server, pool() as agent:
        agent.on("free", lambda sock, options: freed.append((sock.remote_port, options["port"])))
        await fetch(server.url, agent)
        await fetch(server.url, agent)
        assert freed == [(server.port, server.port)] * 2


async def test_reuse_socket_is_called_once_and_not_on_hand_over() -> None:
    """AGT-26, AGT-50."""
    reused: list[str] = []

    class Counting(http.Agent):
        def reuse_socket(self, connection: Any, request: Any) -> None:
            reused.append(request.path)

    async with peer(echo_path) as server, Counting(keep_alive=True, max_sockets=1) as agent:
        await fetch(f"{server.url}opened", agent)
        await fetch(f"{server.url}pooled", agent)
        assert reused == ["/pooled"]
        await asyncio.gather(*(fetch(f"{server.url}{name}", agent) for name in ("again", "handed-over")))
        assert reused == ["/pooled", "/again"]


async def test_a_server_that_always_closes() -> None:
    """AGT-76."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")

    async with peer(script) as server, pool(max_sockets=1) as agent:
        assert await asyncio.gather(*(fetch(server.url, agent) for _ in range(5))) == [b"ok"] * 5
        assert len(server.wires) == 5


async def test_keep_alive_hints_are_honoured() -> None:
    """ASK-2, AGT-L4: a hint shorter than our margin means that it is not pooled at all."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok")

    async with peer(script) as server, pool() as agent:
        await fetch(server.url, agent)
        await fetch(server.url, agent)
        assert len(server.wires) == 2
        assert counts(agent) == (0, 0, 0, 0)


# ---------------------------------------------------------------- stale connections


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_pooled_connection_that_the_server_closed_is_not_used(how: str) -> None:
    """AGT-61, ASK-1, ASK-8: nobody hears of it."""
    close = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)
        if not wire.number:
            await close.wait()
            if how == "reset":
                wire.reset()
            return
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        await fetch(server.url, agent)
        assert counts(agent)[2] == 1
        close.set()
        await until(lambda: counts(agent)[2] == 0)
        req = http.request(server.url, method="POST", agent=agent)  # a POST: no replay could hide it
        async with req as res:
            assert await res.read() == b"ok"
        assert not req.reused_socket


async def test_a_fin_that_the_loop_has_not_told_us_of_is_seen_at_hand_out() -> None:
    """ASK-1: the FIN is in the kernel, our loop has not turned since."""
    async with peer(echo_path) as server, pool() as agent:
        await fetch(server.url, agent)
        # FIN by a plain call: no turn of the loop between it and the request.
        raw = server.wires[0].writer.get_extra_info("socket")
        dup = socket.fromfd(raw.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        dup.shutdown(socket.SHUT_WR)
        dup.close()
        req = http.request(server.url, method="POST", agent=agent)
        async with req as res:
            assert await res.read() == b"/"
        assert not req.reused_socket
        assert len(server.wires) == 2


async def stale(wire: Wire) -> None:
    """Closes the first connection when its second request arrives, without an answer."""
    await wire.message()
    await wire.send(OK)
    while True:
        await wire.head()
        if wire.number == 0:
            return
        await wire.send(OK)


async def reset_stale(wire: Wire) -> None:
    await wire.message()
    await wire.send(OK)
    while True:
        await wire.head()
        if wire.number == 0:
            wire.reset()
            return
        await wire.send(OK)


@pytest.mark.parametrize("script", [stale, reset_stale])
async def test_a_get_that_crossed_the_close_is_replayed_once(script: Any) -> None:
    """Decision 7, ASK-1."""
    async with peer(script) as server, pool(max_sockets=1) as agent:
        await fetch(server.url, agent)
        events: list[str] = []
        req = http.get(server.url, agent=agent)
        for name in ("error", "response", "close"):
            req.on(name, lambda *_, name=name: events.append(name))
        async with req as res:
            assert await res.read() == b"ok"
        assert len(server.wires) == 2
        assert events == ["response", "close"]


@pytest.mark.parametrize("script", [stale, reset_stale])
@pytest.mark.parametrize("options", [{"method": "POST"}, {"method": "GET", "replay": False}])
async def test_what_may_not_be_replayed_fails_and_says_so(script: Any, options: dict[str, Any]) -> None:
    """AGT-65, ASK-15."""
    async with peer(script) as server, pool(max_sockets=1) as agent:
        await fetch(server.url, agent)
        req = http.request(server.url, agent=agent, **options)
        with pytest.raises(ConnectionLost) as caught:
            async with req as res:
                await res.read()
        error = caught.value
        assert (error.code, error.reused, error.response_started) == ("ECONNRESET", True, False)
        assert error.bytes_written
        assert error.replay_safe == ("unknown" if req.method == "POST" else "yes")
        assert counts(agent) == (0, 0, 0, 0)


async def test_a_streamed_put_is_not_replayed() -> None:
    """Decision 7: not every byte is at hand any more."""
    async with peer(stale) as server, pool() as agent:
        await fetch(server.url, agent)
        req = http.request(server.url, method="PUT", agent=agent)

        async def upload() -> None:
            await req.write(b"first")
            await turns(20)
            await req.write(b"second")
            await req.end()
            await req.response()

        with pytest.raises(ConnectionLost) as caught:
            await upload()
        assert caught.value.reused


async def test_a_replay_is_not_replayed_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        if wire.number == 0:
            await wire.send(OK)
            await wire.head()

    async with peer(script) as server, pool() as agent:
        await fetch(server.url, agent)
        with pytest.raises(ConnectionLost) as caught:
            await fetch(server.url, agent)
        assert not caught.value.reused
        assert len(server.wires) == 2


@pytest.mark.parametrize("noise", [b"x", b"\r\n", OK, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"])
async def test_bytes_on_an_idle_connection_kill_it(noise: bytes) -> None:
    """SEC-1 (against AGT-60), ASK-13."""
    say = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
        if wire.number == 0:
            await say.wait()
            await wire.send(noise)
        await wire.gone()

    async with peer(script) as server, pool() as agent:
        assert await fetch(server.url, agent) == b"right"
        say.set()
        await until(lambda: counts(agent)[2] == 0)
        assert await fetch(server.url, agent) == b"right"
        assert len(server.wires) == 2


async def test_bytes_that_wait_in_the_kernel_are_not_taken_for_the_next_answer() -> None:
    """SEC-1: the loop has not turned between the noise and the request."""
    async with peer(echo_path) as server, pool() as agent:
        await fetch(server.url, agent)
        raw = server.wires[0].writer.get_extra_info("socket")
        dup = socket.fromfd(raw.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        dup.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        dup.close()
        assert await fetch(server.url + "good", agent) == b"/good"
        assert len(server.wires) == 2


async def test_a_pooled_connection_expires() -> None:
    """AGT-6, AGT-63: at the latest when the Agent is next asked."""
    async with peer(echo_path) as server, pool(timeout=0.03) as agent:
        await fetch(server.url, agent)
        await asyncio.sleep(0.06)
        await fetch(server.url, agent)
        assert len(server.wires) == 2


@pytest.mark.slow
async def test_the_sweep_of_a_server_that_closes_idle_connections_shows_no_error() -> None:
    """ASK-1: closes swept over the moment of reuse."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(OK)
            asyncio.get_running_loop().call_later(0.001 * (wire.number % 5), wire.close)

    async with peer(script) as server, pool() as agent:
        for number in range(150):
            assert await fetch(server.url, agent) == b"ok"
            await asyncio.sleep(0.001 * (number % 4))


# ---------------------------------------------------------------- destroy, loops


async def test_destroy_fails_everything_and_the_agent_remains_usable() -> None:
    """AGT-82 to AGT-86 with decision 4."""

    async def script(wire: Wire) -> None:
        await wire.message()
        if wire.number:
            await wire.send(OK)
        await wire.gone()

    async with peer(script) as server, pool(max_sockets=1) as agent:
        tasks = [asyncio.ensure_future(fetch(server.url, agent)) for _ in range(3)]
        await until(lambda: server.wires and counts(agent) == (1, 0, 0, 2))
        agent.destroy()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == ["ECONNRESET"] * 3
        assert counts(agent) == (0, 0, 0, 0)
        assert await fetch(server.url, agent) == b"ok"


async def test_an_agent_as_a_context() -> None:
    async with peer(echo_path) as server:
        async with http.Agent(keep_alive=True) as agent:
            await fetch(server.url, agent)
            assert counts(agent)[2] == 1
        assert counts(agent) == (0, 0, 0, 0)


def test_an_agent_in_a_second_event_loop() -> None:
    """ASK-10: never "Event loop is closed"; the first loop ended with a pooled connection."""
    agent = http.Agent(keep_alive=True)

    async def main() -> None:
        async with peer(echo_path) as server:
            assert await fetch(server.url + "x", agent) == b"/x"
            assert counts(agent)[2] == 1

    asyncio.run(main())
    asyncio.run(main())
    agent.destroy()
    assert counts(agent) == (0, 0, 0, 0)


def test_the_global_agent_in_a_second_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """MOD-12: assigning replaces it."""
    agent = http.Agent(keep_alive=True)
    before = http.global_agent
    http.global_agent = agent
    try:

        async def main() -> None:
            async with peer(echo_path) as server, http.get(server.url) as res:
                assert await res.read() == b"/"
                await turns()

        asyncio.run(main())
        asyncio.run(main())
        assert sum(each.created for each in agent.stats().values()) == 2
    finally:
        http.global_agent = before
        agent.destroy()


def test_no_resource_warning_when_the_agent_is_destroyed_before_the_loop_ends() -> None:
    """ASK-43; ``filterwarnings = error`` is what tests it."""
    agents: list[http.Agent] = []

    async def main() -> None:
        agent = http.Agent(keep_alive=True)
        agents.append(agent)
        async with peer(echo_path) as server:
            await asyncio.gather(*(fetch(server.url, agent) for _ in range(5)))
            agent.destroy()

    asyncio.run(main())
    assert counts(agents[0]) == (0, 0, 0, 0)


# ---------------------------------------------------------------- chaos


@pytest.mark.slow
async def test_every_answer_belongs_to_its_request_whatever_is_cancelled() -> None:
    """ASK-13, ASK-5, ASK-12: cancellations at seeded moments; limits and places exact throughout."""
    import random

    rng = random.Random(20140)

    async def script(wire: Wire) -> None:
        while True:
            head, _ = await wire.message()
            path = head.split(b" ")[1]
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(path))
            for _ in range(rng.randrange(3)):
                await asyncio.sleep(0)
            await wire.send(path)
            if rng.random() < 0.05:
                return

    async with peer(script) as server, pool(max_sockets=5) as agent:
        answered = 0

        async def one(number: int) -> None:
            nonlocal answered
            path = b"/%d" % number
            with contextlib.suppress(AnywireError):
                async with http.get(server.url + str(number), agent=agent) as res:
                    body = await res.read()
                    assert body == path
                    answered += 1
            active, connecting, idle, _ = counts(agent)
            assert active + connecting + idle <= 5

        tasks = [asyncio.ensure_future(one(number)) for number in range(600)]
        while not all(task.done() for task in tasks):
            for _ in range(rng.randrange(5)):
                await asyncio.sleep(0)
            waiting = [task for task in tasks if not task.done()]
            if waiting and answered % 2:
                rng.choice(waiting[:12]).cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} <= {type(None), asyncio.CancelledError}
        assert answered > 100
        active, connecting, _, queued = counts(agent)
        assert (active, connecting, queued) == (0, 0, 0)


@pytest.mark.parametrize("loop_kind", ["asyncio", "uvloop"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's own, about a transport that outlived its loop
def test_connections_that_outlive_their_loop_are_given_up_without_harm(loop_kind: str) -> None:
    """ASK-10: the peer still holds its end; no descriptor but theirs may be closed, and none twice."""
    factory = pytest.importorskip("uvloop").new_event_loop if loop_kind == "uvloop" else None
    agent = http.Agent(keep_alive=True)
    peers: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                peers.append(sock)
                sock.recv(65536)
                sock.sendall(OK)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        for _ in range(2):
            with asyncio.Runner(loop_factory=factory) as runner:
                assert runner.run(fetch(url, agent)) == b"ok"
                assert counts(agent)[2] == 1
        agent.destroy()
        others = [socket.socketpair() for _ in range(5)]  # take the numbers of whatever was closed too early
        del agent
        gc.collect()
        for one, two in others:
            one.sendall(b"x")
            assert two.recv(1) == b"x"
            one.close()
            two.close()
        assert len(peers) == 2
        for sock in peers:
            sock.settimeout(10)
            assert sock.recv(1) == b""
            sock.close()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
