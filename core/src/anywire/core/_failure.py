"""How a request's failure is told: what may be sent again, what is said about it, and what is not an event.

Functions of a :class:`ClientRequest`, apart from it only for the size of that module.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from ._chars import safe_target
from ._errors import AnywireError, ConnectionLost, LocalError, RemoteError, TimedOut, TruncatedError, nameless
from ._lease import DONE, OPEN
from ._state import FAIL, HALF

if TYPE_CHECKING:
    from ._client_connection import ClientConnection
    from ._request import ClientRequest

__all__ = [
    "IDEMPOTENT",
    "REPLAY_BYTES",
    "Quiet",
    "as_ours",
    "describe",
    "expired",
    "fail",
    "forgotten",
    "is_quiet",
    "keep_for_replay",
    "let_go",
    "limit_of",
    "origin",
    "replayed",
    "timed_out",
    "where",
    "written",
]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2."""
REPLAY_BYTES: Final = 65536
"""The longest message we keep for a replay."""


@nameless
class Quiet(ConnectionLost):
    """destroy() without an error: reported before a response, silent after it (CLI-81, CLI-82)."""


def keep_for_replay(request: ClientRequest, queued: list[bytes]) -> list[bytes]:
    """`queued`, what goes out on a reused connection, in one piece if it may have to go out again (decision 7).

    Once: the failed repetition of a request is not repeated (RFC 9110 section 9.2.2). A POST, too: it may turn out
    that nothing of it was taken.
    """
    if request.writable_ended and request._options.replay and request._replay is None:
        whole = b"".join(queued)
        if len(whole) <= REPLAY_BYTES:
            request._replay = whole
            return [whole]
    return queued


def replayed(request: ClientRequest, error: AnywireError) -> bool:
    """May the same bytes go out again on another connection? Then they will: `request` needs one."""
    connection, whole = request._connection, request._replay
    if not (
        whole
        and request.reused_socket
        and request.res is None
        and connection is not None
        and not connection.bytes_received
        and isinstance(error, ConnectionLost)
        and (request._method in IDEMPOTENT or not written(connection))
    ):
        return False
    request._sink, request._replay = [whole], b""
    connection.request = None
    connection.destroy()
    request._connection = None
    return True


def written(connection: ClientConnection) -> int:
    """How much of its request the operating system took. Never less than that: "none" is what replays rely on."""
    sent = connection.bytes_sent
    # How many bytes of a request are in so many of ciphertext only TLS knows.
    return sent if connection.secure is not None else max(0, sent - connection.pump.unsent)


def describe(request: ClientRequest, error: Exception) -> None:
    """Note in `error` whose it is (ASK-51), and what a caller needs to decide about a retry (ASK-15)."""
    if not isinstance(error, RemoteError):
        return
    connection = request._connection
    error.method, error.origin = request._method, origin(request)
    error.elapsed = request._now() - request._began
    error.timings = request.timings
    error.reused = request.reused_socket
    error.bytes_written = sent = 0 if connection is None else written(connection)
    error.response_started = connection is not None and connection.bytes_received
    if sent == 0 or request._method in IDEMPOTENT:
        error.replay_safe = "yes"
    else:
        error.replay_safe = "no" if error.response_started else "unknown"


def origin(request: ClientRequest) -> str:
    """Whom a request is for: ``http://localhost:80``."""
    options = request._options
    return f"{options.protocol}//{options.header_host}:{options.port}"


def where(request: ClientRequest) -> str:
    """Method and URL, for messages: ``GET http://localhost:80/``. The target may be ``*``, or that of a CONNECT."""
    path = request._path
    space = "" if path.startswith("/") else " "
    return f"{request._method} {origin(request)}{space}{safe_target(path)}"


def timed_out(request: ClientRequest, option: str, limit: float | None, phase: str) -> TimedOut:
    """The error of a limit of the client's: every one says whose, which, and how long it was."""
    error = TimedOut(f"{where(request)}: {option} of {limit} s reached in phase {phase}", phase=phase)
    error.limit = limit
    return error


