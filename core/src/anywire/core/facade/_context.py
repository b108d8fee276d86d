"""A handler's ``contextvars``: each exchange has a copy of its own, though one task or thread serves many (ASK-52)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator
    from contextvars import Context

__all__ = ["Within", "begin"]


def begin(coroutine: Coroutine[Any, Any, Any], context: Context) -> Within | None:
    """Take the first step of `coroutine` in `context`. Returns what is left to be awaited, None if that was all."""
    try:
        wanted = context.run(coroutine.send, None)
    except StopIteration:
        return None
    return Within(coroutine, context, wanted)


class Within:
    """To be awaited: a coroutine that has begun, every step of it in `context`.

    What it sets is gone for who awaits it. To the runtime it is the same task, so cancelling, timeouts and
    ``current_task()`` are what they are without it.

    Args:
        coroutine: has taken its first step.
        context: where it did.
        wanted: what it waits for.
    """

    __slots__ = ("_context", "_coroutine", "_wanted")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: Context, wanted: Any) -> None:
        self._coroutine = coroutine
        self._context = context
        self._wanted = wanted

    def __await__(self) -> Generator[Any, Any, Any]:
        run, coroutine, wanted = self._context.run, self._coroutine, self._wanted
        while True:
            step: Any = coroutine.send
            given: Any = None
            try:
                given = yield wanted
            except GeneratorExit:
                run(coroutine.close)
                raise
            except BaseException as error:
                given, step = error, coroutine.throw
            try:
                wanted = run(step, given)
            except StopIteration as stop:
                return stop.value
            finally:
                given = None  # an exception must not hold this frame, which it knows
