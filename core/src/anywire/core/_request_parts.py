"""What a request starts with, and who may end it from outside.

Functions of a :class:`ClientRequest`, apart from it only for the size of that module.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ._date import DateLine
from ._header_store import HeaderStore, pairs
from ._options import authorization_header, check_host_value, host_header

if TYPE_CHECKING:
    from ._request import ClientRequest

__all__ = ["date_line", "obey", "pools", "set_fields"]


def set_fields(request: ClientRequest) -> bool:
    """Give `request` the list-form headers as they are, or a store with what is added to a mapping.

    Returns:
        Is the head to be rendered at once? With list-form headers and Expect it is (MOD-47, CLI-18).
    """
    options = request._options
    headers = options.headers
    if headers is not None and not hasattr(headers, "items"):
        request._raw_fields = list(pairs(headers))
        return True
    store = request._made_store = HeaderStore()
    if headers:
        for name, value in headers.items():
            store.set(name, value)
    given = store.get("host")
    if given is not None:
        given = check_host_value(given)
    if options.set_host and not given:
        store.set("Host", host_header(options))
    if options.auth and not store.has("authorization"):
        store.set("Authorization", authorization_header(options.auth))
    return store.has("expect")


def date_line(request: ClientRequest) -> bytes:
    """The ``Date`` line of a request that wants one (CLI-13)."""
    clock = request._options.wall_clock
    return b"" if clock is None else DateLine(clock).line()


def pools(agent: Any) -> bool:
    """Does `agent` use connections again (AGT-38 to AGT-41)? One of the user's own need not say (MOD-36)."""
    try:
        return bool(agent.keep_alive or agent.max_sockets != agent.default_max_sockets)
    except AttributeError:
        return False


def obey(request: ClientRequest, signal: Any) -> None:
    """MOD-L2: `signal` has ``aborted`` and ``once("abort", f)``; when it fires, `request` is destroyed."""
    if signal.aborted:
        request.destroy()
        return
    known = weakref.ref(request)  # a signal may outlive many requests

    def aborted(*_: object) -> None:
        made = known()
        if made is not None:
            made.destroy()

    signal.once("abort", aborted)
