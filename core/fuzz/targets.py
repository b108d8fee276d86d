"""All targets, by name: functions of bytes that raise if something does not hold."""

from __future__ import annotations

from collections.abc import Callable

from . import connections, exchanges, parsers

__all__ = ["TARGETS"]

TARGETS: dict[str, Callable[[bytes], None]] = {
    "requests": parsers.requests,
    "responses": parsers.responses,
    "server": connections.server,
    "client": connections.client,
    "exchanges": exchanges.exchanges,
}
