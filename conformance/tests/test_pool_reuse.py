"""Sockets that the server closes around the moment of their reuse (ASK-1).

A few hundred GETs on each backend here. More, and how many would have failed without replay:
``ANYWIRE_GETS=10000 pytest -s -o faulthandler_timeout=3000 conformance/tests/test_pool_reuse.py``.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any

import pytest

from anywire.conformance.backends import Backend, settle
from anywire.core import AnywireError

from .pools.kit import OK, REAL, Conn, gather, run, serve, sleep

GETS = int(os.environ.get("ANYWIRE_GETS", "400"))
TASKS = 20
PAUSE = 0.055
"""Seconds between two requests of a task."""


class Closing:
    """Closes each connection from 50 ms before to 50 ms after the time of its reuse, most often close to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rounds = 0
        self.closed: Counter[str] = Counter()

    def __call__(self, conn: Conn) -> None:
        while conn.request():
            conn.send(OK)
            with self._lock:
                self._rounds += 1
                number = self._rounds
            at = ((number * 0.6180339887498949) % 1.0) * 2.0 - 1.0  # evenly from -1 to 1
            conn.sock.settimeout(max(0.001, PAUSE + 0.05 * at**3))
            how = "fin" if number % 2 else "rst"
            try:
                while not conn.sock.recv(1, 2):  # MSG_PEEK
                    return
            except TimeoutError:
                self.closed[how] += 1
                conn.close() if how == "fin" else conn.reset()
                return


async def sweep(backend: Backend, url: str, gets: int, **options: Any) -> Counter[str]:
    """So many GETs by several tasks, half of which share an Agent. Returns what came of them."""
    outcomes: Counter[str] = Counter()
    shared = backend.http.Agent(keep_alive=True)
    agents = [shared if number % 2 else backend.http.Agent(keep_alive=True) for number in range(TASKS)]

    async def one(agent: Any) -> None:
        for _ in range(gets // TASKS):
            sockets: list[Any] = []
            req = backend.http.request(url, agent=agent, **options)
            req.on("socket", sockets.append)
            try:
                res = await settle(req.response())
                assert await settle(res.read()) == b"ok"
            except AnywireError as error:
                outcomes[f"error {error.code}, reused {error.reused}, safe {error.replay_safe}"] += 1
            else:
                outcomes["reused" if req.reused_socket else "opened"] += 1
                outcomes["replayed"] += len(sockets) - 1
            await sleep(backend, PAUSE)

    await gather(backend, [lambda agent=agent: one(agent) for agent in agents])  # type: ignore[misc]
    for agent in {id(each): each for each in agents}.values():
        stats = agent.total_stats()
        assert (stats.active, stats.connecting, stats.queued) == (0, 0, 0)
        outcomes.update({f"closed: {reason}": count for reason, count in stats.closed.items()})
        agent.check_invariants()
        agent.destroy()
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_no_get_fails(name: str) -> None:
    closing = Closing()
    with serve(closing) as server:
        found = run(name, lambda backend: sweep(backend, server.url, GETS), seconds=30 + GETS / 50)
    assert found["reused"] + found["opened"] == GETS, found
    # Else it shows nothing: there were sockets that came too late, and sockets that did not.
    assert found["reused"] > GETS / 20 and sum(closing.closed.values()) > GETS / 20, found
    if GETS <= 1000:
        return
    print(f"\n{name}: {GETS} GETs, server closed {dict(closing.closed)}: {dict(found)}")  # noqa: T201
    with serve(Closing()) as server:  # how many of these races there are is chance
        found = run(name, lambda backend: sweep(backend, server.url, GETS, replay=False), seconds=30 + GETS / 50)
    print(f"{name}: without replay {dict(found)}")  # noqa: T201
