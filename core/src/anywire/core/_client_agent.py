"""ClientAgent: the pool policy with Node's surface, for both facades. Nothing here waits."""

from __future__ import annotations

import re
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Final

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
from ._lease import TIMEOUT
from ._leniency import NOTHING, check_lenient
from ._names import TLS_OPTIONS, http_name, https_name
from ._options import check_family, server_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Unpack

    from ._incoming import IncomingMessage
    from ._keywords import AgentKeywords
    from ._lease import Lease
    from ._options import RequestOptions
    from ._request import ClientRequest
    from ._sessions import SessionSlot

__all__ = ["AGENT_OPTIONS", "ClientAgent"]

_HINT = re.compile(
    rb"(?i)\r\nKeep-Alive:[^\r\n]*?\b(timeout|max)[ \t]*=[ \t]*(\d{1,9})"
    rb"(?:[^\r\n]*?\b(max|timeout)[ \t]*=[ \t]*(\d{1,9}))?"
)

_POLICY = frozenset(
    {
        "default_port", "keep_alive", "keep_alive_delay", "lenient", "max_free_sockets", "max_socket_age",
        "max_sockets", "max_total_sockets", "path", "protocol", "scheduling", "timeout",
    }
)  # fmt: skip
"""Options that are not about a connection."""

_CONNECTION = TLS_OPTIONS | {
    "family", "host", "local_address", "lookup", "port", "socket_options", "socket_path", "tls",
}  # fmt: skip
"""Options that overrule those of requests (AGT-8)."""

AGENT_OPTIONS: Final = _POLICY | _CONNECTION | {"create_connection"}
"""Every name that an Agent knows."""

_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "family": lambda value, _: check_family(value),
    "host": check_host,
    "local_address": lambda value, _: check_ip(value) if value else None,
    "lookup": check_callable,
    "port": check_port,
    "socket_options": check_mapping,
    "socket_path": check_socket_path,
}


