"""What is observed: the event log of a run, and how values look in it.

A log is lines of text, so that two logs can be compared by eye and by ``diff``. An entry
begins with what it is about (``req``, ``a.res``, ``server``), followed by an event, or is the text of
an operation followed by ``->`` and a value, ``throws`` and an error, or ``ok``.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Log", "compare", "describe_error", "describe_event", "describe_pool", "shown"]

LONGEST = 200
"""Texts longer than this are shown by their beginning and length."""


def shown(value: object) -> str:
    """A value as JSON: bytes as Latin-1 text, mappings and lists as such; classes ``<type>``, the rest ``<object>``."""
    return json.dumps(_plain(value), ensure_ascii=True)


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (bytes, bytearray)):
        value = value.decode("latin-1")
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:20]}... ({len(value)})"
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return "<type>" if isinstance(value, type) else "<object>"


def describe_error(error: BaseException) -> str:
    """``CODE: message``, the code being the class of an error that has none."""
    return f"{getattr(error, 'code', None) or type(error).__name__}: {getattr(error, 'message', None) or error}"


def describe_event(event: str, args: tuple[Any, ...]) -> str:
    """An event and those of its arguments that can be told in words."""
    words = [event]
    for value in args:
        if isinstance(value, BaseException):
            words.append(describe_error(value))
        elif isinstance(value, (str, bytes)):
            words.append(shown(value))
        elif getattr(value, "status_code", None) is not None and not hasattr(value, "write_head"):
            words.append(str(value.status_code))
        elif getattr(value, "url", None):
            words.append(f"{value.method} {value.url}")
    return " ".join(words)


def describe_pool(agent: Any) -> list[str]:
    """What an agent counts, a line for each name; its books agree with one another."""
    agent.check_invariants()
    return [
        f"{name} active {each.active}, idle {each.idle}, queued {each.queued}, created {each.created},"
        f" closed {shown(each.closed)}"
        for name, each in agent.stats().items()
    ]


class Log:
    """Lines in the order in which they happened. Safe to use from several threads.

    Args:
        flag: makes what the application waits on until a line is there.
        now: the clock of the backend; entries are stamped with it.
    """

    def __init__(self, flag: Callable[[], Any], now: Callable[[], float]) -> None:
        self._flag = flag
        self._now = now
        self._start = now()
        self._lock = threading.Lock()
        self._waiters: list[tuple[str, Any]] = []
        self._frozen = False
        self.entries: list[tuple[float, str, bytes | str | None]] = []

    def add(self, text: str, piece: bytes | str | None = None) -> None:
        """Write a line; `piece` is the data of a ``data`` event."""
        with self._lock:
            if self._frozen:
                return
            self.entries.append((self._now() - self._start, text, piece))
            woken = [flag for start, flag in self._waiters if _begins(text, start)]
        for flag in woken:
            flag.set()

    def freeze(self) -> None:
        """What happens from here on is clearing up."""
        with self._lock:
            self._frozen = True

    def expect(self, start: str) -> Any:
        """A flag that is set once a line begins with these words, at once if one does already."""
        flag = self._flag()
        with self._lock:
            self._waiters.append((start, flag))
            if not any(_begins(text, start) for _, text, _ in self.entries):
                return flag
        flag.set()
        return flag

    def lines(self, *, separate_data: bool = False) -> list[tuple[float, str]]:
        """The log as ``(seconds since the start, text)``; consecutive data of one message is one line."""
        merged: list[list[Any]] = []
        for at, text, piece in self.entries:
            if piece is not None and merged and merged[-1][1] == text and not separate_data:
                merged[-1][2] += piece
            else:
                merged.append([at, text, piece])
        return [(at, text if piece is None else f"{text} {shown(piece)}") for at, text, piece in merged]


def _begins(text: str, start: str) -> bool:
    return text == start or text.startswith((f"{start} ", f"{start}:"))


def compare(
    expected: list[str], seen: list[tuple[float, str]], *, by_object: bool, virtual: bool
) -> tuple[list[str], list[str]] | None:
    """Does the log say what it should?

    Args:
        expected: lines of a case; an error may be told without its message, a line may begin with ``at SECONDS``.
        seen: the log.
        by_object: only the order of what is about one object counts.
        virtual: the backend's clock is virtual, so times count.

    Returns:
        None if it does, else both as lists of lines to be shown beside each other.
    """
    wanted = [_split_time(line) for line in expected]
    had = [(at, text) for at, text in seen]
    if by_object:
        wanted.sort(key=lambda item: _subject(item[1]))
        had.sort(key=lambda item: _subject(item[1]))
    same = len(wanted) == len(had) and all(map(_equal, wanted, had, [virtual] * len(had)))
    if same:
        return None
    left = [f"at {time:g} {text}" if virtual and time is not None else text for time, text in wanted]
    short = {text for _, text in wanted}
    timed = {text for time, text in wanted if virtual and time is not None}
    right = []
    for at, text in had:
        known = next((each for each in short if each and _without_message(text, each)), text)
        right.append(f"at {at:g} {known}" if known in timed else known)
    return left, right


def _equal(wanted: tuple[float | None, str], had: tuple[float, str], virtual: bool) -> bool:
    time, want = wanted
    at, text = had
    if virtual and time is not None and abs(at - time) > 1e-6:
        return False
    return text == want or _without_message(text, want)


def _without_message(text: str, want: str) -> bool:
    return text.startswith(f"{want}: ") and (" throws " in want or " error " in want or "client_error " in want)


def _split_time(line: str) -> tuple[float | None, str]:
    if line.startswith("at "):
        _, seconds, rest = line.split(" ", 2)
        return float(seconds), rest
    return None, line


def _subject(text: str) -> str:
    return text.split(" ", 1)[0].split(".", 1)[0]
