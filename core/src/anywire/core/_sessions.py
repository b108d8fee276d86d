"""TLS sessions that an agent remembers, one for each pool name (MOD-72, MOD-73).

A session stands for a verification that was done, so it is offered to nobody else: the
name holds every TLS option and the server name (:mod:`._names`), and a session belongs
to the context it was made with. What is in one only the ssl module knows.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ._checks import check_size

if TYPE_CHECKING:
    from typing import Unpack

    from ._keywords import AgentKeywords

__all__ = ["SecurePool", "SessionSlot", "Sessions", "make_room"]


def make_room(kept: dict[Any, Any], most: int) -> None:
    """Forget the oldest of `kept` until there are no more than `most`.

    Threads share it without a lock, so it is a dict: an OrderedDict that two of them change breaks without a GIL. Few
    are kept, so looking for the first is cheap.
    """
    while len(kept) > most:
        with suppress(KeyError, RuntimeError, StopIteration):  # another thread made room as well
            del kept[next(iter(kept))]


class Sessions:
    """Sessions by name, the oldest name first. Every call is one step, so threads may share it.

    Attributes:
        limit: most names; 0 remembers nothing.
    """

    __slots__ = ("_kept", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: dict[str, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, name: str, context: Any) -> Any:
        """The session kept under `name`, if it was made with `context`; else None."""
        made, session = self._kept.get(name, (None, None))
        return session if made is context else None

    def keep(self, name: str, context: Any, session: Any) -> None:
        """Remember `session`. Makes room by forgetting the name that came first (MOD-73)."""
        if not self.limit:
            return
        self._kept[name] = (context, session)
        make_room(self._kept, self.limit)

    def drop(self, name: str) -> None:
        """Forget it: its connection failed."""
        self._kept.pop(name, None)


class SessionSlot:
    """What one connection has to do with the sessions of its agent."""

    __slots__ = ("_name", "_sessions")

    def __init__(self, sessions: Sessions, name: str) -> None:
        self._sessions = sessions
        self._name = name

    def find(self, context: Any) -> Any:
        """A session to offer, or None."""
        return self._sessions.find(self._name, context)

    def keep(self, context: Any, session: Any) -> None:
        """The server gave us one."""
        self._sessions.keep(self._name, context, session)

    def drop(self) -> None:
        """The connection failed."""
        self._sessions.drop(self._name)


class SecurePool:
    """What an Agent for ``https:`` is besides: its defaults, and its sessions. Mixed into an Agent of either colour.

    Args:
        max_cached_sessions: most names for which a TLS session is kept; 0 keeps none (MOD-68).
        **options: as of any Agent, TLS options among them.
    """

    __slots__ = ()

    sessions: Sessions

    def __init__(self: Any, *, max_cached_sessions: int = 100, **options: Unpack[AgentKeywords]) -> None:
        given: dict[str, Any] = {"default_port": 443, "protocol": "https:", **options}
        self.sessions = Sessions(check_size(max_cached_sessions, "max_cached_sessions") or 0)
        super().__init__(**given)

    @property
    def max_cached_sessions(self) -> int:
        """Most names for which a TLS session is kept; counts from the next one on."""
        return self.sessions.limit

    @max_cached_sessions.setter
    def max_cached_sessions(self, count: int) -> None:
        self.sessions.limit = check_size(count, "max_cached_sessions") or 0

    def session_slot(self, name: str) -> SessionSlot | None:
        """Where the session of a new connection called `name` is kept; None if nowhere."""
        return SessionSlot(self.sessions, name) if self.sessions.limit else None