class ClientAgent(Emitter, Agent[ClientConnection, "weakref.ref[ClientRequest]"]):
    """A pool of client connections (AGT-1 to AGT-91). See :class:`anywire.core.Agent` for the options.

    Beside those it takes ``create_connection``, ``lenient`` (names of leniencies for the answers to requests that do
    not give their own, ASK-36), and options of connections, which win over those of requests (AGT-8):
    ``host``, ``port``, ``family``, ``local_address``, ``lookup``, ``socket_path``, ``socket_options`` and TLS options.

    Raises:
        ArgumentTypeError: an unknown name, or a limit that is not a number.
        ArgumentValueError: a limit is negative, or ``scheduling`` or a name in ``lenient`` is unknown.

    Events: ``free(socket, options)``.
    """

    def __init__(self, **keywords: Unpack[AgentKeywords]) -> None:
        Emitter.__init__(self)
        options: dict[str, Any] = {**keywords}
        create = options.pop("create_connection", None)
        if not AGENT_OPTIONS.issuperset(options):
            raise unknown_option(options, AGENT_OPTIONS)
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
        self._lenient = options["lenient"] = check_lenient(options.get("lenient"))
        if self._lenient is None:
            del options["lenient"]
        Agent.__init__(self, **options)
        if create is not None:
            self.create_connection = check_callable(create, "create_connection")  # type: ignore[method-assign]
        self._own_options = bool(self._lenient) or any(name not in _POLICY for name in self.options)

    @property
    def lenient(self) -> frozenset[str]:
        """Names of the leniencies that its requests have unless they give their own (ASK-36)."""
        return self._lenient or NOTHING

    def get_name(self, options: Mapping[str, object]) -> str:
        """The pool's name for a set of connection options (AGT-13 to AGT-19)."""
        return https_name(options) if self.protocol == "https:" else http_name(options)

    def create_connection(self, options: Any) -> Any:
        """Open a connection for `options` (AGT-31). The facades do."""
        raise NotImplementedError

    own_connection: ClassVar[Any] = create_connection

    debug: ClassVar[bool] = False
    """Check the pool's books after each decision, and raise AssertionError if they do not agree (ASK-50). Slow."""

    @property
    def connector(self) -> Callable[..., Any] | None:
        """What was put in the place of :meth:`create_connection`, or None."""
        create = self.create_connection
        return None if getattr(create, "__func__", None) is type(self).own_connection else create

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
            name = options.name  # what http_name says, for nearly every request
        else:
            if self._lenient and options.lenient is None:
                options.lenient = self._lenient
                options.plain = False
            wanted = self.connection_options(options)
            if self.protocol == "https:":
                if wanted.get("servername") is None:
                    wanted["servername"] = server_name(options, request.get_header("host"))
                # Decided here, with the name of the pool: whom the certificate is for must not change with Host later.
                options.servername = wanted["servername"]
            name = self.get_name(wanted)
        # Weak: a request that its maker has forgotten is to be found out, not kept (ASK-7).
        request._lease = self.request(name, weakref.ref(request), request._now(), options)
        request._pool = self
        if self.has_answers:
            self.settle()

    # ---------------------------------------------------------------- hooks

    def keep_socket_alive(self, socket: Any) -> bool:
        """Called each time `socket` is about to be pooled (AGT-54, AGT-56). To be overridden or assigned to.

        The default has a silent peer probed after ``keep_alive_delay`` seconds. It runs in the middle of a decision:
        do not call the agent. If it raises, the socket is closed and the exception goes through.

        Args:
            socket: the :class:`Socket` that is free.

        Returns:
            False to have it closed instead.
        """
        socket.set_keep_alive(True, self.keep_alive_delay)
        return True

    def reuse_socket(self, socket: Any, request: Any) -> None:
        """Called when `request` takes `socket` out of the pool, not on hand-over (AGT-26, AGT-50).

        To be overridden or assigned to. The default does nothing: what has to be done is done in any case. Do not
        call the agent. If it raises, the socket is closed and the exception goes through.
        """

    def _keeps(self, connection: ClientConnection) -> bool:
        keep = self.keep_socket_alive
        if getattr(keep, "__func__", None) is _KEEP and connection.probed_after == self.keep_alive_delay:
            return True  # what the hook would do is done, and nobody need make a Socket for it
        return bool(keep(connection.user_socket()))

    def _reuses(self, connection: ClientConnection, request: weakref.ref[ClientRequest]) -> None:
        reuse = self.reuse_socket
        if getattr(reuse, "__func__", None) is not _REUSE:
            reuse(connection.user_socket(), request())

    # ---------------------------------------------------------------- what can be seen

    @property
    def sockets(self) -> dict[str, list[Any]]:
        """Used sockets by name, oldest first; None stands for one being opened (AGT-11, AGT-24). A snapshot."""
        return {
            name: [None if each is None else each.user_socket() for each in used]
            for name, used in super().sockets.items()
        }

    @property
    def free_sockets(self) -> dict[str, list[Any]]:
        """Pooled sockets by name, the one freed first in front (AGT-11, AGT-55). A snapshot."""
        return {name: [each.user_socket() for each in free] for name, free in super().free_sockets.items()}

    @property
    def requests(self) -> dict[str, list[Any]]:
        """Queued requests by name, in order of arrival (AGT-11, AGT-24). A snapshot."""
        queued = {name: [request for each in refs if (request := each())] for name, refs in super().requests.items()}
        return {name: requests for name, requests in queued.items() if requests}

    # ---------------------------------------------------------------- decisions

    def settle(self) -> None:
        """Carry out what was decided: wake leases, close connections. Synchronous."""
        if self.debug:
            self.check_invariants()
        while self.has_answers:
            leases, connections = self.take_answers()
            for connection in connections:
                connection.on_idle_end = None
                connection._lost = True
                if connection.abandoned:
                    connection.pump.abort()
                else:
                    connection.pump.close()
            for lease in leases:
                if lease.waiter is not None:
                    lease.waiter.wake()
                elif lease.error is not None and (request := lease.request()) is not None:
                    request._kick()
            self._ended(connections)

    def release(self, lease: Lease[Any, Any], now: float, persistent: bool, message: IncomingMessage | None) -> None:
        """An exchange is over (AGT-48): pool its connection, pass it on, or close it."""
        connection = lease.connection
        hint = max_uses = None
        if persistent and message is not None:
            fields = message._fields
            # Most answers have no such field, and this scan is cheaper than finding out properly.
            if fields.lower().find(b"keep-alive:") >= 0 and (found := _HINT.search(b"\r\n" + fields)):
                for name, value in (found.group(1, 2), found.group(3, 4)):
                    if name is not None and name.lower() == b"timeout":
                        hint = float(value)
                    elif name is not None:
                        max_uses = int(value)
        if connection is not None:
            connection.on_idle_end = self._idle_ended
            connection.key = lease._group.name
            connection.pooled_by = self
        self.freed(lease, now, persistent=persistent, hint=hint, max_uses=max_uses)
        if self.debug:
            self.check_invariants()
        if persistent and connection is not None:
            # AGT-87: who listens hears of it when the decision is made.
            if self._listeners is not None:
                self.emit("free", connection.user_socket(), self.connection_options(lease.options))
            if isinstance(connection.socket, Emitter):
                connection.socket.emit("free")
        if connection is not None and connection._request is None:
            # Where a backend watches idle connections this closes them in time; elsewhere the Agent does when
            # it is called next (AGT-63).
            limit = self.timeout or 0.0
            if hint is not None:
                limit = min(limit or hint, max(hint - self.hint_margin, 0.001))
            connection.idle_timeout = limit
            if limit:
                connection.set_idle_timeout(limit)

    def give_up(self, lease: Lease[Any, Any], now: float) -> None:
        """A request ends early: a connection that it has not touched goes to the next in line, if any (AGT-81)."""
        connection = lease.connection
        if connection is not None and connection.on_idle_end is not None and lease._group.queue:
            self.release(lease, now, True, None)
        else:
            self.dropped(lease)

    def _idle_ended(self, connection: ClientConnection) -> None:
        """A pooled connection died or was spoilt (AGT-61, SEC-1)."""
        try:
            if self.idle_closed(connection.key, connection):
                connection._lost = True
                connection.pump.abort()
                if connection.error is not None and isinstance(connection.socket, Emitter):
                    connection.socket.emit("agent_remove")  # AGT-62
        finally:
            if self.has_answers:
                self.settle()

    def timed_out(self, connection: ClientConnection) -> None:
        """A pooled connection was silent for too long, and is about to be destroyed (AGT-63)."""
        self.idle_closed(connection.key, connection, TIMEOUT)

    def collect(self, now: float) -> None:
        """End what was abandoned, close what expired."""
        self.expire(now)
        if self.has_answers:
            self.settle()

    def next_look(self, lease: Lease[Any, Any], now: float) -> float:
        """When a queued request should :meth:`collect`: what is abandoned cannot wake it (ASK-7).

        After a second, or more where so many queue that one of them does it all the time.
        """
        return now + 1.0 + 0.01 * len(lease._group.queue)

    def forget(self, connection: ClientConnection) -> None:
        """A pooled connection was taken away by its user (AGT-70): it is neither pooled, counted nor closed here."""
        self.idle_closed(connection.key, connection)
        connection.on_idle_end = connection.pooled_by = None
        if self.has_answers:
            self.settle()

    def destroy(self) -> None:
        """Close every connection and fail every request (AGT-82 to AGT-86). The agent remains usable."""
        in_flight = [
            request
            for connections in super().sockets.values()
            for connection in connections
            if connection is not None and (request := connection.request) is not None
        ]
        super().destroy()
        self.settle()
        for request in in_flight:
            request.destroy()


_KEEP = ClientAgent.keep_socket_alive
_REUSE = ClientAgent.reuse_socket
