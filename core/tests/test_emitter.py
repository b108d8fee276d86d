"""The emitter: Node's order and snapshot rules (spec/pythonic.md, "emitter"), Python's traps closed."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from anywire.core._emitter import Emitter
from anywire.core._errors import ArgumentTypeError, ArgumentValueError, LocalError


class Plain(Emitter):
    __slots__ = ()


class Hooked(Emitter):
    __slots__ = ()
    async_events: ClassVar[frozenset[str]] = frozenset({"request"})


def test_no_listener_costs_a_slot_that_is_none() -> None:
    thing = Plain()
    assert thing._listeners is None
    assert thing.emit("x", 1) is False
    assert thing.listener_count("x") == 0
    assert thing.listeners("x") == []
    assert thing.event_names() == []
    assert thing.take_listeners("x") == ()
    assert thing.remove_all_listeners() is thing
    assert thing.off("x", print) is thing
    assert not hasattr(thing, "__dict__")


def test_listeners_are_called_in_order_with_the_arguments() -> None:
    seen: list[object] = []
    thing = Plain()
    assert thing.on("x", lambda *args: seen.append(("a", args))) is thing
    thing.on("x", lambda *args: seen.append(("b", args)))
    thing.prepend_listener("x", lambda *args: seen.append(("first", args)))
    assert thing.emit("x", 1, "two") is True
    assert seen == [("first", (1, "two")), ("a", (1, "two")), ("b", (1, "two"))]


def test_the_same_listener_twice_is_called_twice_and_removed_one_at_a_time() -> None:
    seen: list[int] = []
    thing = Plain().on("x", seen.append).on("x", seen.append)
    thing.emit("x", 1)
    thing.off("x", seen.append)
    thing.emit("x", 2)
    thing.remove_listener("x", seen.append)
    assert thing.emit("x", 3) is False
    assert seen == [1, 1, 2]


def test_off_removes_the_one_added_last() -> None:
    seen: list[str] = []

    def a() -> None:
        seen.append("a")

    def b() -> None:
        seen.append("b")

    thing = Plain().on("x", a).on("x", b).on("x", a)
    thing.off("x", a)
    thing.emit("x")
    assert seen == ["a", "b"]
    thing.off("x", print)  # unknown: ignored
    assert thing.listeners("x") == [a, b]


def test_off_finds_bound_methods_and_once_listeners() -> None:
    class Thing:
        def method(self) -> None:
            raise AssertionError("was removed")

    target = Thing()
    thing = Plain().on("x", target.method).once("x", target.method)
    thing.off("x", target.method).off("x", target.method)
    assert thing.listener_count("x") == 0


def test_once_is_removed_before_it_is_called() -> None:
    thing = Plain()
    counts: list[int] = []
    thing.once("x", lambda: counts.append(thing.listener_count("x")))
    assert thing.emit("x") is True
    assert thing.emit("x") is False
    assert counts == [0]


def test_once_that_emits_again_is_not_called_again() -> None:
    thing = Plain()
    seen: list[str] = []

    def outer() -> None:
        seen.append("outer")
        thing.off("x", outer)
        thing.emit("x")

    thing.on("x", outer)
    thing.once("x", lambda: seen.append("once"))
    thing.emit("x")
    # The nested emission called it; the outer one, whose snapshot still holds it, must not.
    assert seen == ["outer", "once"]


def test_prepend_once_listener() -> None:
    seen: list[str] = []
    thing = Plain().on("x", lambda: seen.append("on"))
    thing.prepend_once_listener("x", lambda: seen.append("first"))
    thing.emit("x")
    thing.emit("x")
    assert seen == ["first", "on", "on"]


def test_emitting_goes_over_a_snapshot() -> None:
    thing = Plain()
    seen: list[str] = []

    def removed() -> None:
        seen.append("removed")

    def first() -> None:
        seen.append("first")
        thing.off("x", removed)
        thing.on("x", lambda: seen.append("added"))

    thing.on("x", first).on("x", removed)
    thing.emit("x")
    assert seen == ["first", "removed"]
    thing.off("x", first)
    thing.emit("x")
    assert seen == ["first", "removed", "added"]


def test_remove_all_during_an_emission() -> None:
    thing = Plain()
    seen: list[str] = []
    thing.on("x", lambda: thing.remove_all_listeners())
    thing.once("x", lambda: seen.append("still in the snapshot"))
    thing.emit("x")
    assert seen == ["still in the snapshot"]
    assert thing.event_names() == []


def test_decorator_forms() -> None:
    thing = Plain()
    seen: list[str] = []

    @thing.on("x")
    def each() -> None:
        seen.append("each")

    @thing.once("x")
    def single() -> None:
        seen.append("single")

    @thing.prepend_listener("x")
    def before() -> None:
        seen.append("before")

    @thing.prepend_once_listener("x")
    def before_once() -> None:
        seen.append("before_once")

    thing.emit("x")
    thing.emit("x")
    assert seen == ["before_once", "before", "each", "single", "before", "each"]
    assert each.__name__ == "each"


def test_listeners_and_names() -> None:
    thing = Plain().once("b", print).on("a", repr).on("b", repr)
    assert thing.listeners("b") == [print, repr]
    assert thing.event_names() == ["b", "a"]
    thing.remove_all_listeners("b")
    assert thing.event_names() == ["a"]
    thing.remove_all_listeners("unknown")
    thing.off("a", repr)
    assert thing.event_names() == []


def test_an_error_without_listener_is_raised() -> None:
    # spec/README.md, "Errors": an error event with no listener is an uncaught exception.
    thing = Plain()
    boom = ConnectionResetError("boom")
    with pytest.raises(ConnectionResetError) as caught:
        thing.emit("error", boom)
    assert caught.value is boom
    thing.on("other", print)
    with pytest.raises(ConnectionResetError):
        thing.emit("error", boom)
    with pytest.raises(LocalError) as unhandled:
        thing.emit("error", "text")
    assert unhandled.value.code == "ERR_UNHANDLED_ERROR"
    with pytest.raises(LocalError):
        thing.emit("error")
    seen: list[object] = []
    thing.on("error", seen.append)
    assert thing.emit("error", boom) is True
    assert seen == [boom]


def test_an_exception_leaves_emit_and_stops_it() -> None:
    seen: list[str] = []

    def bad() -> None:
        raise KeyError("mine")

    thing = Plain().once("x", bad).on("x", lambda: seen.append("after"))
    with pytest.raises(KeyError):
        thing.emit("x")
    assert seen == []
    assert thing.emit("x") is True
    assert seen == ["after"]


@pytest.mark.parametrize("listener", [None, 5, "f", {}])
@pytest.mark.parametrize("method", ["on", "once", "prepend_listener", "prepend_once_listener"])
def test_a_listener_must_be_callable(method: str, listener: object) -> None:
    thing = Plain()
    with pytest.raises(ArgumentTypeError, match='"listener"') as caught:
        getattr(thing, method)("x", listener)
    assert caught.value.code == "ERR_INVALID_ARG_TYPE"
    assert thing.event_names() == []


async def coroutine_function() -> None:
    raise AssertionError("never called")


async def generator_function() -> AsyncIterator[int]:
    yield 1


class AsyncCallable:
    async def __call__(self) -> None:
        raise AssertionError("never called")

    async def method(self) -> None:
        raise AssertionError("never called")


@pytest.mark.parametrize(
    "listener",
    [
        coroutine_function,
        generator_function,
        AsyncCallable(),
        AsyncCallable().method,
        functools.partial(coroutine_function),
    ],
)
def test_coroutine_functions_are_refused_at_registration(listener: object) -> None:
    thing = Hooked()
    with pytest.raises(ArgumentTypeError, match='"response"') as caught:
        thing.on("response", listener)  # type: ignore[call-overload]
    assert caught.value.code == "ERR_INVALID_ARG_TYPE"
    thing.on("request", listener)  # type: ignore[call-overload]  # one that the class awaits itself
    assert thing.listeners("request") == [listener]


def test_a_class_is_a_plain_callable() -> None:
    # Calling AsyncCallable makes an instance, not a coroutine.
    thing = Plain().on("x", AsyncCallable)
    assert thing.emit("x") is True


def test_a_hidden_coroutine_is_found_when_it_is_returned() -> None:
    thing = Plain().on("x", lambda: coroutine_function())
    # A coroutine left alone would warn "never awaited", which the configuration turns into a failure.
    with pytest.raises(ArgumentTypeError, match='"x"'):
        thing.emit("x")


def test_camel_case_is_refused_with_the_right_name() -> None:
    with pytest.raises(ArgumentValueError, match='"check_continue"'):
        Plain().on("checkContinue", print)
    with pytest.raises(ArgumentTypeError, match='"event"'):
        Plain().on(5, print)  # type: ignore[call-overload]


def test_take_listeners_uses_up_the_once_listeners() -> None:
    thing = Hooked().once("request", coroutine_function).on("request", print)
    assert thing.take_listeners("request") == (coroutine_function, print)
    assert thing.take_listeners("request") == (print,)
    assert thing.take_listeners("other") == ()


def test_a_subclass_sees_every_registration() -> None:
    seen: list[str] = []

    class Watching(Emitter):
        __slots__ = ()

        def _add_listener(self, event: str, listener: object, *, once: bool, prepend: bool) -> None:
            seen.append(event)
            super()._add_listener(event, listener, once=once, prepend=prepend)  # type: ignore[arg-type]

    thing = Watching().on("a", print).once("b", print).prepend_listener("c", print)
    thing.prepend_once_listener("d", print)
    assert seen == ["a", "b", "c", "d"]
    assert thing.event_names() == ["a", "b", "c", "d"]
