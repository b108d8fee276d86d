"""Programs that do something for so long when they are asked, and say how often they did it.

A worker reads lines ``WORK SECONDS`` and answers each with ``COUNT SECONDS``: how often, and how long it took in truth.
It is started once and asked in turns, so contenders that are workers can take turns as servers do.
"""

from __future__ import annotations

import contextlib
import os
import select
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import IO

from .machine import cpu_seconds
from .work import Failed, Plan, Work, contest

__all__ = ["Worker", "compete", "workers"]

PATIENCE = 60.0
"""Seconds that a worker may take beyond what it was asked for."""


class Worker:
    """A worker that runs.

    Attributes:
        pid: of its process.
        costs: seconds of processor time for one of what it did, each time it was asked.
    """

    def __init__(self, process: subprocess.Popen[str], complaints: IO[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._complaints = complaints
        self.costs: list[float] = []

    def ask(self, work: str, seconds: float) -> float:
        """How many times per second it did that.

        Raises:
            Failed: it ended or does not answer.
        """
        used, began = cpu_seconds(self.pid), time.perf_counter()
        count, took = self.numbers(work, seconds)
        if count <= 0:
            raise Failed("it did nothing at all")
        share = (cpu_seconds(self.pid) - used) / (time.perf_counter() - began)  # warming up included
        self.costs.append(share * took / count)
        return count / took

    def numbers(self, work: str, seconds: float) -> tuple[float, float]:
        """The two numbers it answers with."""
        sent = self._process.stdin
        assert sent is not None, "a pipe"
        try:
            sent.write(f"{work} {seconds}\n")
            sent.flush()
        except OSError:
            raise Failed(self._why("it ended")) from None
        words = self._line(seconds).split()
        if len(words) != 2:
            raise Failed(self._why("it ended"))
        return float(words[0]), float(words[1])

    def ready(self) -> None:
        """Wait until it has started: nobody shall be measured while others import."""
        with contextlib.suppress(Failed):  # said when it is asked
            self._line(0)

    def _line(self, seconds: float) -> str:
        answers = self._process.stdout
        assert answers is not None, "a pipe"
        if not select.select([answers], [], [], seconds + PATIENCE)[0]:
            raise Failed(self._why(f"no answer within {seconds + PATIENCE:g} s"))
        return answers.readline()

    def _why(self, what: str) -> str:
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        return f"{what}: {said[-1]}" if said else what


@contextlib.contextmanager
def _worker(command: list[str], plan: Plan) -> Iterator[Worker]:
    """Start one, on the processor of what is measured; end it by its pid afterwards."""
    cpus = plan.cpus[0]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True, bufsize=1,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )  # fmt: skip
        try:
            yield Worker(process, complaints)
        finally:
            with contextlib.suppress(OSError):
                assert process.stdin is not None, "a pipe"
                process.stdin.close()  # they end by themselves then
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            if process.stdout is not None:
                process.stdout.close()


@contextlib.contextmanager
def workers(commands: dict[str, list[str]], plan: Plan) -> Iterator[dict[str, Worker]]:
    """Start all that are asked for; who ends at once tells why when it is asked."""
    with contextlib.ExitStack() as stack:
        found = {
            name: stack.enter_context(_worker(command, plan)) for name, command in commands.items() if plan.wants(name)
        }
        for one in found.values():
            one.ready()
        yield found


def compete(
    works: list[Work], commands: dict[str, list[str]], plan: Plan, *, value: Callable[[float], float] | None = None
) -> Iterator[Work]:
    """Start workers, and let them do one work after the other in turns.

    What each costs of its processor is noted where it spends time waiting.

    Args:
        works: what to do; the worker is told the name up to a comma, with hyphens for blanks.
        commands: contender → how it is started.
        plan: how much.
        value: of a rate; if None it is the rate itself, and the note is made.
    """
    with workers(commands, plan) as running:
        for work in works:
            word = work.name.split(",")[0].replace(" ", "-")
            turns = {name: _turn(one, word, plan.seconds, value) for name, one in running.items()}
            for one in running.values():
                one.costs.clear()
            yield contest(work, turns, plan.rounds)
            if value is None:
                work.notes = {
                    name: f"{1e6 * statistics.median(one.costs):.0f} µs of processor each"
                    for name, one in running.items()
                    if name in work.values
                }


def _turn(one: Worker, word: str, seconds: float, value: Callable[[float], float] | None) -> Callable[[], float]:
    def turn() -> float:
        rate = one.ask(word, seconds)
        return rate if value is None else value(rate)

    return turn
