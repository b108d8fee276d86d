"""What the values in a case mean: JSON with its ``$`` forms, which the README lists, and ``PORT``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backends import Backend, drive, settle
from .folders import certificate
from .language import Operation, Program, Section
from .observing import Log, describe_event, shown
from .scopes import Scope
from .things import GivenError, unresolved

__all__ = ["Values"]


class Values:
    """The part of an application that says what values are.

    Attributes:
        backend: where it runs.
        modules: its ``http`` and ``https``, by name.
        module: which of them goes without saying.
        program: the case's.
        log: the case's.
        port: what ``PORT`` stands for.
        scope: what names mean outside of a handler.
    """

    backend: Backend
    modules: dict[str, Any]
    module: str
    program: Program
    log: Log
    port: int
    scope: Scope
    _functions: dict[str, Callable[..., Any]]

    async def perform(self, section: Section, scope: Scope) -> Any:
        """Carry out the operations of a section."""
        raise NotImplementedError

    def _value(self, value: Any, scope: Scope | None = None) -> Any:
        """A JSON value with its ``$`` forms and ``PORT`` filled in."""
        if isinstance(value, str):
            return self.port if value == "PORT" else value.replace("PORT", str(self.port))
        if isinstance(value, list):
            return [self._value(each, scope) for each in value]
        if not isinstance(value, dict):
            return value
        if "$bytes" in value:
            return value["$bytes"].encode("latin-1")
        if "$repeat" in value:
            text, count = value["$repeat"]
            return text * count
        if "$pem" in value:
            return certificate(value["$pem"])
        if "$inf" in value:
            return float("inf")
        if "$error" in value:
            return GivenError(*value["$error"])
        if "$subclass" in value:
            return self._subclass(value["$subclass"])
        if "$note" in value:
            return self._noting(value["$note"])
        if "$never" in value:
            return self.backend.hook(self._never)
        if "$unresolved" in value:
            return unresolved
        if "$gives" in value:
            return lambda *_: (scope or self.scope).look_up(tuple(value["$gives"].split(".")))
        if "$function" in value:
            return self._function(self.program.functions[value["$function"]])
        if "$name" in value:
            return (scope or self.scope).look_up(tuple(value["$name"].split(".")))
        if "$path" in value:
            return self.backend.world.path(value["$path"])
        if "$file" in value:
            return self.backend.world.path(value["$file"], there=True)
        return {self._value(name): self._value(each, scope) for name, each in value.items()}

    async def _never(self, *_: Any) -> None:
        await settle(self.backend.flag().wait())

    def _named(self, operation: Operation, scope: Scope) -> dict[str, Any]:
        return {name: self._value(value, scope) for name, value in operation.named.items()}

    def _function(self, section: Section) -> Callable[..., Any]:
        """What a ``function`` or ``async`` section is to whoever calls it: the same each time, so it can be removed."""

        async def call(*args: Any) -> Any:
            return await self.perform(section, self.scope.inner(dict(zip(section.words[1:], args, strict=False)), {}))

        made = self.backend.hook(call) if section.kind == "async" else lambda *args: drive(call(*args))
        return self._functions.setdefault(section.words[0], made)

    def _noting(self, words: str) -> Callable[..., None]:
        def note(*args: Any) -> None:
            numbers = [shown(each) for each in args if type(each) is int]
            self.log.add(" ".join([describe_event(f"note {words}", args), *numbers]))

        return note

    def _subclass(self, name: str) -> type[Any]:
        base = getattr(self.modules[self.module], name)
        log = self.log

        def init(self: Any, *args: Any) -> None:
            log.add(f"note a {name} is made")
            base.__init__(self, *args)

        return type(name, (base,), {"__init__": init})
