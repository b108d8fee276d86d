"""Many worlds: run in one process or several, and what came of them in numbers."""

from __future__ import annotations

import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from typing import TypeAlias

from .worlds import Result, World, WorldError

__all__ = ["Tally", "outcome", "run"]

REPLAY = "python -m anywire.conformance.sim --seeds {} --transcript"
SHARE = 20
"""Worlds that a process is given at once."""
EVERY = 10.0
"""Seconds between two lines about the progress."""
Outcome: TypeAlias = tuple[Result, str, Counter[str]]
"""What came of a world, what did not hold (empty if all did), and how often what kind."""


def run(seeds: range, jobs: int) -> Iterator[Outcome]:
    """Run the worlds of `seeds` in `jobs` processes; several give them out of order."""
    if jobs < 2:
        yield from map(_world, seeds)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting: set[Future[list[Outcome]]] = set()
        left = iter(range(seeds.start, seeds.stop, SHARE))
        try:
            while True:
                for first in islice(left, 2 * jobs - len(waiting)):
                    waiting.add(pool.submit(_share, range(first, min(first + SHARE, seeds.stop))))
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for each in done:
                    yield from each.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _share(seeds: range) -> list[Outcome]:
    return [_world(seed) for seed in seeds]


def _world(seed: int) -> Outcome:
    return outcome(World(seed))


def outcome(world: World) -> Outcome:
    """Run one."""
    try:
        return world.run(), "", Counter()
    except WorldError as error:
        trace = "".join(traceback.format_exception(error.__cause__)[-4:]) if error.__cause__ is not None else ""
        return world.result, f"{error}\n{trace}replay: {REPLAY.format(world.seed)}", error.kinds


class Tally:
    """What came of the worlds so far.

    Attributes:
        failures: worlds in which something did not hold.
    """

    def __init__(self, wanted: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self.failures = 0
        self._wanted = wanted
        self._clock = clock
        self._start = self._told = clock()
        self._worlds = 0
        self._strangers = 0
        self._virtual = 0.0
        self._outcomes: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()

    def add(self, result: Result, text: str, kinds: Counter[str]) -> None:
        """One more world; `text` says what did not hold."""
        self._worlds += 1
        self._outcomes += result.outcomes
        self._strangers += result.strangers
        self._virtual += result.seconds
        self._kinds += kinds
        if text:
            self.failures += 1
            sys.stderr.write(f"{text}\n")
        if (now := self._clock()) - self._told >= EVERY:
            self._told = now
            sys.stdout.write(f"{self.line()}\n")
            sys.stdout.flush()

    def line(self) -> str:
        """The numbers that matter."""
        took = max(self._clock() - self._start, 1e-9)
        exchanges = sum(self._outcomes.values())
        return (
            f"{self._worlds} of {self._wanted} worlds, {exchanges} exchanges, {self.failures} failures, "
            f"{self._kinds['mismatch']} mismatches, {self._kinds['leak']} leaks; "
            f"{took:.1f} s, {self._worlds / took * 60:.0f} worlds and {exchanges / took * 60:.0f} exchanges per minute"
        )

    def __str__(self) -> str:
        rest = [f"{count:8} {outcome}" for outcome, count in self._outcomes.most_common()]
        others = [f"{count:8} times did not hold: {kind}" for kind, count in self._kinds.most_common()]
        more = f"{self._strangers} strangers; {self._virtual / 3600:.0f} virtual hours"
        return "\n".join([self.line(), more, *rest, *others])
