"""The kernel: a virtual clock, and coroutines stepped by hand with ``send`` and ``throw``.

A task suspends by awaiting a :class:`Parking`, which is woken at most once and carries no
value. Whatever is woken goes to the end of one list; when that list is empty the clock
jumps to the next timer, and when there is none either, nothing can ever happen again:
:class:`Deadlock`. There is no other source of progress (no thread, no descriptor, no real
clock, no hash order), so a run is a function of its program and its seed.

Cancelling throws :class:`Cancelled` at the place where the task is suspended, once per
call. Each task counts its suspensions, also those it makes after a cancel, and
:meth:`Kernel.act_at` does something at the k-th: together they make sweeps over every
point at which a task can be interrupted.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from random import Random
from types import coroutine
from typing import TYPE_CHECKING, Any

from anywire.core.facade import Deadline, Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

__all__ = ["Cancelled", "Deadlock", "Kernel", "Parking", "Task", "current"]

SPINNING = 1_000_000
"""Steps at one instant after which nobody believes any more that the clock will ever move on."""

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
    """One suspension. Awaiting it again, or after it was woken, goes straight on."""

    __slots__ = ("_kernel", "task", "what", "woken")

    def __init__(self, kernel: Kernel, what: object) -> None:
        self._kernel = kernel
        self.what = what
        self.woken = False
        self.task: Task | None = None

    def wake(self) -> None:
        """Let whoever is parked here go on. May come first; idempotent."""
        if not self.woken:
            self.woken = True
            if self.task is not None:
                self._kernel.soon(self.task.step)

    def __await__(self) -> Generator[Parking, None, None]:
        if not self.woken:
            yield self


class Task:
    """A coroutine being run.

    Attributes:
        suspensions: how often it was suspended.
        suspensions_after_cancel: how often since a cancel was thrown into it.
        parked: where it is suspended.
        done, result, error: how it ended; a cancelled one has :class:`Cancelled` as its error.
    """

    def __init__(self, kernel: Kernel, work: Coroutine[Any, Any, Any], name: str) -> None:
        self._kernel = kernel
        self._work = work
        self._cancels: int = 0
        self._hit = False
        self._joining: list[Parking] = []
        self.acts: dict[tuple[int, bool], Callable[[], object]] = {}
        self.name = name
        self.suspensions = 0
        self.suspensions_after_cancel = 0
        self.parked: Parking | None = None
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    def cancel(self) -> None:
        """Throw :class:`Cancelled` where it is suspended, or will be next; once per call. Does not wait."""
        if not self.done:
            self._cancels += 1
            if self.parked is not None:
                self.parked.wake()

    async def join(self) -> Any:
        """Wait for the end. Returns the result, or raises what ended the task."""
        self._kernel.unheard.pop(self, None)
        while not self.done:
            parking = Parking(self._kernel, f"the end of {self.name}")
            self._joining.append(parking)
            await parking
            self._kernel.unheard.pop(self, None)
        if self.error is not None:
            raise self.error
        return self.result

    def step(self) -> None:
        """Run to the next suspension. Called by the kernel only."""
        if (late := self.acts.pop((self.suspensions, True), None)) is not None:
            late()
        self.parked = None
        try:
            if self._cancels:
                self._cancels -= 1
                self._hit = True
                parking = self._work.throw(Cancelled())
            else:
                parking = self._work.send(None)
        except StopIteration as stop:
            self._finish(stop.value, None)
        except BaseException as error:
            self._finish(None, error)
        else:
            self.suspensions += 1
            self.suspensions_after_cancel += self._hit
            parking.task = self
            self.parked = parking
            if parking.woken:
                self._kernel.soon(self.step)
            elif self._cancels:
                parking.wake()
            if (act := self.acts.pop((self.suspensions, False), None)) is not None:
                act()

    def _finish(self, result: Any, error: BaseException | None) -> None:
        self.done, self.result, self.error = True, result, error
        del self._kernel.tasks[self]
        if isinstance(error, Exception):
            self._kernel.unheard[self] = None
        for parking in self._joining:
            parking.wake()

    def close(self) -> None:
        """The last resort for a task that does not end."""
        self._work.close()
        self._finish(None, None)


class Kernel:
    """One run.

    Args:
        seed: of everything that is random.
        shuffle: run what is ready in random order; False: first in, first out.

    Attributes:
        now: seconds since the run began.
        tasks: those that have not ended.
        unheard: those that failed, and nobody joined them.
        reports: ``(message, error)`` of what went wrong where nobody waits.
        runtime, network: what belongs to this run.
    """

    runtime: Any = None
    network: Any = None

    def __init__(self, seed: object = 0, *, shuffle: bool = False) -> None:
        self.now = 0.0
        self.tasks: dict[Task, None] = {}
        self.unheard: dict[Task, None] = {}
        self.reports: list[tuple[str, BaseException]] = []
        self._seed = seed
        self._random = self.random("schedule") if shuffle else None
        self._ready: deque[Callable[[], None]] = deque()
        self._timers = Deadlines()
        self._steps = 0

    def random(self, name: str) -> Random:
        """A generator of its own for `name`: how often one is asked does not change what another says."""
        return Random(f"{self._seed} {name}")  # by its SHA-512, not by a hash that differs between processes

    # ---------------------------------------------------------------- what tasks and pumps use

    def soon(self, call: Callable[[], None]) -> None:
        """Call it once this step is over."""
        self._ready.append(call)

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
        """Run `work` beside us. What it raises and nobody joins to hear is reported at the end of the run."""
        task = Task(self, work, name or work.__qualname__)
        self.tasks[task] = None
        self.soon(task.step)
        return task

    async def sleep(self, seconds: float) -> None:
        """Suspend for virtual `seconds`; 0 lets whoever is ready run."""
        await self.sleep_until(Parking(self, f"{self.now + seconds:.6f} s"), self.now + seconds)

    async def sleep_until(self, parking: Parking, when: float) -> None:
        """Suspend until woken, or until `when`."""
        if when <= self.now:
            parking.wake()
            await yielded(parking)
            return
        timer = self.at(when, parking.wake) if when < float("inf") else None
        try:
            await parking
        finally:
            self.forget(timer)

    def report(self, message: str, error: BaseException) -> None:
        """Remember an error that nobody waits for."""
        self.reports.append((message, error))

    def guard(self, call: Callable[[], object]) -> None:
        """Call what may call a user's listener: what that raises is the fault of nobody who waits here."""
        try:
            call()
        except Exception as error:
            self.report("Error in a listener", error)

    def act_at(self, task: Task, k: int, action: Callable[[], object], *, late: bool = False) -> None:
        """Call `action` at the k-th suspension of `task`, counted from 1.

        At once, while the task is suspended; or `late`, when its wake-up was given and it is
        the next to run.
        """
        task.acts[k, late] = action

    # ---------------------------------------------------------------- the loop

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run until `main` ends; then cancel whatever still runs, and see that it ends."""
        token = _running.set(self)
        try:
            task = self.spawn(main, "main")
            try:
                while not task.done:
                    self._turn()
            finally:
                self._end()
        finally:
            _running.reset(token)
        if task.error is not None:
            raise task.error
        self.reports += [(f"Error in {failed.name}", failed.error) for failed in self.unheard if failed.error]
        return task.result

    def _turn(self) -> None:
        ready = self._ready
        if ready:
            if self._random is not None and len(ready) > 1:
                ready.rotate(-self._random.randrange(len(ready)))
            self._steps += 1
            if self._steps > SPINNING:
                raise Deadlock(f"{SPINNING} steps at {self.now} s and still busy:{self._who()}")
            ready.popleft()()
            return
        self._steps = 0
        first = self._timers.first
        if first == float("inf"):
            raise Deadlock(f"nothing can run any more at {self.now} s:{self._who()}")
        self.now = max(self.now, first)
        for call in self._timers.due(self.now):
            call()

    def _who(self) -> str:
        lines = (f"\n  {task.name} waits for {task.parked and task.parked.what}" for task in self.tasks)
        return "".join(lines) or " no task is left"

    def _end(self) -> None:
        for task in list(self.tasks):
            task.cancel()
        try:
            while self.tasks:
                self._turn()
        except Deadlock:
            for task in list(self.tasks):
                task.close()


@coroutine
def yielded(parking: Parking) -> Generator[Parking, None, None]:
    """Suspend even if it was woken already."""
    yield parking
