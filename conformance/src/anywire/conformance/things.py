"""What a case hands to the application beside plain values."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import NoReturn

__all__ = ["Aborter", "GivenError", "Sink", "unresolved"]


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
