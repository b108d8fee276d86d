"""The two facades say the same: classes, members, parameters, defaults, docstrings, and line by line what they do.

Colour is all that differs, and what is listed here with its reason. The checks are functions that return what they
found. Run on the facades they must find nothing; run on small wrong samples, the fault.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from anywire.core.facade import awaiting, blocking

FOLDER = Path(awaiting.__file__).parent.parent

CLASSES = ["Agent", "Api", "ClientRequest", "IncomingMessage", "SecureAgent", "Server", "ServerResponse", "Socket"]
"""What users hold."""

HANDED_IN = {
    "AwaitingPump", "Hold", "Listener", "Loop", "LoopPump", "LoopRuntime", "Parking", "Resolver", "Runtime",
    "SocketConnector", "Waiter",
}  # fmt: skip
"""What a backend hands in, in its colour's own shape."""

COLOUR = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "AwaitingPump": "BlockingPump",
    "StopAsyncIteration": "StopIteration",
}

ONLY_AWAITING = {
    "ClientRequest.__await__",  # there is nothing to await
}
ONLY_BLOCKING = {
    "Server.step",  # one turn of serve(): a thread is given back while a connection is idle
}
OTHER_VALUES = {
    "Api.agent_class", "Api.request_class", "Api.secure_agent_class", "Api.server_class",  # each its own
    "ClientRequest.async_events", "Server.async_events",  # hooks are plain functions
    "ClientRequest.message_class", "ClientRequest.socket_class", "Socket.duplex_class",
    "Server.message_class", "Server.response_class", "Server.socket_class",
}  # fmt: skip
OTHER_RESULTS = {
    "Server.__exit__",  # where tasks are structured, their scope may swallow its own cancellation
}

FAIR = "in awaiting runtimes every call may have to be a checkpoint (fairness)"
SETTLED = "a stream's methods need not be coroutines there"
DIFFERENT = {
    "ClientRequest._open": "limits: cancellation there, Connecting here",
    "ClientRequest._pushed": FAIR,
    "ClientRequest._queue": "threads: what was waited for may have happened before there was a waiter",
    "ClientRequest.response": "listeners may be awaited",
    "connect": "limits: Connecting",
    "open_socket": "limits: Connecting",
    "reach": "limits: Connecting; create_connection may be awaited",
    "shake_hands": "limits: Connecting",
    "DuplexPump._carry_in": SETTLED,
    "DuplexPump._carry_out": SETTLED,
    "DuplexPump._close_stream": SETTLED,
    "DuplexPump._spawn": "a coroutine that does not run has to be closed",
    "IncomingMessage.__next__": FAIR,
    "IncomingMessage.read": FAIR,
    "Server.__enter__": "structured tasks",
    "Server.__exit__": "structured tasks",
    "Server._client_error": "listeners may be awaited; step() comes back when the transport is closed",
    "Server._exchange": "listeners may be awaited",
    "Server._gone": "threads: the last connection may have gone before there was a waiter",
    "Server.close": "the listener's threads are joined",
    "Server.dispatch": "listeners may be awaited",
    "Server.serve": "step() instead of a loop",
    "Server.serve_forever": "KeyboardInterrupt arrives in the thread that waits",
    "ServerResponse._drain": FAIR,
    "ServerResponse.end": FAIR,
    "ServerResponse.write": FAIR,
    "Socket.close": FAIR,
    "Socket.receive": FAIR,
    "Socket.send": FAIR,
    "Socket.send_eof": FAIR,
}
"""Functions of both facades that do not say the same, and why."""

WORDS = [
    (r"async with", "with"),
    (r"async for", "for"),
    (r"await ", ""),
    (r"an async context manager", "a context manager"),
    (r"An async context manager", "A context manager"),
    (r"``request`` and ``with", "``request.response()`` and ``with"),  # awaiting a request is awaiting its response
]
"""How a docstring changes with the colour."""


def in_blocking(text: str | None) -> str | None:
    """A docstring of the awaiting facade as the blocking one should have it, on one line."""
    if text is not None:
        for pattern, word in WORDS:
            text = re.sub(pattern, word, text)
    return flat(text)