_LIMITS: Final = {
    "queue": ("queue_timeout",),
    "resolve": ("connect_timeout",),
    "connect": ("connect_timeout",),
    "tls": ("tls_timeout", "connect_timeout"),
    "write": ("write_timeout", "idle_timeout"),
    "head": ("head_timeout",),
    "body": ("idle_timeout",),
}
"""Which options limit a phase; the first that is given counts (ASK-19)."""


def limit_of(request: ClientRequest, phase: str) -> tuple[str, float | None]:
    """Name and seconds of what limits a phase; ``timeout`` and None if it has no limit of its own."""
    for option in _LIMITS[phase]:
        if (limit := getattr(request._options, option)) is not None:
            return option, limit
    return "timeout", None


def expired(request: ClientRequest, phase: str, limit: float | None = None) -> Exception:
    """A limit of this phase, or the deadline, has struck: the request ends with the error that says so.

    Args:
        request: whose it is.
        phase: where it is.
        limit: seconds; of what stands in for a limit that was not given.
    """
    option, own = limit_of(request, phase)
    limit = own or limit
    # Timers may strike a little early: a phase without a limit of its own was ended by the deadline all the same.
    if request._deadline is not None and (not limit or request._now() >= request._deadline):
        option, limit = "deadline", request._options.deadline
    return request._fail(timed_out(request, option, limit, phase))


def as_ours(error: Exception) -> AnywireError:
    """`error` itself, or in a wrapping if it is not one of ours."""
    if isinstance(error, AnywireError):
        return error
    made = LocalError(str(error) or type(error).__name__, code="ABORT_ERR")
    made.__cause__ = error
    return made


def is_quiet(request: ClientRequest, error: Exception) -> bool:
    """No ``error`` event: ``abort()`` before a socket (CLI-72), or a response that was cut (CLI-56, CLI-82)."""
    if request.res is None:
        lease = request._lease
        connecting = lease is not None and lease.state == OPEN and lease.waiter is not None  # CLI-74
        return request.aborted and request._connection is None and not connecting
    return isinstance(error, Quiet) or (isinstance(error, TruncatedError) and error.syscall is None)


def forgotten(request: ClientRequest) -> None:
    """Nobody holds `request` any more. If it has a place in a pool, leave word there, and say so (ASK-7)."""
    lease, pool = request._lease, request._pool
    if lease is not None and pool is not None and lease.state != DONE:
        pool.abandon(lease)
        what = "nobody waited for its response" if request.res is None else "its response was not read to the end"
        warnings.warn(f"{where(request)} was forgotten: {what}", ResourceWarning, stacklevel=1, source=request)


def fail(request: ClientRequest, error: Exception) -> None:
    """Let go of everything, and tell observers in Node's order: the socket's come last (CLI-53 to CLI-57, CLI-64)."""
    describe(request, error)
    connection, message = request._connection, request.res
    if connection is not None and connection.request is not request:
        connection = None
    if connection is not None:
        connection.ending = True
        if connection.error is None:
            connection.error = as_ours(error)  # what a reader of the body is told
            if request.aborted or not isinstance(error, Quiet):
                # Observers hear of an error: then no reader may get the end, although all of it may be here (CLI-82).
                # abort() drops what was received (CLI-68, CLI-78).
                connection.receiving = HALF[connection.receiving][FAIL]
    quiet = is_quiet(request, error)
    try:
        request._release(request._connection)
        if not quiet and request.listener_count("error"):
            request.emit("error", error)
        if message is not None and not message.complete:
            message._abort(error)
        elif message is not None and not quiet and not message._end_seen:
            message._error = error  # observers heard of an error: then nobody gets the end of an answer without a body
        if request._listeners is not None:
            request.emit("close")
        if message is not None:
            message._closed()
    finally:
        if connection is not None:
            connection.ended()


def let_go(request: ClientRequest) -> None:
    """The transport is gone. What came of the answer can be read, but holds no place in the pool any more (ASK-7)."""
    lease = request._lease
    if lease is not None and request.res is not None and request._pool is not None:
        request._lease = None
        request._pool.dropped(lease)
        request._settle()
