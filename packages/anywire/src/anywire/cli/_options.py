"""What ``anywire serve`` was asked to do, checked."""

from __future__ import annotations

from dataclasses import dataclass

from .static import Site

__all__ = ["ServeOptions"]


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of ``anywire serve``.

    Attributes:
        site: what is served.
        host: name or address to listen on.
        port: 0 to 65535; 0 takes a free one.
        uvloop: run on uvloop (asyncio only).
        log: a line per response on stderr.
        grace: seconds that transfers under way have to finish after SIGINT or SIGTERM.
    """

    site: Site
    host: str
    port: int
    uvloop: bool
    log: bool
    grace: float
