"""One timer service per run: every deadline of every pump, struck by one system task.

A cancel scope of its own for each deadline would cost as much as the wait it limits. Here
it is an entry in a heap and, if it is the earliest, one assignment to the only scope
there is. The task is trio's ``sleep_forever`` in that scope, so ``MockClock`` moves it as
it moves everything else.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from anywire.core.facade import Deadlines

if TYPE_CHECKING:
    from collections.abc import Callable

    from anywire.core.facade import Deadline

__all__ = ["Clock"]

_LOG = logging.getLogger("anywire.trio")


class Clock:
    """Calls at deadlines. Belongs to one run."""

    def __init__(self) -> None:
        self._deadlines = Deadlines()
        self._scope = trio.CancelScope()

    def arm(self, when: float, call: Callable[[], object], before: Deadline | None) -> Deadline:
        """Have `call` called at `when` in place of what `before` stands for; soon, but not yet, if that is past."""
        deadlines = self._deadlines
        if before is not None:
            deadlines.remove(before)
        made = deadlines.add(when, call)
        # Exactly the earliest that counts: a clock that jumps must not jump to a dead one.
        if self._scope.deadline != (first := deadlines.first):
            self._scope.deadline = first
        return made

    async def run(self) -> None:
        """The system task."""
        while True:
            with self._scope:
                self._scope.deadline = self._deadlines.first
                await trio.sleep_forever()
            self._scope = trio.CancelScope()
            for call in self._deadlines.due(trio.current_time()):
                self.guard(call)

    def guard(self, call: Callable[[], object]) -> None:
        """Call what may call a user's listener: what that raises is the fault of nobody who waits here."""
        try:
            call()
        except Exception as error:
            self.report("Error in a listener", error)

    def report(self, message: str, error: BaseException) -> None:
        """Log it: nobody waits for it."""
        _LOG.error(message, exc_info=error)