def flat(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


def members(owner: type) -> dict[str, Any]:
    """What a class has for users, inherited members included, under their blocking names."""
    found = {}
    for name in dir(owner):
        if not name.startswith("_") or name in COLOUR or name in COLOUR.values() or name in ("__init__", "__await__"):
            found[COLOUR.get(name, name)] = inspect.getattr_static(owner, name)
    return found


def kind(value: Any) -> str:
    return "property" if isinstance(value, property) else "function" if inspect.isroutine(value) else "value"


def signature(function: Any) -> list[str]:
    """Parameters and result, one text each."""
    made = inspect.signature(function)
    found = [f"{each.kind.description} {each}" for each in made.parameters.values()]
    return [uncoloured(each) for each in [*found, f"-> {made.return_annotation}"]]


def differences(name: str, one: type, other: type) -> list[str]:
    """Where the awaiting class `one` and the blocking class `other` are not the same, colour aside."""
    found = []
    there, here = members(one), members(other)
    for each in sorted(there.keys() | here.keys()):
        label = f"{name}.{each}"
        if each not in here or each not in there:
            if label not in (ONLY_BLOCKING if each in here else ONLY_AWAITING):
                found.append(f"{label} is only {'blocking' if each in here else 'awaiting'}")
            continue
        first, second = there[each], here[each]
        if first is second:
            continue  # written once
        if kind(first) != kind(second):
            found.append(f"{label}: {kind(first)}, {kind(second)}")
        elif kind(first) == "value":
            if label not in OTHER_VALUES and not inspect.ismemberdescriptor(first) and first != second:
                found.append(f"{label}: {first!r}, {second!r}")
        else:
            if flat(second.__doc__) != in_blocking(first.__doc__):
                found.append(f"{label}: docstring")
            if kind(first) == "property":
                first, second = first.fget, second.fget
            parts = zip_longest(signature(first), signature(second))
            unlike = [f"{label}: {one}, {other}" for one, other in parts if one != other]
            found += [each for each in unlike if "->" not in each or label not in OTHER_RESULTS][:1]
            if inspect.iscoroutinefunction(second):
                found.append(f"{label}: a coroutine function in the blocking one")
    if flat(other.__doc__) != in_blocking(one.__doc__):
        found.append(f"{name}: docstring")
    if [base.__name__ for base in one.__mro__] != [base.__name__ for base in other.__mro__]:
        found.append(f"{name}: bases")
    return found


def functions(text: str) -> Iterator[tuple[str, str]]:
    """The functions of a module and of its classes as code alone, without colour."""
    for owner in ast.parse(text).body:
        for node in owner.body if isinstance(owner, ast.ClassDef) else [owner]:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if ast.get_docstring(node) is not None:
                    node.body = node.body[1:] or [ast.Pass()]
                name = COLOUR.get(node.name, node.name)
                label = name if node is owner else f"{owner.name}.{name}"  # type: ignore[attr-defined]
                yield label, uncoloured(ast.unparse(node))


def uncoloured(code: str) -> str:
    code = re.sub(r"\b(async|await) ", "", code)
    return re.sub(r"\w+", lambda word: COLOUR.get(word[0], word[0]), code)


def disagreements(one: str, other: str) -> set[str]:
    """Functions that stand in both sources and do not say the same."""
    there, here = dict(functions(one)), dict(functions(other))
    return {name for name in there.keys() & here.keys() if there[name] != here[name]}


# ---------------------------------------------------------------------------------------------------- the facades


def test_all_classes_are_compared() -> None:
    public = {name for name in awaiting.__all__ if inspect.isclass(getattr(awaiting, name))}
    assert public == set(CLASSES) | HANDED_IN
    assert set(CLASSES) <= {name for name in blocking.__all__ if inspect.isclass(getattr(blocking, name))}


@pytest.mark.parametrize("name", CLASSES)
def test_same_members_parameters_and_docstrings(name: str) -> None:
    assert differences(name, getattr(awaiting, name), getattr(blocking, name)) == []


@pytest.mark.parametrize("name", CLASSES)
def test_what_is_listed_is_there(name: str) -> None:
    for listed, facade in ((ONLY_AWAITING, awaiting), (ONLY_BLOCKING, blocking), (OTHER_VALUES, blocking)):
        there = {f"{name}.{each}" for each in members(getattr(facade, name))}
        assert {each for each in listed if each.startswith(f"{name}.")} <= there


def test_the_code_says_the_same() -> None:
    found: set[str] = set()
    for path in (FOLDER / "awaiting").glob("*.py"):
        twin = FOLDER / "blocking" / path.name
        if twin.exists() and path.name not in ("__init__.py", "_runtime.py"):
            found |= disagreements(path.read_text("utf-8"), twin.read_text("utf-8"))
    assert found == set(DIFFERENT)


@pytest.mark.parametrize("path", sorted((FOLDER / "blocking").glob("*.py")), ids=lambda path: path.name)
def test_nothing_awaits_in_the_blocking_one(path: Path) -> None:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, kinds)] == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_what_is_shared_has_no_colour(path: Path) -> None:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    tree = ast.parse(path.read_text("utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, kinds)] == []
    waits = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "wait"]
    assert waits == []


def test_blocking_hooks_are_plain_functions() -> None:
    async def hook(req: Any, res: Any) -> None: ...

    api = blocking.Api(lambda: None, lambda: 0.0)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match="plain function"):
        api.create_server(hook)


