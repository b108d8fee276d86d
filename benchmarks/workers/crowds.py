"""Crowds of threads or greenlets that do the same until time is over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter

from asking import WARM, crowd_of

__all__ = ["measured"]

Round = Callable[[], object]


def measured(work: str, seconds: float, make: Callable[[], Round], *, greenlets: bool = False) -> tuple[float, float]:
    """How often a crowd did something.

    Args:
        work: the crowd has one member, or 32.
        seconds: how long.
        make: makes what one member does over and over, in the thread of that member.
        greenlets: they are no threads.
    """
    many, counts = crowd_of(work), list[int]()

    def one() -> None:
        do = make()
        warm = perf_counter() + WARM
        while perf_counter() < warm:
            do()
        due, count = warm + seconds, 0
        while perf_counter() < due:
            do()
            count += 1
        counts.append(count)

    began = perf_counter()
    if many == 1:
        one()
    elif greenlets:
        import gevent

        gevent.joinall([gevent.spawn(one) for _ in range(many)], raise_error=True)
    else:
        threads = [threading.Thread(target=one) for _ in range(many)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if len(counts) < many:
            raise RuntimeError("some threads failed")
    return sum(counts), perf_counter() - began - WARM
