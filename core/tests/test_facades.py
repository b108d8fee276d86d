"""The two facades say the same: classes, methods, parameters, defaults and docstrings; colour is all that differs."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from anywire.core.facade import awaiting, blocking

FOLDER = Path(awaiting.__file__).parent.parent

CLASSES = ["Agent", "Api", "ClientRequest", "IncomingMessage", "SecureAgent", "Server", "ServerResponse", "Socket"]
"""What users hold. What a backend hands in (pump, waiter, runtime) has its colour's own shape."""

COLOUR = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}

ONLY_AWAITING = {
    "ClientRequest.__await__",  # there is nothing to await
}
ONLY_BLOCKING = {
    "Server.step",  # one turn of serve(): a thread is given back while a connection is idle
}
OTHER_ATTRIBUTES = {
    "Api": {"agent_class", "secure_agent_class", "request_class", "server_class"},  # threads have classes of their own
    "ClientRequest": {"async_events"},  # hooks are plain functions
    "Server": {"async_events"},
}

WORDS = [
    (r"async with", "with"),
    (r"async for", "for"),
    (r"await ", ""),
    (r"an async context manager", "a context manager"),
    (r"An async context manager", "A context manager"),
    (r"``request`` and ``with", "``request.response()`` and ``with"),  # awaiting a request is awaiting its response
    (r"for ``async def``", ""),
]
"""How a docstring changes with the colour."""


def in_blocking(text: str | None) -> str | None:
    """A docstring of the awaiting facade as the blocking one should have it."""
    if text is not None:
        for pattern, word in WORDS:
            text = re.sub(pattern, word, text)
        text = " ".join(text.split())
    return text


def flat(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def members(owner: type) -> dict[str, Any]:
    """What a facade class itself defines for users: methods and properties."""
    return {
        COLOUR.get(name, name): value
        for name, value in vars(owner).items()
        if (not name.startswith("_") or name in COLOUR or name in COLOUR.values() or name == "__await__")
        and (inspect.isfunction(value) or isinstance(value, property))
    }


def parameters(function: Any) -> list[tuple[str, object, object, str]]:
    if isinstance(function, property):
        return []
    return [
        (name, each.kind, each.default, str(each.annotation))
        for name, each in inspect.signature(function).parameters.items()
    ]


def pairs() -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in CLASSES:
        one, other = members(getattr(awaiting, name)), members(getattr(blocking, name))
        found += [(f"{name}.{each}", one[each], other[each]) for each in one if each in other]
    return found


def test_all_classes_are_compared() -> None:
    public = {name for name in awaiting.__all__ if inspect.isclass(getattr(awaiting, name))}
    assert public - set(CLASSES) <= {
        "AwaitingPump",
        "Hold",
        "Listener",
        "Resolver",
        "Runtime",
        "SocketConnector",
        "Waiter",
    }


@pytest.mark.parametrize("name", CLASSES)
def test_same_methods(name: str) -> None:
    one, other = getattr(awaiting, name), getattr(blocking, name)
    there = {f"{name}.{each}" for each in members(one)} - ONLY_AWAITING
    here = {f"{name}.{each}" for each in members(other)} - ONLY_BLOCKING
    if name == "Agent":  # the core's ClientAgent has the awaiting colour's
        there |= {"Agent.__enter__", "Agent.__exit__"}
    assert here == there


@pytest.mark.parametrize("name", CLASSES)
def test_same_bases_and_attributes(name: str) -> None:
    one, other = getattr(awaiting, name), getattr(blocking, name)
    assert [base.__name__ for base in one.__mro__] == [base.__name__ for base in other.__mro__]

    def plain(owner: type) -> set[str]:
        methods = set(members(owner))
        return {
            each
            for each, value in vars(owner).items()
            if not each.startswith("_") and each not in methods and not inspect.ismemberdescriptor(value)
        } - OTHER_ATTRIBUTES.get(name, set())

    assert plain(one) == plain(other)
    slots = {each for each in getattr(one, "__slots__", ()) if not each.startswith("_")}
    slots -= OTHER_ATTRIBUTES.get(name, set())
    assert slots == {each for each in getattr(other, "__slots__", ()) if not each.startswith("_")}


@pytest.mark.parametrize(("name", "one", "other"), pairs(), ids=lambda value: value if isinstance(value, str) else "")
def test_same_parameters(name: str, one: Any, other: Any) -> None:
    def recolour(found: list[tuple[str, object, object, str]]) -> list[tuple[str, object, object, str]]:
        return [(each[0], each[1], each[2], each[3].replace("AwaitingPump", "BlockingPump")) for each in found]

    assert recolour(parameters(one)) == recolour(parameters(other))
    assert isinstance(one, property) == isinstance(other, property)


@pytest.mark.parametrize(("name", "one", "other"), pairs(), ids=lambda value: value if isinstance(value, str) else "")
def test_same_docstrings(name: str, one: Any, other: Any) -> None:
    assert flat(other.__doc__) == in_blocking(one.__doc__)


@pytest.mark.parametrize("name", CLASSES)
def test_same_class_docstrings(name: str) -> None:
    assert flat(getattr(blocking, name).__doc__) == in_blocking(getattr(awaiting, name).__doc__)


@pytest.mark.parametrize("path", sorted((FOLDER / "blocking").glob("*.py")), ids=lambda path: path.name)
def test_nothing_awaits_in_the_blocking_one(path: Path) -> None:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds)] == []


def test_blocking_hooks_are_plain_functions() -> None:
    async def hook(req: Any, res: Any) -> None: ...

    api = blocking.Api(lambda: None, lambda: 0.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="plain function"):
        api.create_server(hook)
