"""The kernel: a virtual clock, and coroutines stepped by hand with ``send`` and ``throw``.

A task suspends by awaiting a :class:`Parking`, which is woken at most once and carries no
value. Whatever is woken goes to the end of one list; when that list is empty the clock
jumps to the next timer, and when there is none either (or only those of somebody who looks
again and again), nothing can ever happen again: :class:`Deadlock`. There is no other source
of progress (no thread, no descriptor, no real clock, no hash order), so a run is a function
of its program and its seed.

Cancelling throws :class:`Cancelled` at the place where the task is suspended, once per
call. Each task counts its suspensions, also those it makes after a cancel, and
:meth:`Task.act_at` does something at the k-th: together they make sweeps over every point
at which a task can be interrupted.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from random import Random
from typing import TYPE_CHECKING, Any

from anywire.core.facade import Deadline, Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["Cancelled", "Deadlock", "Kernel", "Parking", "Task", "current"]

SPINNING = 200_000
"""Steps at one instant after which nobody believes any more that the clock will ever move on."""

HORIZON = 1e5
"""Virtual seconds: by then everything has happened. A queued request looks again each second for ever."""

_running: ContextVar[Kernel] = ContextVar("anywire.sim")


def current() -> Kernel:
    """The kernel that runs us.

    Raises:
        RuntimeError: outside of ``run()``.
    """
    kernel = _running.get(None)
    if kernel is None:
        raise RuntimeError("not inside anywire.conformance.sim.run()")
    return kernel


class Cancelled(BaseException):
    """Thrown into a task at its suspension point by :meth:`Task.cancel`."""


class Deadlock(Exception):
    """Nothing can ever run again. The text lists who waits for what."""


class Parking:
    """One suspension; goes straight on if it was woken before.

    Args:
        kernel: who to tell.
        what: is waited for, for :class:`Deadlock`.
        always: suspend even if it was woken before.
    """

    def __init__(self, kernel: Kernel, what: object, *, always: bool = False) -> None:
        self._kernel = kernel
        self._always = always
        self.what = what
        self.woken = always
        self.task: Task | None = None

    def wake(self) -> None:
        """Let whoever is parked here go on; idempotent."""
        if not self.woken:
            self.woken = True
            if self.task is not None:
                self._kernel.soon(self.task.step)

    def __await__(self) -> Generator[Parking, None, None]:
        if self._always or not self.woken:
            yield self


class Task:
    """A coroutine being run.

    Attributes:
        suspensions: how often it was suspended.
        suspensions_after_cancel: how often since a cancel was thrown into it; clean-up must not wait.
        parked: where it is suspended.
        pending: what is to be thrown into it.
        done, result, error: how it ended; a cancelled one has :class:`Cancelled` as its error.
        joined: somebody waits for the end, and will hear of the error.
    """

    def __init__(self, kernel: Kernel, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._kernel = kernel
        self._work = work
        self._acts: dict[tuple[int, bool], Callable[[], object]] = {}
        self._cancelled = False
        self._joining: list[Parking] = []
        self.name = name
        self.suspensions = self.suspensions_after_cancel = 0
        self.parked: Parking | None = None
        self.pending: list[BaseException] = []
        self.done = self.joined = False
        self.result: Any = None
        self.error: BaseException | None = None

    def cancel(self) -> None:
        """Throw :class:`Cancelled` where it is suspended, or will be next; once per call. Does not wait."""
        self.throw(Cancelled())

    def throw(self, error: BaseException) -> None:
        """As :meth:`cancel`, any exception; once per exception."""
        if not self.done and error not in self.pending:
            self.pending.append(error)
            if self.parked is not None:
                self.parked.wake()

    def act_at(self, k: int, action: Callable[[], object], *, late: bool = False) -> None:
        """Call `action` at the k-th suspension, counted from 1.

        At once, while the task is suspended; or `late`, when its wake-up was given and it is
        the next to run.
        """
        self._acts[k, late] = action

    def _act(self, *, late: bool) -> None:
        if (action := self._acts.pop((self.suspensions, late), None)) is not None:
            action()

    async def join(self) -> Any:
        """Wait for the end. Returns the result, or raises what ended the task."""
        self.joined = True
        while not self.done:
            parking = Parking(self._kernel, f"the end of {self.name}")
            self._joining.append(parking)
            await parking
        if self.error is not None:
            raise self.error
        return self.result

    def step(self) -> None:
        """Run to the next suspension. Called by the kernel only."""
        self._act(late=True)
        self.parked = None
        self._kernel.task = self
        try:
            if self.pending:
                self._cancelled |= isinstance(self.pending[0], Cancelled)
                parking = self._work.throw(self.pending.pop(0))
            else:
                parking = self._work.send(None)
        except StopIteration as stop:
            self.finish(stop.value, None)
            return
        except BaseException as error:
            self.finish(None, error)
            return
        self.suspensions += 1
        self.suspensions_after_cancel += self._cancelled
        parking.task = self
        self.parked = parking
        if parking.woken:
            self._kernel.soon(self.step)
        elif self.pending:
            parking.wake()
        self._act(late=False)

    def finish(self, result: Any, error: BaseException | None) -> None:
        """It ended. Called by the kernel only."""
        self.done, self.result, self.error = True, result, error
        del self._kernel.tasks[self]
        for parking in self._joining:
            parking.wake()
        if isinstance(error, Exception):
            self._kernel.failed.append(self)


class Kernel:
    """One run.

    Args:
        seed: of everything that is random.
        shuffle: run what is ready in random order; False: first in, first out.

    Attributes:
        now: seconds since the run began.
        tasks: those that have not ended; `task` is the one running.
        failed: those that ended in an Exception.
        reports: ``(message, error)`` of what went wrong where nobody waits.
        runtime, network: what belongs to this run.
    """

    task: Task
    runtime: Any = None
    network: Any = None

    def __init__(self, seed: object = 0, *, shuffle: bool = False) -> None:
        self.now = 0.0
        self.tasks: dict[Task, None] = {}
        self.failed: list[Task] = []
        self.reports: list[tuple[str, BaseException]] = []
        self._seed = seed
        self._shuffle = self.random("schedule") if shuffle else None
        self._ready: deque[Callable[[], None]] = deque()
        self._timers = Deadlines()
        self._steps = 0

    def random(self, name: str) -> Random:
        """A generator of its own for `name`: how often one is asked does not change what another says."""
        return Random(f"{self._seed} {name}")  # by its SHA-512, not by a hash that differs between processes

    def soon(self, call: Callable[[], None]) -> None:
        """Call it once this step is over."""
        self._ready.append(call)

    def watch(self, listener: Any, events: int, call: Callable[[], None]) -> None:
        """Call it for each that waits there to be accepted, and comes; if `events` are 0, no more."""
        listener.watch(call if events else None)

    def at(self, when: float, call: Callable[[], object]) -> Deadline:
        """Call it when the clock is there."""
        return self._timers.add(when, call)

    def forget(self, timer: Deadline | None) -> None:
        """Do not call it after all."""
        if timer is not None:
            self._timers.remove(timer)

    @property
    def next_timer(self) -> float:
        """When the clock would jump to; ``inf`` if there is no timer."""
        return self._timers.first

    def spawn(self, work: Coroutine[Any, Any, Any], name: str = "") -> Task:
        """Run `work` beside us. An error that nobody joins to hear is reported at the end of the run."""
        task = Task(self, work, name or getattr(work, "__qualname__", "task"))
        self.tasks[task] = None
        self.soon(task.step)
        return task

    async def sleep(self, seconds: float, parking: Parking | None = None) -> None:
        """Suspend for virtual `seconds`, or until `parking` is woken; 0 lets whoever is ready run."""
        parking = parking or Parking(self, f"{self.now + seconds:.6f} s", always=seconds <= 0)
        timer = self.at(self.now + seconds, parking.wake)
        try:
            await parking
        finally:
            self.forget(timer)

    def guard(self, call: Callable[[], object]) -> None:
        """Call what may call a user's listener: what that raises is the fault of nobody who waits here."""
        try:
            call()
        except Exception as error:
            self.report("Error in a listener", error)

    def report(self, message: str, error: BaseException) -> None:
        """Remember an error that nobody waits for."""
        self.reports.append((message, error))

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run until `main` ends; then cancel whatever still runs, and see that it ends."""
        token = _running.set(self)
        task = self.spawn(main, "main")
        task.joined = True
        try:
            try:
                self._run(task)
            finally:
                for other in list(self.tasks):
                    other.cancel()
                try:
                    while self.tasks:
                        self._run(next(iter(self.tasks)))
                except Deadlock:
                    for other in list(self.tasks):
                        other._work.close()
                        other.finish(None, None)
        finally:
            _running.reset(token)
        for other in self.failed:
            if not other.joined and other.error is not None:
                self.report(f"Error in {other.name}", other.error)
        if task.error is not None:
            raise task.error
        return task.result

    def _run(self, task: Task) -> None:
        ready, timers = self._ready, self._timers
        while not task.done:
            first = timers.first
            if first > self.now and not ready:
                if first >= HORIZON:
                    raise Deadlock(f"nothing can run any more at {self.now} s:{self._who()}")
                self.now = first
                self._steps = 0
            self._steps += 1
            if self._steps > SPINNING:
                raise Deadlock(f"{SPINNING} steps at {self.now} s and still busy:{self._who()}")
            if first <= self.now:
                for call in timers.due(self.now):
                    call()
            else:
                if self._shuffle is not None and len(ready) > 1:
                    ready.rotate(-int(self._shuffle.random() * len(ready)))
                ready.popleft()()

    def _who(self) -> str:
        return "".join(f"\n  {task.name} waits for {task.parked and task.parked.what}" for task in self.tasks)
