"""What one request costs the pool: ``pool.py idle|queued``, asked for ``10-sockets`` and so on.

The Agent of the core alone decides here; connections are names. *idle*: so many idle connections, each request takes
one and gives it back. *queued*: so many in use and as many requests that wait; a connection is given back, which
hands it to the first that waits, and a new request joins the queue. Both for ten hosts.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from time import perf_counter

from asking import answer

from anywire.core import Agent

HOSTS = 10
BATCH = 50


def idle(sockets: int) -> Callable[[], None]:
    pool: Agent[object, None] = Agent(keep_alive=True, max_free_sockets=sockets, timeout=60.0)
    names = [f"host{number}:80:" for number in range(HOSTS)]
    leases = [pool.request(names[number % HOSTS], None, 0.0) for number in range(sockets)]
    for lease in leases:
        pool.opened(lease, object(), 0.0)
    for lease in leases:
        pool.freed(lease, 0.0, persistent=True)

    def step() -> None:
        for name in names:
            pool.freed(pool.request(name, None, 1.0), 1.0, persistent=True)

    return step


def queued(sockets: int) -> Callable[[], None]:
    pool: Agent[object, None] = Agent(keep_alive=True, max_sockets=sockets // HOSTS)
    names = [f"host{number}:80:" for number in range(HOSTS)]
    lanes = [(name, deque(pool.request(name, None, 0.0) for _ in range(sockets // HOSTS))) for name in names]
    for _, lane in lanes:
        for lease in lane:
            pool.opened(lease, object(), 0.0)
    for name, lane in lanes:
        lane.extend(pool.request(name, None, 0.0) for _ in range(sockets // HOSTS))

    def step() -> None:
        for name, lane in lanes:
            pool.freed(lane.popleft(), 1.0, persistent=True)
            lane.append(pool.request(name, None, 1.0))
            pool.take_answers()

    return step


def measure(work: str, seconds: float) -> tuple[float, float]:
    if work not in steps:
        steps[work] = make(int(work.split("-")[0]))
    step = steps[work]
    count, began = 0, perf_counter()
    while (took := perf_counter() - began) < seconds:
        for _ in range(BATCH):
            step()
        count += BATCH * HOSTS
    return count, took


make = {"idle": idle, "queued": queued}[sys.argv[1]]
steps: dict[str, Callable[[], None]] = {}
answer(measure)
