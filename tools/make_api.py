#!/usr/bin/env python3
"""Write down the public API of every package, one line for each name: docs/api.txt.

Usage: ``tools/make_api.py`` writes the file, ``tools/make_api.py --print`` prints it.

It is the same under every Python, platform and hash seed: nothing is asked of a value but what kind of thing it is, and
annotations stand as they are written.

An object is described where it is met first, in the order of :data:`MODULES`; elsewhere stands ``= its.place``. What a
class has from another that is described is said there. So what the backends have in common is written once: their
modules refer to the facades.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PAGE: Final = Path(__file__).parents[1] / "docs" / "api.txt"
BACKENDS: Final = ("asyncio", "trio", "sync", "gevent")
MODULES: Final = [
    "anywire.core",
    "anywire.core.memory",
    *(f"anywire.core.facade{colour}" for colour in ("", ".awaiting", ".blocking")),
    *(f"anywire.{backend}{module}" for module in ("", ".http", ".https") for backend in BACKENDS),
    *(f"anywire.conformance.{name}" for name in ("sim", "sim.http", "sim.https", "sim.sweep")),
    *(f"anywire.conformance.{name}" for name in ("backends", "awaiting", "blocking", "cases", "running", "verdicts")),
    "anywire.conformance.pytest_plugin",
    "anywire.cli",
]
"""Those that are documented, lower layers first; their ``__all__`` says what is public."""

HEAD: Final = """\
The public API of every package. `make api` writes it, packages/anywire/tests/test_api.py holds the code against it:
something that is taken away needs a minor release in which it warns.

A default is only said to be there (= ...). "async" is a coroutine function, "= x" the same object as x. What a class
has from a class in its parentheses is said there.\
"""

SPECIAL: Final = {
    "__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__", "__call__", "__enter__", "__exit__", "__init__",
    "__iter__", "__len__", "__next__",
}  # fmt: skip


class Listing:
    """What modules offer, as lines. Modules that offer the same stand together.

    Args:
        modules: lower layers first.
    """

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._places: dict[object, str] = {}
        self.groups: dict[tuple[str, ...], list[str]] = {}
        modules = list(modules)
        for module in modules:
            for name in module.__all__:
                value = getattr(module, name)
                if inspect.isclass(value) or inspect.isfunction(value):
                    self._places.setdefault(value, f"{module.__name__}.{name}")
        for module in modules:
            lines = [line for name in sorted(module.__all__) for line in self._offered(module, name)]
            self.groups.setdefault(tuple(lines), []).append(module.__name__)

    def _offered(self, module: ModuleType, name: str) -> Iterator[str]:
        place, value = f"{module.__name__}.{name}", getattr(module, name)
        home = self._places.get(value, place) if inspect.isclass(value) or inspect.isfunction(value) else place
        if home != place:
            yield f"{name} = {home}"
        elif inspect.isclass(value):
            yield from self._class(name, value)
        else:
            yield described(name, value)

    def _class(self, name: str, owner: type) -> Iterator[str]:
        bases = [each for each in owner.__mro__[1:] if each in self._places or each.__module__ == "builtins"]
        nearest = [each for each in bases if not any(each in other.__mro__[1:] for other in bases)]
        shown = ", ".join(self._places.get(each, each.__name__) for each in nearest if each is not object)
        yield f"class {name}({shown})" if shown else f"class {name}"
        fields: tuple[str, ...] = getattr(owner, "_fields", ()) if issubclass(owner, tuple) else ()
        if fields:
            yield f"    fields: {', '.join(fields)}"
        theirs = {entry for base in bases if base in self._places for entry in members(base).items()}
        for member, home in sorted(members(owner).items()):
            if (member, home) not in theirs and member not in fields:
                yield f"    {in_class(home, member)}"


def members(owner: type) -> dict[str, type]:
    """Public members and the class of ours each of them is from; among them what ``__init__`` assigns."""
    found: dict[str, type] = {}
    for base in owner.__mro__:
        if not foreign(base):
            for name in [*vars(base), *inspect.get_annotations(base), *assigned(base)]:
                if (name in SPECIAL or not name.startswith("_")) and not from_typing(vars(base).get(name)):
                    found.setdefault(name, base)
    return found


def from_typing(value: object) -> bool:
    """Is it what ``Protocol`` puts into a class?"""
    return getattr(value, "__module__", "") == "typing"


def foreign(owner: type) -> bool:
    """Is it somebody else's class?"""
    return not owner.__module__.startswith("anywire")


def assigned(owner: type) -> list[str]:
    """What an ``__init__`` written in this class assigns to ``self``."""
    made = vars(owner).get("__init__")
    if not inspect.isfunction(made) or made.__qualname__ != f"{owner.__qualname__}.__init__" or foreign(owner):
        return []
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(made)))
    except OSError:  # of a dataclass: there is no source, and the annotations say the same
        return []
    return [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    ]


def in_class(owner: type, name: str) -> str:
    """A member in one line, as the class it is from has it."""
    hints = inspect.get_annotations(owner)
    if name in hints:
        return f"{name}: {getattr(hints[name], '__forward_arg__', hints[name])}"
    value = vars(owner).get(name, inspect.Signature.empty)
    if isinstance(value, property):
        writable = "" if value.fset is None else ", may be assigned"
        return f"{name}: {written(inspect.signature(value.fget))[1]} (property{writable})"  # type: ignore[arg-type]
    if value is inspect.Signature.empty or inspect.ismemberdescriptor(value):
        return name
    return described(name, value)


def described(name: str, value: Any) -> str:
    """A function with its parameters; of anything else, what kind of thing it is."""
    if isinstance(value, classmethod | staticmethod):
        return f"{type(value).__name__} {described(name, value.__func__)}"
    if not inspect.isroutine(value):
        kind = "class" if inspect.isclass(value) else "module" if inspect.ismodule(value) else type(value).__name__
        return f"{name}: {kind}"
    parameters, result = written(inspect.signature(value))
    return f"{'async ' if inspect.iscoroutinefunction(value) else ''}{name}({parameters}) -> {result}"


def written(signature: inspect.Signature) -> tuple[str, str]:
    """Parameters and result."""
    found, before = [], None
    for each in signature.parameters.values():
        if before is each.POSITIONAL_ONLY and each.kind is not before:
            found.append("/")
        if each.kind is each.KEYWORD_ONLY and before not in (each.KEYWORD_ONLY, each.VAR_POSITIONAL):
            found.append("*")
        stars = "*" if each.kind is each.VAR_POSITIONAL else "**" if each.kind is each.VAR_KEYWORD else ""
        hint = "" if each.annotation is each.empty else f": {each.annotation}"
        found.append(f"{stars}{each.name}{hint}{'' if each.default is each.empty else ' = ...'}")
        before = each.kind
    if before is inspect.Parameter.POSITIONAL_ONLY:
        found.append("/")
    result = signature.return_annotation
    return ", ".join(found), "?" if result is signature.empty else str(result)


def listing(modules: Iterable[ModuleType] | None = None) -> str:
    """The text of docs/api.txt.

    Args:
        modules: others than :data:`MODULES`.
    """
    if modules is None:
        modules = map(importlib.import_module, MODULES)
    found = [HEAD]
    for lines, names in Listing(modules).groups.items():
        found += ["", *names, *(f"    {line}" for line in lines)]
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        sys.stdout.buffer.write(listing().encode())
    else:
        PAGE.write_text(listing(), "utf-8")
