"""What a case hands to the application beside plain values."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["Aborter", "Delegate", "Given", "GivenError", "Sink", "unresolved"]


class Given(dict[str, Any]):
    """A mapping of options that has more than it holds, if it is asked (MOD-30)."""

    def __init__(self, own: dict[str, Any], inherited: dict[str, Any]) -> None:
        super().__init__(own)
        self._inherited = inherited

    def __missing__(self, key: str) -> Any:
        return self._inherited[key]


class GivenError(Exception):
    """``{"$error": [code, message]}``: an error of the application's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Aborter:
    """What the option ``signal`` takes, and who fires it: Node's ``AbortController`` and its signal in one."""

    def __init__(self) -> None:
        self.aborted = False
        self._listeners: list[Callable[[], object]] = []

    def once(self, event: str, listener: Callable[[], object]) -> None:
        """Call `listener` when it is fired; there is no other event."""
        self._listeners.append(listener)

    def abort(self) -> None:
        """Fire."""
        self.aborted = True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()


class Delegate:
    """An agent of the application's own: nothing but ``add_request``, which hands on to another one."""

    def __init__(self, agent: Any, log: Any, name: str) -> None:
        self._agent = agent
        self._log = log
        self._name = name

    def add_request(self, request: Any, options: Any) -> None:
        """Hand it on, if there is anybody."""
        self._log.add(f"{self._name} add_request {request.method} {request.path}")
        if self._agent is not None:
            self._agent.add_request(request, options)


class Sink:
    """Something that can be written to, and keeps it."""

    def __init__(self) -> None:
        self.text = b""

    def write(self, data: bytes) -> bool:
        """Keep `data`."""
        self.text += data
        return True

    def end(self) -> None:
        """Nothing more comes."""


def unresolved(host: str, options: object) -> NoReturn:
    """``{"$unresolved": true}``: a ``lookup`` that says there is no such host, as the resolver of the system would."""
    raise socket.gaierror(socket.EAI_NONAME, f"nobody is called {host}")
