"""A handler's ``contextvars``: each exchange has a copy of its own, though one task or thread serves many (ASK-52)."""

from __future__ import annotations

from types import CoroutineType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

__all__ = ["Within", "begin"]


def begin(listener: Callable[..., Any], args: tuple[Any, ...], context: Context) -> Any:
    """Call `listener` in `context`, and take the first step. Returns what is left to await, None if that was all."""
    result = context.run(listener, *args)
    if not isinstance(result, CoroutineType):
        return result if hasattr(result, "__await__") else None
    try:
        wanted = context.run(result.send, None)
    except StopIteration:
        return None
    return Within(result, context, wanted)


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
