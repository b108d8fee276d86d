"""What the demo shows: bars while it works on a terminal, plain lines elsewhere, and a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

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
    """One stretch of work; :meth:`advance` is cheap enough to be called for every piece."""

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

    def finish(self) -> None:
        """Show where it ended, and take the bar away."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=self.done, refresh=True)
            self._progress.remove_task(self._task)
            self._progress.refresh()


class Reporter:
    """Tells what happens. A context manager.

    Args:
        console: where to; default is stdout.
    """

    def __init__(self, console: Console | None = None) -> None:
        if console is None:
            console = Console(highlight=False)
            if not console.is_terminal:
                console = Console(highlight=False, width=120)
        self.console = console
        self._progress: Progress | None = None
        if console.is_terminal:
            self._progress = Progress(
                TextColumn("{task.description:<" + str(_LABEL) + "}"),
                BarColumn(bar_width=None),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                console=console,
                transient=True,
                refresh_per_second=8,
            )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def line(self, label: str, text: str) -> None:
        """One line that stays."""
        self.console.print(f"{label:<{_LABEL}} {text}", markup=False, soft_wrap=True)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Phase]:
        """Work of `total` units, bytes or files. Its line, with :attr:`Phase.note`, stays when it is over."""
        phase = Phase(self._progress, title, total)
        start = time.perf_counter()
        try:
            yield phase
        finally:
            phase.finish()
            self.line(title, f"{phase.note or 'not finished'}  {time.perf_counter() - start:.1f} s")

    def table(self, results: Sequence[Result]) -> None:
        """What came of it, a column for each backend, and then every error."""
        table = Table(title=None)
        table.add_column("")
        for result in results:
            table.add_column(result.backend, justify="right")
        rows: list[tuple[str, list[str]]] = [
            ("requests", [f"{r.requests:,}" for r in results]),
            ("sockets opened", [f"{r.sockets:,}" for r in results]),
            ("reuse rate", [f"{r.reuse:.2%}" for r in results]),
            ("queued at once, at most", [f"{r.queued:,}" for r in results]),
            ("files/s down", [f"{r.down.files_per_second:,.0f}" for r in results]),
            ("files/s up", [f"{r.up.files_per_second:,.0f}" for r in results]),
            ("stream MB/s down", [f"{r.stream_down.megabytes_per_second:,.0f}" for r in results]),
            ("stream MB/s up", [f"{r.stream_up.megabytes_per_second:,.0f}" for r in results]),
            ("client: RSS before stream → peak", [_streaming(r.client) for r in results]),
            ("server: RSS before stream → peak", [_streaming(r.server) for r in results]),
            ("peak RSS of all, client / server", [f"{_mib(r.client.peak)} / {_mib(r.server.peak)}" for r in results]),
            ("seconds", [f"{r.seconds:.1f}" for r in results]),
            ("errors", [str(len(r.errors)) for r in results]),
        ]
        for name, cells in rows:
            table.add_row(name, *cells)
        self.console.print(table)
        for result in results:
            for error in result.errors[:_SHOWN_ERRORS]:
                self.line("error", f"{result.backend}: {error}")
            if len(result.errors) > _SHOWN_ERRORS:
                self.line("error", f"{result.backend}: and {len(result.errors) - _SHOWN_ERRORS} more")


def _mib(count: int) -> str:
    return human_bytes(count) if count else "unknown"


def _streaming(memory: Memory) -> str:
    mark = "" if memory.growth < MEMORY_BOUND else " !"
    return f"{_mib(memory.before)} → {_mib(memory.after)} (+{human_bytes(memory.growth)}){mark}"