# ---------------------------------------------------------------------------------------------------- the checks


class Awaits:
    """An async context manager."""

    async def send(self, data: bytes, *, limit: float | None = None) -> int:
        """Send `data` with ``await send()``."""
        return 0

    @property
    def size(self) -> int:
        """Bytes."""
        return 0

    async def __aenter__(self) -> None: ...


def blocks(body: str, doc: str = "A context manager.") -> type:
    """A class in the other colour."""
    text = f'from __future__ import annotations\nclass Blocks:\n    """{doc}"""\n{body}'
    made: dict[str, Any] = {}
    exec(text, made)
    found: type = made["Blocks"]
    return found


SEND = """
    def send(self, data: bytes, *, limit: float | None = None) -> int:
        "Send `data` with ``send()``."
"""
SIZE = """
    @property
    def size(self) -> int:
        "Bytes."
"""
ENTER = "    def __enter__(self) -> None: ...\n"
ALL = SEND + SIZE + ENTER


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (ALL, ""),
        (SEND + SIZE, "__enter__ is only awaiting"),
        (ALL + "    def more(self) -> None: ...\n", "more is only blocking"),
        (ALL.replace("data:", "chunk:"), "send: positional or keyword data"),
        (ALL.replace("None = None", "None = 1.0"), "send: keyword-only limit"),
        (ALL.replace("*, ", ""), "send: keyword-only limit"),
        (ALL.replace("bytes", "str"), "send: positional or keyword data"),
        (ALL.replace(", *, limit: float | None = None", ""), "send: keyword-only limit"),
        (ALL.replace('-> int:\n        "Send', '-> str:\n        "Send'), "send: -> int, -> str"),
        (ALL.replace("Send", "Sends"), "send: docstring"),
        (ALL.replace("def send", "async def send"), "send: a coroutine function"),
        (ALL.replace("@property", ""), "size: property, function"),
        (SEND + "    size = 1\n" + ENTER, "size: property, value"),
    ],
)
def test_a_difference_is_found(body: str, fault: str) -> None:
    found = [each for each in differences("X", Awaits, blocks(body)) if each != "X: bases"]
    assert len(found) == bool(fault), found
    assert not fault or found[0].startswith(f"X.{fault}")


def test_another_docstring_of_the_class_is_found() -> None:
    assert "X: docstring" in differences("X", Awaits, blocks(ALL, "An async context manager."))
    assert "X: docstring" not in differences("X", Awaits, blocks(ALL))


def test_another_base_is_found() -> None:
    assert "X: bases" in differences("X", Awaits, blocks(ALL))
    assert "X: bases" not in differences("X", Awaits, type("Awaits", (), dict(vars(Awaits))))


def test_another_value_is_found() -> None:
    one, other = type("V", (), {"LIMIT": 1}), type("V", (), {"LIMIT": 2})
    assert differences("V", one, other) == ["V.LIMIT: 1, 2"]


def test_other_code_is_found() -> None:
    one = """
class A:
    async def go(self):
        'Go, and await.'
        async with a:
            async for x in y:
                await f()
"""
    other = one.replace("async ", "").replace("await ", "").replace("'Go, and .'", "'Go.'")
    assert disagreements(one, other) == set()
    for word, instead in (("f()", "g()"), ("self", "self, b=1"), ("with a", "with b"), ("for x", "while x == 1 or x")):
        assert disagreements(one, other.replace(word, instead)) == {"A.go"}, word
