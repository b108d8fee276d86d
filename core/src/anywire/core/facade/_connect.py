"""Connect: a plan of connecting, carried out up to the next thing that takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import AnywireError, os_error
from .._plans import Attempt, Race, Resolve, connect_path_plan, connect_plan

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from ._runtime import Runtime

__all__ = ["Connect", "connect_error"]


class Connect:
    """A context manager: however it is left, no handle survives but the winner.

    While there is a `step`, the facade takes it, and answers with :meth:`send` or :meth:`throw`::

        with Connect(runtime, wanted) as plan:
            while (step := plan.step) is not None:
                ...
        return plan.winner

    Args:
        runtime: starts attempts and discards handles.
        wanted: connection options.

    Attributes:
        step: what to wait for; None at the end.
        winner: the handle that is connected.

    Raises:
        ConnectError: nothing could be reached; from whatever leads to that.
    """

    __slots__ = ("_handles", "_last", "_plan", "_runtime", "_wanted", "step", "winner")

    def __init__(self, runtime: Runtime, wanted: dict[str, Any]) -> None:
        self._runtime = runtime
        self._wanted = wanted
        self._handles: list[Any] = []
        self._last: Any = None
        self.step: Resolve | Race | None = None
        self.winner: Any = None
        if path := wanted.get("path"):
            self._plan = connect_path_plan(path)
        else:
            self._plan = connect_plan(
                wanted["host"],
                wanted["port"],
                family=wanted.get("family"),
                lookup=wanted.get("lookup"),
                local_address=wanted.get("local_address"),
            )

    def __enter__(self) -> Self:
        self.send(None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in self._handles:
            if handle is not self.winner:
                self._runtime.discard(handle)

    def send(self, answer: Any) -> None:
        """The step was taken, and this came of it."""
        self._go(self._plan.send, answer)

    def throw(self, error: OSError) -> None:
        """The step failed."""
        self._go(self._plan.throw, error)

    def _go(self, move: Any, value: Any) -> None:
        self.step = None
        try:
            while isinstance(effect := move(value), Attempt):
                self._last = effect
                try:
                    value = self._runtime.attempt(effect.address, effect.local_address)
                    self._handles.append(value)
                    move = self._plan.send
                except OSError as error:
                    value, move = error, self._plan.throw
            self.step = self._last = effect
        except StopIteration as stop:
            self.winner = stop.value
        except OSError as error:
            raise connect_error(error, self._wanted, resolving=isinstance(self._last, Resolve)) from error


def connect_error(error: OSError, wanted: dict[str, Any], *, resolving: bool = False) -> AnywireError:
    """An error of connecting as ours, which says whereto."""
    if isinstance(error, AnywireError):
        return error
    if path := wanted.get("path"):
        return os_error(error, syscall="connect", address=path, phase="connect")
    if resolving:
        return os_error(error, syscall="getaddrinfo", address=wanted["host"], phase="resolve")
    address = getattr(error, "address", None) or wanted["host"]
    return os_error(error, syscall="connect", address=address, port=wanted["port"], phase="connect")
