"""Deadlines: many calls, each at its time, for backends that have one timer for all of them."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from .._pump import FOREVER

__all__ = ["Deadline", "Deadlines"]

Deadline: TypeAlias = list[Any]
"""``[when, number, call]``; the call is None once it does not count any more."""

FEW: Final = 64


class Deadlines:
    """A heap of calls. It has no clock: whoever has one asks for :attr:`first` and takes what is :meth:`due`."""

    __slots__ = ("_dead", "_heap", "_numbers")

    def __init__(self) -> None:
        self._heap: list[Deadline] = []
        self._numbers = itertools.count()
        self._dead = 0

    @property
    def first(self) -> float:
        """When the earliest is due; ``inf`` if there is none. One that was removed does not count."""
        heap = self._heap
        while heap and heap[0][2] is None:
            heapq.heappop(heap)
            self._dead -= 1
        return heap[0][0] if heap else FOREVER

    def add(self, when: float, call: Callable[[], object]) -> Deadline:
        """Remember to call `call` at `when`."""
        made: Deadline = [when, next(self._numbers), call]
        heapq.heappush(self._heap, made)
        return made

    def remove(self, deadline: Deadline) -> None:
        """Forget one. What it would have called is let go now, its place when the dead outnumber the others."""
        if deadline[2] is None:
            return
        deadline[2] = None
        self._dead += 1
        if self._dead > FEW and self._dead > len(self._heap) // 2:
            self._heap = [each for each in self._heap if each[2] is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def due(self, now: float) -> list[Callable[[], object]]:
        """Take out what is due, earliest first."""
        calls = []
        while self.first <= now:
            deadline = heapq.heappop(self._heap)
            calls.append(deadline[2])
            deadline[2] = None
        return calls
