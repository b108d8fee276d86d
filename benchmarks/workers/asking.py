"""How a worker is asked: lines ``WORK SECONDS`` come in, and each is answered with two numbers (see bench.workers)."""

from __future__ import annotations

import sys
from collections.abc import Callable

__all__ = ["AT_ONCE", "answer", "crowd_of"]

AT_ONCE = 32
WARM = 0.1
"""Seconds before the clock starts: connections are opened then."""


def crowd_of(work: str) -> int:
    """How many requests are under way at a time."""
    return AT_ONCE if work == "32-at-a-time" else 1


def answer(measure: Callable[[str, float], tuple[float, float]]) -> None:
    """Answer until nobody asks any more. The first line says that it is ready: imports are done."""
    print("ready", flush=True)
    for line in sys.stdin:
        work, seconds = line.split()
        count, took = measure(work, float(seconds))
        print(count, took, flush=True)
