"""GuardedAgent: one lock per Agent, around its decisions and nothing else.

The Agent's answers (leases to wake, connections to close) are data; they are carried
out by ``settle``, outside the lock. So no thread ever waits for another one's socket.
"""

from __future__ import annotations

from typing import Any

from ..._agent import Agent as Policy
from ..._lease import DONE

__all__ = ["GuardedAgent"]


class GuardedAgent(Policy[Any, Any]):
    """A policy whose every decision holds ``self._lock``, a re-entrant lock that the subclass makes first."""

    _lock: Any

    def dropped(self, lease: Any) -> bool:  # type: ignore[override]
        """As the policy's. Returns False if somebody else had ended the lease already."""
        with self._lock:
            held: bool = lease.state != DONE
            super().dropped(lease)
            return held


def _guarded(name: str) -> Any:
    inner = getattr(Policy, name)
    if isinstance(inner, property):
        read, write = inner.fget, inner.fset
        assert read is not None, name

        def getter(self: Any) -> Any:
            with self._lock:
                return read(self)

        def setter(self: Any, value: Any) -> None:
            assert write is not None, name
            with self._lock:
                write(self, value)

        return property(getter, setter if write else None, doc=inner.__doc__)

    def method(self: Any, *args: Any, **keywords: Any) -> Any:
        with self._lock:
            return inner(self, *args, **keywords)

    method.__name__ = name
    method.__doc__ = inner.__doc__
    return method


for _name in (
    "request", "opened", "retry", "freed", "detach", "idle_closed", "expire", "next_expiry", "destroy",
    "limits_changed", "take_answers", "check_invariants", "stats", "total_stats", "sockets", "free_sockets", "requests",
):  # fmt: skip
    setattr(GuardedAgent, _name, _guarded(_name))
