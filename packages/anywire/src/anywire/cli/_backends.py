"""Which runtimes there are, and which can be used now."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from ._complaint import USAGE, Complaint
from ._driver import Driver

__all__ = ["KNOWN", "choose", "installed", "load"]

KNOWN = ("asyncio", "trio", "sync", "gevent")


def installed() -> list[str]:
    """Backends that can be used now, in the order of :data:`KNOWN`."""
    return [name for name in KNOWN if _found(f"anywire.{name}")]


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
    what = f"backend {name} is not installed" if name in KNOWN else f"there is no backend {name!r}"
    raise Complaint(f"{what}; --backend can be: {choice}", USAGE)


def load(name: str) -> Driver:
    """The driver of an installed backend."""
    return Driver(import_module(f"{__package__}.on_{name}").Runtime())
