"""What a backend hands in, and how one is found by its name.

:class:`Backend` is the whole of what this suite knows about a runtime: the functions of its ``http``
module, a way to run a coroutine function in it, something to wait on, and something to run beside.
``anywire.conformance.awaiting`` and ``.blocking`` have it for the runtimes of this repository; those of
others name a function that makes theirs: ``--backend some.module:maker``.

Everything is written as ``async def`` once. In the awaiting colour it runs as it is; in the
blocking one nothing it calls ever suspends, so one ``send(None)`` runs it to its end (:func:`drive`).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .errors import ScenarioError, UsageError

__all__ = ["KNOWN", "PATIENCE", "Backend", "Flag", "Task", "drive", "https_beside", "installed", "resolve", "settle"]

T = TypeVar("T")

PATIENCE = 60.0 if sys.flags.dev_mode else 20.0
"""Seconds after which something that does not happen is a failure. Nothing relies on it. `-X dev` takes its time."""

NEEDED = ("flag", "hook", "http", "name", "now", "reports", "run", "start", "virtual", "world")
"""What a backend has."""

KNOWN = {
    "anywire.asyncio": "awaiting:on_asyncio",
    "anywire.asyncio+uvloop": "awaiting:on_uvloop",
    "anywire.trio": "awaiting:on_trio",
    "anywire.sync": "blocking:on_threads",
    "anywire.gevent": "blocking:on_gevent",
    "anywire.conformance.sim": "simulated:on_sim",
}
"""Backends of this repository, and the adapter (module:maker) of each."""


class Flag(Protocol):
    """Something to wait on, once."""

    def set(self) -> None:
        """Let who waits go on. Idempotent, from any thread."""

    def wait(self) -> Any:
        """Wait until it is set (a coroutine in the awaiting colour)."""


class Task(Protocol):
    """Something that runs beside the rest."""

    def join(self) -> Any:
        """Wait for its end (a coroutine in the awaiting colour)."""

    def cancel(self) -> None:
        """Give it up, by the means of the runtime."""


class Backend(Protocol):
    """A runtime under test.

    Attributes:
        name: what it is called in reports.
        http: what has ``create_server``, ``request``, ``get``, ``Agent``: the backend's ``http`` module.
        https: the same with TLS; None where there is none, or no such attribute.
        virtual: its clock is virtual: times are exact, and waiting costs nothing.
        world: where the peers live: ``anywire.conformance.peers.Threads()`` unless the network is virtual too.
        reports: errors that the runtime was told of during the current run.
    """

    name: str
    http: Any
    https: Any
    virtual: bool
    world: Any
    reports: list[str]

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `scenario` in the runtime and return its result; a RuntimeError after :data:`PATIENCE`."""

    def now(self) -> float:
        """Seconds on the clock of the runtime."""

    def flag(self) -> Flag:
        """A new flag."""

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Task:
        """Run `work` beside what runs now."""

    def hook(self, function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Any]:
        """`function` as a listener for a hook that may wait (``request``, ``upgrade``, …)."""


async def settle(value: Any) -> Any:
    """The result of a call: awaited if that is what the call gave us to do.

    Only coroutines are: a request can be awaited too, and that would wait for its answer.
    """
    return await value if inspect.iscoroutine(value) else value


def leave(manager: Any) -> Any:
    """Leave a context manager, of either colour."""
    out = manager.__aexit__ if hasattr(manager, "__aexit__") else manager.__exit__
    return out(None, None, None)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends.

    Raises:
        ScenarioError: it did.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise ScenarioError("something waits where nothing may wait")


def https_beside(http: Any) -> Any:
    """The module ``https`` in the package of `http`, or None."""
    name = f"{getattr(http, '__package__', None)}.https"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name and error.name != "None":
            raise
        return None


def installed() -> list[str]:
    """Those of :data:`KNOWN` that can be used here."""
    return [name for name in KNOWN if _usable(name)]


def _usable(name: str) -> bool:
    package, _, extra = name.partition("+")
    word = package.rpartition(".")[2]
    needs = {"sync": "threading", "sim": "heapq"}.get(word, word)
    try:
        return all(importlib.util.find_spec(each) is not None for each in (f"{package}.http", extra or needs))
    except ModuleNotFoundError:
        return False


def resolve(name: str) -> Backend:
    """The backend called `name`: one of :data:`KNOWN`, or ``some.module:maker``.

    Modules are also looked for in the current folder, as with ``python -m``.

    Raises:
        UsageError: there is none, with the names of those that are.
    """
    target = f"{__package__}.{KNOWN[name]}" if name in KNOWN else name
    module, colon, maker = target.partition(":")
    if not colon:
        known = ", ".join(installed())
        raise UsageError(f"no backend is called {name!r}; there are {known}, or your own as some.module:maker")
    if name not in KNOWN and "" not in sys.path and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        imported = importlib.import_module(module)
    except Exception as error:
        says = error if isinstance(error, ImportError) else told(error)
        raise UsageError(f"backend {name!r} cannot be imported: {says}") from error
    if not callable(made := getattr(imported, maker, None)):
        raise UsageError(f"backend {name!r}: the module {module} ({imported.__file__}) has no function {maker!r}")
    try:
        backend = made()
        lacks = [each for each in NEEDED if not hasattr(backend, each)]
    except Exception as error:
        raise UsageError(f"backend {name!r}: {maker}() failed: {told(error)}") from error
    if lacks:
        raise UsageError(f"backend {name!r}: what {maker}() returns lacks {', '.join(lacks)}")
    return backend  # type: ignore[no-any-return]


def told(error: BaseException) -> str:
    """An error of somebody else's code: its type, its text and its place."""
    frames = traceback.extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        frames = traceback.extract_tb(error.__traceback__) or frames
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"
