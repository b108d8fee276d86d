"""Sweeps: a scenario is run again and again, and each time something strikes at another suspension of its victim.

A scenario is an ``async def scenario(stage)``. It sets the stage, starts its victim with
:meth:`Stage.strike` and, after the victim is gone, says what must hold. The sweep ends when
the victim ended before the next suspension could be reached, so it is exhaustive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._kernel import Cancelled, Kernel, Task, current
from ._network import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from . import http

__all__ = ["CANCEL", "Stage", "sweep"]

CANCEL: Final = "cancel"
"""The usual action: :meth:`Task.cancel`."""


def ensure(fact: bool, text: str) -> None:
    """Raise AssertionError unless `fact`. Not `assert`: the suite finds the same under -O (SEC-36)."""
    if not fact:
        raise AssertionError(text)


class Stage:
    """One run of a scenario.

    Attributes:
        k: at which suspension.
        late: when its wake-up was given already, else as soon as it is suspended.
        times: how often in a row.
        victim: the task that is struck.
        struck: whether the k-th suspension was reached.
    """

    def __init__(self, k: int, late: bool, times: int, action: Any) -> None:
        self.k = k
        self.late = late
        self.times = times
        self.struck = False
        self.victim: Task
        self._action = action

    def _act(self) -> None:
        self.struck = True
        for _ in range(self.times):
            if self._action == CANCEL:
                self.victim.cancel()
            else:
                self._action(self)

    async def strike(self, work: Coroutine[Any, Any, Any]) -> BaseException | None:
        """Run `work` as the victim, to its end. Returns what ended it, None if it came through.

        Raises:
            AssertionError: it suspended again after a cancel; cleaning up must not wait.
        """
        self.victim = current().spawn(work, "victim")
        self.victim.act_at(self.k, self._act, late=self.late)
        error: BaseException | None = None
        try:
            await self.victim.join()
        except (Cancelled, Exception) as problem:
            error = problem
        count = self.victim.suspensions_after_cancel
        ensure(count == 0, f"{count} suspensions after the cancel")
        return error


def sweep(
    scenario: Callable[[Stage], Awaitable[None]],
    *,
    network: Callable[[], Network] = Network,
    action: Any = CANCEL,
    times: tuple[int, ...] = (1, 2),
    seed: object = 0,
) -> int:
    """Strike at every suspension, early and late, once and twice in a row. Returns how many points that were.

    Args:
        scenario: see the module.
        network: makes one for each run.
        action: what strikes: ``CANCEL``, or a function that is given the stage.
        times: how often in a row.
        seed: of every run.

    Raises:
        AssertionError: the scenario's own, with the point at which it struck.
    """
    points = 0
    for late in (False, True):
        for each in times:
            k = 0
            struck = True
            while struck:
                k += 1
                stage = Stage(k, late, each, action)
                kernel = Kernel(seed)
                kernel.network = network()
                kernel.network.begin(kernel)
                try:
                    kernel.run(_whole(scenario, stage))
                    ensure(not kernel.reports, f"reported: {kernel.reports}")
                except Exception as error:
                    error.add_note(f"struck {each} times{' late' if late else ''} at suspension {k}")
                    raise
                struck = stage.struck
                points += struck
    return points


async def _whole(scenario: Callable[[Stage], Awaitable[None]], stage: Stage) -> None:
    kernel = current()
    before = set(kernel.tasks)
    await scenario(stage)
    await kernel.sleep(0.0)
    left = [task for task in kernel.tasks if task not in before and not task.name.startswith("peer")]
    ensure(not left, f"tasks left: {[(task.name, task.parked and task.parked.what) for task in left]}")


def check_empty(agent: http.Agent, *, idle: int | None = None) -> None:
    """The agent's books are true and nothing is in use; `idle` connections are pooled, if given."""
    agent.check_invariants()
    stats = list(agent.stats().values())
    now = [sum(getattr(each, name) for each in stats) for name in ("active", "connecting", "queued", "idle")]
    ensure(now[:3] == [0, 0, 0], f"active, connecting, queued, idle: {now}")
    ensure(idle is None or now[3] == idle, f"idle: {now[3]}")
