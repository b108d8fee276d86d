"""Events: ``on``, ``once``, ``off``, ``emit``, in Node's order and at Python's price.

Theory of operation. Listeners of one event are a *tuple*, replaced whenever one is
added or removed. So an emission that is under way keeps the list it began with
(Node's snapshot rule) without copying anything, and emitting stays cheap, which is
what happens often; adding is what happens rarely.

``once`` listeners are wrapped, removed *before* they are called, and remember that
they were called: an emission that began earlier will not call them again.

Most objects never get a listener. They carry ``None`` in their one slot, and a hot
path may look at that slot itself before it calls :meth:`Emitter.emit`.

Two traps of Python are closed here:

* A coroutine function given to a plain event would make a coroutine that nobody
  awaits. It is refused when it is registered; a listener that hides one (a lambda,
  say) is caught when it returns. Classes name in ``async_events`` the hooks that
  they await themselves.
* Event names are snake_case. ``on("checkContinue")`` would wait for ever, so a name
  with a capital letter is refused.

An exception raised by a listener leaves :meth:`Emitter.emit` as it is, and the
listeners after it are not called (as in Node, where it leaves ``emit`` too).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from types import CoroutineType, FunctionType
from typing import Any, ClassVar, Final, TypeVar, overload

from ._errors import ArgumentTypeError, ArgumentValueError, LocalError

# Not typing.Self: on 3.11 it would do, but a TypeVar also works in the overloads below for every checker.
E = TypeVar("E", bound="Emitter")
F = TypeVar("F", bound=Callable[..., object])
Listener = Callable[..., object]
"""What may listen: called with the arguments of the event, its result is ignored."""

__all__ = ["Emitter", "Listener"]


class _Missing:
    __slots__ = ()


_MISSING: Final = _Missing()
_ASYNC_FLAGS: Final = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_ASYNC_GENERATOR


class _Once:
    __slots__ = ("called", "listener")

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.called = False


_Entries = tuple[Listener | _Once, ...]


class Emitter:
    """An object with events.

    Subclasses use ``__slots__``, and either call ``super().__init__()`` or set
    ``self._listeners = None`` themselves.

    Attributes:
        async_events: events whose listeners may be coroutine functions, because the
            class awaits them instead of calling :meth:`emit`. Empty by default.
    """

    __slots__ = ("_listeners",)

    async_events: ClassVar[frozenset[str]] = frozenset()

    _listeners: dict[str, _Entries] | None

    def __init__(self) -> None:
        self._listeners = None

    @overload
    def on(self: E, event: str, listener: Listener) -> E: ...
    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    def on(self, event: str, listener: object = _MISSING) -> object:
        """Call `listener` each time `event` is emitted, after those already there.

        Without a listener this is a decorator: ``@server.on("request")``.

        Args:
            event: the name, in snake_case.
            listener: any callable. The same one may be added several times.

        Returns:
            The object itself; as a decorator, the function unchanged.

        Raises:
            ArgumentTypeError: `listener` is not callable, or is a coroutine function
                and `event` is not one of ``async_events``.
            ArgumentValueError: `event` is not in snake_case.
        """
        return self._register(event, listener, once=False, prepend=False)

    @overload
    def once(self: E, event: str, listener: Listener) -> E: ...
    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    def once(self, event: str, listener: object = _MISSING) -> object:
        """Like :meth:`on`, for the next emission only; removed before it is called."""
        return self._register(event, listener, once=True, prepend=False)

    @overload
    def prepend_listener(self: E, event: str, listener: Listener) -> E: ...
    @overload
    def prepend_listener(self, event: str) -> Callable[[F], F]: ...
    def prepend_listener(self, event: str, listener: object = _MISSING) -> object:
        """Like :meth:`on`, but called before those already there."""
        return self._register(event, listener, once=False, prepend=True)

    @overload
    def prepend_once_listener(self: E, event: str, listener: Listener) -> E: ...
    @overload
    def prepend_once_listener(self, event: str) -> Callable[[F], F]: ...
    def prepend_once_listener(self, event: str, listener: object = _MISSING) -> object:
        """Like :meth:`once`, but called before those already there."""
        return self._register(event, listener, once=True, prepend=True)

    def off(self: E, event: str, listener: Listener) -> E:
        """Remove `listener`: of several equal ones, the one added last. Unknown ones are ignored."""
        listeners = self._listeners
        if listeners is not None:
            entries = listeners.get(event, ())
            for index in range(len(entries) - 1, -1, -1):
                entry = entries[index]
                # Equality, not identity: each access to ``obj.method`` makes a new bound method.
                if (entry.listener if type(entry) is _Once else entry) == listener:
                    self._remove_at(event, index)
                    break
        return self

    remove_listener = off

    def emit(self, event: str, *args: Any) -> bool:
        """Call the listeners of `event` with `args`, in order.

        Returns:
            True if there was one.

        Raises:
            BaseException: what a listener raises; and for the event ``"error"``
                without a listener the error itself (``ERR_UNHANDLED_ERROR`` if
                what was emitted is no exception).
            ArgumentTypeError: a listener returned a coroutine (which is closed).
        """
        listeners = self._listeners
        if listeners is None or (entries := listeners.get(event)) is None:
            if event == "error":
                _raise_unhandled(args)
            return False
        for entry in entries:
            if type(entry) is _Once:
                if entry.called:
                    continue
                self._spend(event, entry)
                result = entry.listener(*args)
            else:
                result = entry(*args)  # type: ignore[operator]  # mypy does not narrow by type()
            if type(result) is CoroutineType:
                result.close()
                raise ArgumentTypeError(
                    f'The listener of "{event}" returned a coroutine, which nobody awaits here; use a plain function'
                )
        return True

    def take_listeners(self, event: str) -> tuple[Listener, ...]:
        """What :meth:`emit` would call now, with those added by ``once`` used up.

        For classes that await the listeners of their ``async_events`` themselves.
        """
        listeners = self._listeners
        if listeners is None or (entries := listeners.get(event)) is None:
            return ()
        for entry in entries:
            if type(entry) is _Once:
                break
        else:
            return entries  # type: ignore[return-value]  # nothing else is in it; asked for each request
        taken: list[Listener] = []
        for entry in entries:
            if isinstance(entry, _Once):
                self._spend(event, entry)
                entry = entry.listener
            taken.append(entry)
        return tuple(taken)

    def listener_count(self, event: str) -> int:
        """The number of listeners of `event`."""
        listeners = self._listeners
        return 0 if listeners is None else len(listeners.get(event, ()))

    def listeners(self, event: str) -> list[Listener]:
        """A copy of the listeners of `event` in calling order, without wrappers."""
        entries = (self._listeners or {}).get(event, ())
        return [entry.listener if isinstance(entry, _Once) else entry for entry in entries]

    def remove_all_listeners(self: E, event: str | None = None) -> E:
        """Remove the listeners of `event`, or all there are if it is None."""
        if self._listeners is not None:
            if event is None:
                self._listeners = None
            else:
                self._listeners.pop(event, None)
        return self

    def event_names(self) -> list[str]:
        """The events that have listeners, in the order in which they got their first one."""
        return list(self._listeners or ())

    # Every registration passes here: a subclass that must notice one overrides this one method.
    def _add_listener(self, event: str, listener: Listener, *, once: bool, prepend: bool) -> None:
        entry = _Once(listener) if once else listener
        listeners = self._listeners
        if listeners is None:
            self._listeners = {event: (entry,)}
            return
        entries = listeners.get(event, ())
        listeners[event] = (entry, *entries) if prepend else (*entries, entry)

    def _register(self, event: str, listener: object, *, once: bool, prepend: bool) -> object:
        if not isinstance(event, str):
            raise ArgumentTypeError(f'The "event" argument must be of type str. Received {type(event).__name__}')
        if event != event.lower():
            snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", event).lower()
            raise ArgumentValueError(f'Event names are in snake_case: "{snake}", not "{event}"')
        if isinstance(listener, _Missing):

            def decorate(function: F) -> F:
                self._register(event, function, once=once, prepend=prepend)
                return function

            return decorate
        if not callable(listener):
            raise ArgumentTypeError(f'The "listener" argument must be callable. Received {type(listener).__name__}')
        if event not in self.async_events and _is_async(listener):
            raise ArgumentTypeError(
                f'The "listener" argument for the event "{event}" must be a plain function: '
                "its result is not awaited, so a coroutine function would never run"
            )
        self._add_listener(event, listener, once=once, prepend=prepend)
        return self

    def _spend(self, event: str, entry: _Once) -> None:
        """Remove a once-listener that is about to be called."""
        entry.called = True
        entries = (self._listeners or {}).get(event, ())
        for index, other in enumerate(entries):
            if other is entry:
                self._remove_at(event, index)
                return

    def _remove_at(self, event: str, index: int) -> None:
        listeners = self._listeners
        assert listeners is not None, "the caller found an entry in it"
        entries = listeners[event]
        if len(entries) == 1:
            # Nothing is left behind, so that ``event in listeners`` means "has a listener".
            del listeners[event]
        else:
            listeners[event] = entries[:index] + entries[index + 1 :]


def _is_async(listener: Callable[..., object]) -> bool:
    """Does calling `listener` make a coroutine or an asynchronous generator?"""
    if type(listener) is FunctionType:  # by far the most common, and 20 times cheaper than asking inspect
        return bool(listener.__code__.co_flags & _ASYNC_FLAGS)
    if isinstance(listener, type):  # calling a class makes an instance, whatever its __call__ is
        return False
    return any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each)
        for each in (listener, getattr(type(listener), "__call__", None))
    )


def _raise_unhandled(args: tuple[Any, ...]) -> None:
    if args and isinstance(args[0], BaseException):
        raise args[0]
    raise LocalError(f"Unhandled error. ({args[0]!r})" if args else "Unhandled error.", code="ERR_UNHANDLED_ERROR")
