"""Which runtimes there are, and the code of each that needs a colour.

A *driver* is a package ``on_<backend>`` beside this file, with the functions of :class:`Driver`: what has to be
written with that runtime's ``await``, or without one. Everything else of the command line is shared.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from ._complaint import USAGE, Complaint
from ._options import ServeOptions
from .demo import Job, OriginOptions, Reporter, Result

__all__ = ["KNOWN", "Driver", "choose", "installed", "load"]

KNOWN = ("sync", "asyncio", "trio", "gevent")


class Driver(Protocol):
    """What a backend brings."""

    def serve(self, options: ServeOptions) -> None:
        """Serve ``options.site`` until SIGINT or SIGTERM, then close gracefully.

        Raises:
            Complaint: it cannot listen.
        """

    def serve_demo(self, options: OriginOptions, ready: Callable[[int], None]) -> None:
        """The demo's server: call `ready` with the port, serve until stdin ends, close."""

    def run_demo(self, job: Job, result: Result, reporter: Reporter) -> None:
        """The demo's client: every exchange of the job, against a server in another process.

        What goes wrong in an exchange goes into ``result.errors``.
        """


def installed() -> list[str]:
    """Backends that can be used now, in the order of :data:`KNOWN`."""
    return [name for name in KNOWN if _found(f"anywire.{name}") and _found(f"{__package__}.on_{name}")]


def _found(package: str) -> bool:
    spec = find_spec(package)
    # A folder without code would be a namespace package, which has no origin.
    return spec is not None and spec.origin is not None


def choose(name: str, *, many: bool) -> list[str]:
    """The backends that ``--backend NAME`` means.

    Args:
        name: a backend; or ``all``, if `many`.
        many: more than one is possible.

    Raises:
        Complaint: there is no such backend, or it is not installed.
    """
    there = installed()
    if name == "all" and many:
        if not there:
            raise Complaint("no backend is installed; install anywire-asyncio", USAGE)
        return there
    if name in there:
        return [name]
    choice = ", ".join((["all"] if many else []) + there) or "none, install anywire-asyncio"
    if name not in KNOWN:
        what = f"there is no backend {name!r}"
    elif _found(f"anywire.{name}"):
        what = f"this command cannot use backend {name} yet"
    else:
        what = f"backend {name} is not installed"
    raise Complaint(f"{what}; --backend can be: {choice}", USAGE)


def load(name: str) -> Driver:
    """The driver of an installed backend."""
    driver: Any = import_module(f"{__package__}.on_{name}")
    return driver  # type: ignore[no-any-return]
