"""What names mean while an application runs."""

from __future__ import annotations

from typing import Any

from .errors import ScenarioError

__all__ = ["Scope"]


class Scope:
    """What names mean. `labels` are the names under which things stand in the log."""

    __slots__ = ("labels", "names")

    def __init__(self, names: dict[str, Any], labels: dict[str, str]) -> None:
        self.names = names
        self.labels = labels

    def inner(self, names: dict[str, Any], labels: dict[str, str]) -> Scope:
        """This scope and more."""
        return Scope({**self.names, **names}, {**self.labels, **labels})

    def look_up(self, path: tuple[str, ...]) -> Any:
        """The object a dotted name means."""
        if path[0] not in self.names:
            raise ScenarioError(f"nothing is called {path[0]!r} here; there are {', '.join(sorted(self.names))}")
        value = self.names[path[0]]
        for name in path[1:]:
            value = value[name] if isinstance(value, dict) else getattr(value, name)
        return value

    def label(self, path: tuple[str, ...]) -> str:
        """How it is called in the log."""
        return ".".join((self.labels.get(path[0], path[0]), *path[1:]))
