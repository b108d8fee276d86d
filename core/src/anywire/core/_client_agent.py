"""ClientAgent: the pool policy with Node's surface, for both facades. Nothing here waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ._agent import Agent
from ._checks import (
    check_callable,
    check_host,
    check_ip,
    check_mapping,
    check_port,
    check_socket_path,
    refuse_tls,
    tls_options,
    unknown_option,
)
from ._client_connection import ClientConnection
from ._emitter import Emitter
from ._names import TLS_OPTIONS, http_name, https_name
from ._options import check_family, server_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._incoming import IncomingMessage
    from ._lease import Lease
    from ._options import RequestOptions
    from ._request import ClientRequest
    from ._sessions import SessionSlot

__all__ = ["ClientAgent"]

_HINT = re.compile(
    rb"(?i)\r\nKeep-Alive:[^\r\n]*?\b(timeout|max)[ \t]*=[ \t]*(\d{1,9})"
    rb"(?:[^\r\n]*?\b(max|timeout)[ \t]*=[ \t]*(\d{1,9}))?"
)

_POLICY = frozenset(
    {
        "default_port", "keep_alive", "keep_alive_delay", "max_free_sockets", "max_socket_age", "max_sockets",
        "max_total_sockets", "path", "protocol", "scheduling", "timeout",
    }
)  # fmt: skip
"""Options that are about the pool, not about a connection."""

_CONNECTION = TLS_OPTIONS | {
    "family", "host", "local_address", "lookup", "port", "socket_options", "socket_path", "tls",
}  # fmt: skip
"""Options that overrule those of requests (AGT-8)."""

_KNOWN = _POLICY | _CONNECTION
_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "family": lambda value, _: check_family(value),
    "host": check_host,
    "local_address": lambda value, _: check_ip(value) if value else None,
    "lookup": check_callable,
    "port": check_port,
    "socket_options": check_mapping,
    "socket_path": check_socket_path,
}


class ClientAgent(Emitter, Agent[ClientConnection, "ClientRequest"]):
    """A pool of client connections (AGT-1 to AGT-91). See :class:`anywire.core.Agent` for the options.

    Beside those it takes ``create_connection``, and options of connections, which win over those of requests (AGT-8):
    ``host``, ``port``, ``family``, ``local_address``, ``lookup``, ``socket_path``, ``socket_options`` and TLS options.

    Raises:
        ArgumentTypeError: an unknown name, or a limit that is not a number.
        ArgumentValueError: a limit is negative, or ``scheduling`` is unknown.

    Events: ``free(socket, options)``.
    """

    def __init__(self, *, keep_alive: bool = False, **options: Any) -> None:
        Emitter.__init__(self)
        create = options.pop("create_connection", None)
        if not _KNOWN.issuperset(options):
            raise unknown_option(options, _KNOWN | {"create_connection"})
        if "tls" in options or not TLS_OPTIONS.isdisjoint(options):
            given = tls_options(options)
            if options.get("protocol", "http:") == "http:":
                refuse_tls(given)
            options.pop("tls", None)
            options.update((name, value) for name, value in given.items() if name in TLS_OPTIONS)
            if unknown := {name: value for name, value in given.items() if name not in TLS_OPTIONS}:
                options["tls"] = unknown
        for name, check in _CHECKS.items():
            if options.get(name) is not None:
                options[name] = check(options[name], name)
        Agent.__init__(self, keep_alive=keep_alive, **options)
        if create is not None:
            self.create_connection = check_callable(create, "create_connection")
        self._own_options = any(name not in _POLICY for name in self.options)

    def get_name(self, options: Mapping[str, object]) -> str:
        """The pool's name for a set of connection options (AGT-13 to AGT-19)."""
        return https_name(options) if self.protocol == "https:" else http_name(options)

    create_connection: Callable[[dict[str, Any]], Any] | None = None
    """Overridable: called with the connection options for each new connection instead of
    connecting (AGT-31). Returns a connected ``socket.socket``, an upgraded ``Socket``, or an awaitable of one."""

    def connection_options(self, options: RequestOptions) -> dict[str, Any]:
        """A request's connection options with the agent's own over them (AGT-8)."""
        made = options.connection_options()
        for name, value in self.options.items():
            if value is not None and name not in _POLICY:
                made[name] = value
        if made.get("socket_path"):
            made["path"] = made["socket_path"]
        return made

    def session_slot(self, name: str) -> SessionSlot | None:
        """Where the TLS session of a new connection called `name` is kept: nowhere."""
        return None

    def add_request(self, request: ClientRequest, options: RequestOptions) -> None:
        """Decide about a new request: it gets a lease (AGT-20). Called by ``request()``."""
        if options.plain and not self._own_options and self.protocol == "http:":
            name = f"{options.host}:{options.port}:"  # what http_name says, for nearly every request
        else:
            wanted = self.connection_options(options)
            if self.protocol == "https:":
                if wanted.get("servername") is None:
                    wanted["servername"] = server_name(options, request.get_header("host"))
                # Decided here, with the name of the pool: whom the certificate is for must not change with Host later.
                options.servername = wanted["servername"]
            name = self.get_name(wanted)
        request._lease = self.request(name, request, request._now(), options)
        if self.has_answers:
            self.settle()

    def settle(self) -> None:
        """Carry out what was decided: wake leases, close connections. Synchronous."""
        while self.has_answers:
            leases, connections = self.take_answers()
            for connection in connections:
                connection.on_idle_end = None
                connection._lost = True
                connection.pump.close()
            for lease in leases:
                if lease.waiter is not None:
                    lease.waiter.wake()
                elif lease.error is not None and lease.request is not None:
                    lease.request._kick()

    def release(self, lease: Lease[Any, Any], now: float, persistent: bool, message: IncomingMessage | None) -> None:
        """An exchange is over (AGT-48): pool its connection, pass it on, or close it."""
        connection = lease.connection
        hint = max_uses = None
        if persistent and message is not None:
            fields = message._fields
            # Most answers have no such field, and this scan is cheaper than finding out properly.
            if (b"eep-" in fields or b"EEP-" in fields) and (found := _HINT.search(b"\r\n" + fields)):
                for name, value in (found.group(1, 2), found.group(3, 4)):
                    if name is not None and name.lower() == b"timeout":
                        hint = float(value)
                    elif name is not None:
                        max_uses = int(value)
            if self._listeners is not None and connection is not None:
                self.emit("free", connection.user_socket(), lease.options)
        if connection is not None:
            connection.on_idle_end = self._idle_ended
            connection.key = lease.name
            connection.pooled_by = self
            if isinstance(connection.socket, Emitter):
                connection.socket.emit("free")
        self.freed(lease, now, persistent=persistent, hint=hint, max_uses=max_uses)
        if connection is not None and connection.request is None:
            # Where a backend watches idle connections this closes them in time; elsewhere the Agent does when
            # it is called next (AGT-63).
            limit = self.timeout or 0.0
            if hint is not None:
                limit = min(limit or hint, max(hint - self.hint_margin, 0.001))
            connection.idle_timeout = limit
            if limit:
                connection.set_idle_timeout(limit)

    def _idle_ended(self, connection: ClientConnection) -> None:
        """A pooled connection died or was spoilt (AGT-61, SEC-1)."""
        if self.idle_closed(connection.key, connection):
            connection._lost = True
            connection.pump.abort()
        if self.has_answers:
            self.settle()

    def forget(self, connection: ClientConnection) -> None:
        """A pooled connection was taken away by its user (AGT-70): it is neither pooled, counted nor closed here."""
        self.idle_closed(connection.key, connection)
        connection.on_idle_end = connection.pooled_by = None
        if self.has_answers:
            self.settle()

    def destroy(self) -> None:
        """Close every connection and fail every request (AGT-82 to AGT-86). The agent remains usable."""
        in_flight = [
            connection.request
            for connections in self.sockets.values()
            for connection in connections
            if connection is not None and connection.request is not None
        ]
        super().destroy()
        self.settle()
        for request in in_flight:
            request.destroy()
