"""``anywire serve``, all of it that does not wait."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ._complaint import Complaint
from ._options import ServeOptions
from ._words import access_line, url_host

__all__ = ["CLOSING", "Sent", "announce", "cannot_listen", "configure", "logged"]

IDLE: Final = 120.0
"""Seconds without a byte in either direction after which a connection is given up."""

CLOSING: Final = "closing; once more ends transfers that are under way"


def configure(server: Any) -> None:
    """Silence ends a connection, but not slowness: an upload may take as long as it takes."""
    server.timeout = IDLE
    server.request_timeout = 0.0


def announce(server: Any, options: ServeOptions) -> None:
    """Say where it listens."""
    port = server.address()[1]
    print(f"serving {options.site.root} on http://{url_host(options.host)}:{port}/", flush=True)


def cannot_listen(error: OSError, options: ServeOptions) -> Complaint:
    """Why, and what to do about it."""
    where = f"{url_host(options.host)}:{options.port}"
    code = getattr(error, "code", "")
    if code == "EADDRINUSE":
        return Complaint(
            f"{where} is in use; stop what listens there, or choose another port (--port 0 takes a free one)"
        )
    if code == "EACCES":
        return Complaint(f"not allowed to listen on {where}; choose a port above 1023")
    if code in ("EADDRNOTAVAIL", "ENOTFOUND"):
        return Complaint(f"{options.host} is no address of this machine; say another --host")
    return Complaint(f"cannot listen on {where}: {error}")


class Sent:
    """How much of a body went out."""

    bytes = 0


@contextmanager
def logged(req: Any, res: Any, *, log: bool) -> Iterator[Sent]:
    """An exchange, and then a line about it on stderr if `log` says so. Yields what to count in."""
    sent = Sent()
    if not log:
        yield sent
        return
    start = time.monotonic()
    peer = req.socket.remote_address
    try:
        yield sent
    finally:
        request = f"{req.method} {req.url} HTTP/{req.http_version}"
        agent = req.headers.get("user-agent")
        seconds = time.monotonic() - start
        line = access_line(peer, request, res.status_code, sent.bytes, seconds, time.time(), agent)
        print(line, file=sys.stderr, flush=True)
