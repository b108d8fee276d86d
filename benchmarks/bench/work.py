"""What a measurement is: contenders that take turns, and what came of each turn."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

__all__ = ["Failed", "Plan", "Work", "best", "contest"]


class Failed(Exception):
    """A contender could not be measured; the message says why."""


@dataclass(slots=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: turns of each contender; what counts is their median.
        seconds: how long a turn takes.
        quick: leave out what no bar needs.
        only: parts of names; contenders that contain none of them are left out (all stay if there are none).
        cpus: processors for what is measured, and for the load.
    """

    rounds: int = 5
    seconds: float = 2.0
    quick: bool = False
    only: tuple[str, ...] = ()
    cpus: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())

    def shorter(self) -> Plan:
        """For what no bar depends on."""
        return replace(self, rounds=min(3, self.rounds))

    def wants(self, name: str) -> bool:
        """Is this contender asked for?"""
        return not self.only or any(part.lower() in name.lower() for part in self.only)


@dataclass(slots=True)
class Work:
    """One thing to do, and how each contender did it.

    Attributes:
        group: what ``ONLY=`` calls it.
        name: within the group.
        unit: of the values.
        more: more is better.
        compared: the table says how many times as good as each other contender our best is.
        values: of each contender, one for each round, in the order of the rounds.
        failed: contender → why it has no values.
        notes: contender → what to know about its values.
        about: a sentence on how it is done.
    """

    group: str
    name: str
    unit: str
    more: bool = True
    compared: bool = True
    values: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    about: str = ""

    def median(self, contender: str) -> float | None:
        """The median of its rounds; None if it was not measured."""
        values = self.values.get(contender)
        return statistics.median(values) if values else None

    def spread(self, contender: str) -> float:
        """Half the distance between its slowest and its fastest round, relative to the median."""
        values = self.values[contender]
        middle = statistics.median(values)
        return (max(values) - min(values)) / 2 / middle if middle else 0.0

    def ranked(self) -> list[str]:
        """Contenders that were measured, the best first."""
        measured = [name for name, values in self.values.items() if values]
        return sorted(measured, key=lambda name: statistics.median(self.values[name]), reverse=self.more)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Work:
        """What :meth:`as_dict` wrote."""
        return cls(**data)


def best(work: Work, names: tuple[str, ...]) -> str | None:
    """Who of `names` has the best median; None if none of them was measured."""
    return next((name for name in work.ranked() if name in names), None)


def contest(work: Work, contenders: Mapping[str, Callable[[], float]], rounds: int) -> Work:
    """Let all take turns (A B C A B C …), so that a machine whose speed drifts is the same for all of them.

    Who fails once is out, and the reason is kept; the others go on.
    """
    for number in range(rounds):
        for name, turn in contenders.items():
            if name in work.failed:
                continue
            _say(f"{work.group}: {work.name}: round {number + 1} of {rounds}: {name}")
            try:
                work.values.setdefault(name, []).append(turn())
            except (Failed, OSError) as error:
                work.values.pop(name, None)
                work.failed[name] = str(error) or type(error).__name__
    _say("")
    return work


def _say(text: str) -> None:
    """One line on a terminal that is written over; elsewhere nothing: a log of every turn helps nobody."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text[:110]}")
        sys.stderr.flush()
