"""What the demo shows: bars while it works on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from rich.box import ROUNDED
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from .._words import human_bytes
from ._job import MEMORY_BOUND, Memory, Result

__all__ = ["Phase", "Reporter"]

_LABEL = 11
_STEPS = 200
_SHOWN_ERRORS = 10


class Phase:
    """One stretch of work; :meth:`advance` is cheap enough to be called for every piece.

    Attributes:
        done: how much of it is done.
        note: what to say of it in the end.
    """

    __slots__ = ("_progress", "_shown", "_step", "_task", "done", "note")

    def __init__(self, progress: Progress | None, title: str, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total) if progress is not None else None
        self._step = max(1, total // _STEPS)
        self._shown = 0
        self.done = 0
        self.note = ""

    def advance(self, count: int = 1) -> None:
        """So much more is done."""
        self.done += count
        if self._progress is not None and self._task is not None and self.done - self._shown >= self._step:
            self._shown = self.done
            self._progress.update(self._task, completed=self.done)


class Reporter:
    """Tells what happens: bars on a terminal, lines everywhere.

    Args:
        console: where to; default is stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        if console is None:
            console = Console(highlight=False)
            if not console.is_terminal:
                console = Console(highlight=False, width=200)
        self._console = console

    def line(self, label: str, text: str) -> None:
        """One line that stays."""
        self._console.print(f"{label:<{_LABEL}} {text}", markup=False, soft_wrap=True)

    def begin(self, backend: str) -> None:
        """From here on it is about that one."""
        self._console.print(f"\n{backend}", style="bold", markup=False)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Phase]:
        """Work of `total` units, bytes or files. Its line, with :attr:`Phase.note`, stays when it is over."""
        start = time.perf_counter()
        with self._bars() as progress:
            phase = Phase(progress, title, total)
            try:
                yield phase
            finally:
                if progress is not None:
                    progress.refresh()
                self.line(title, f"{phase.note or 'not finished'}  {time.perf_counter() - start:.1f} s")

    def _bars(self) -> AbstractContextManager[Progress | None]:
        if not self._console.is_terminal:
            return nullcontext()
        return Progress(
            TextColumn("{task.description:<" + str(_LABEL) + "}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            refresh_per_second=8,
        )

    def table(self, results: Sequence[Result]) -> None:
        """What came of it, a column for each backend, and then every error."""
        table = Table(box=ROUNDED if self._console.is_terminal else None, padding=(0, 1, 0, 1))
        table.add_column("")
        for result in results:
            table.add_column(result.backend, justify="right")
        for name, cell in _ROWS:
            table.add_row(name, *map(cell, results))
        self._console.print()
        self._console.print(table)
        for result in results:
            for error in result.errors[:_SHOWN_ERRORS]:
                self.line("error", f"{result.backend}: {error}")
            if len(result.errors) > _SHOWN_ERRORS:
                self.line("error", f"{result.backend}: and {len(result.errors) - _SHOWN_ERRORS} more")


def _size(count: int) -> str:
    return human_bytes(count) if count else "unknown"


def _growth(memory: Memory) -> str:
    return f"+{human_bytes(memory.growth)}{'' if memory.growth < MEMORY_BOUND else ' !'}"


_ROWS: list[tuple[str, Callable[[Result], str]]] = [
    ("requests through one Agent", lambda r: f"{r.requests:,}"),
    ("sockets opened", lambda r: f"{r.sockets:,}"),
    ("reuse rate", lambda r: f"{r.reuse:.2%}"),
    ("queued at once, at most", lambda r: f"{r.queued:,}"),
    ("files/s down", lambda r: f"{r.down.files_per_second:,.0f}"),
    ("files/s up", lambda r: f"{r.up.files_per_second:,.0f}"),
    ("stream MB/s down", lambda r: f"{r.stream_down.megabytes_per_second:,.0f}"),
    ("stream MB/s up", lambda r: f"{r.stream_up.megabytes_per_second:,.0f}"),
    ("client memory while streaming", lambda r: _growth(r.client)),
    ("server memory while streaming", lambda r: _growth(r.server)),
    ("client memory at most", lambda r: _size(r.client.peak)),
    ("server memory at most", lambda r: _size(r.server.peak)),
    ("checks passed", lambda r: f"{r.passed} of {r.steps}"),
    ("seconds", lambda r: f"{r.seconds:.1f}"),
    ("errors", lambda r: str(len(r.errors))),
]
