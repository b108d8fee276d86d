"""Connect: a plan of connecting, carried out up to the next thing that takes time. Connecting: for how long."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .._errors import AnywireError, ConnectError, os_error
from .._lease import OPEN
from .._plans import Attempt, Race, Resolve, connect_path_plan, connect_plan
from .._pump import FOREVER
from .._secure import hand_over
from .._settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from .._client_connection import ClientConnection
    from .._timings import Opening
    from ._client import ClientRequest
    from ._runtime import Runtime

__all__ = ["Connect", "Connecting", "CutShort", "Wanted", "connect_error", "ready"]


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
        opening: is told when the name was resolved.

    Attributes:
        step: what to wait for; None at the end.
        winner: the handle that is connected.

    Raises:
        ConnectError: nothing could be reached; from whatever leads to that.
    """

    __slots__ = ("_handles", "_last", "_opening", "_plan", "_runtime", "_wanted", "step", "winner")

    def __init__(self, runtime: Runtime, wanted: dict[str, Any], opening: Opening | None) -> None:
        self._runtime = runtime
        self._opening = opening
        self._wanted = wanted
        self._handles: list[Any] = []
        self._last: Any = None
        self.step: Resolve | Race | None = None
        self.winner: Any = None
        path = wanted.get("path")
        if SETTINGS.reachable is not None and (where := path or wanted["host"]) not in SETTINGS.reachable:
            raise ConnectError(f"The network is blocked: connect {where}", code="ERR_NETWORK_BLOCKED", phase="connect")
        if path:
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
            if self._opening is not None and isinstance(effect, Race):
                self._opening.reached("connect")
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


def ready(handle: Any, connection: ClientConnection) -> Any:
    """The pump that feeds `connection`, if `handle` is one; None if it is to be opened."""
    if not hasattr(handle, "feed"):
        return None
    hand_over(handle, connection)
    return handle


class CutShort(Exception):
    """Connecting is to stop: its time is up, or nobody wants it any more."""


class Connecting:
    """How long a call that blocks may go on connecting: until `due`, or until the request, if any, is given up.

    Attributes:
        due: when its limit is reached; ``inf`` for never.
        waiter: is woken when the request is given up, and may be for nothing.
    """

    __slots__ = ("_lease", "_pump", "_request", "due", "waiter")

    def __init__(self, request: ClientRequest | None, due: float, waiter: Any) -> None:
        self._request = request
        self._lease = None if request is None else request._lease
        self._pump: Any = None
        self.due = due
        self.waiter = waiter

    @classmethod
    def of(cls, wanted: Mapping[str, Any], runtime: Any) -> Connecting:
        """That of the request for which these are the options; if they do not say, nothing hurries."""
        return wanted.connecting if isinstance(wanted, Wanted) else cls(None, FOREVER, runtime.waiter())

    @property
    def unwanted(self) -> bool:
        """The request was given up."""
        if self._request is None:
            return False
        return self._request._error is not None or (self._lease is not None and self._lease.state != OPEN)

    def check(self) -> None:
        """Go on?

        Raises:
            CutShort: no.
        """
        if self.unwanted or (self._request is not None and self._request._now() >= self.due):
            raise CutShort

    @contextmanager
    def waiting_on(self, pump: Any) -> Iterator[None]:
        """Somebody waits on `pump` and not on :attr:`waiter`."""
        self._pump = pump
        self.check()
        try:
            yield
        finally:
            self._pump = None

    def wake(self) -> None:
        """Look whether to go on. Who is about to wait on a pump could miss a kick, and cannot miss its end."""
        self.waiter.wake()
        pump = self._pump
        if pump is not None and self.unwanted:
            pump.abort()


class Wanted(dict[str, Any]):
    """Connection options for a ``create_connection`` that blocks; it may hand them to the one it replaces."""

    __slots__ = ("connecting",)

    def __init__(self, options: Mapping[str, Any], connecting: Connecting) -> None:
        super().__init__(options)
        self.connecting = connecting
