"""``anywire serve`` and ``anywire demo``, from arguments to exit status."""

from __future__ import annotations

import signal
import sysconfig
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, TypeVar

from ._backends import choose, load
from ._complaint import FAILED, OK, USAGE, Complaint
from ._options import ServeOptions
from .demo import Reporter, prepare, run, scan
from .static import Site

__all__ = ["demo", "serve"]

_T = TypeVar("_T")

QUICK_FILES = 300
QUICK_SIZE = 64 << 20
FULL_SIZE = 1 << 30


def serve(chosen: Any) -> int:
    """Run ``anywire serve``."""
    [backend] = choose(chosen.backend, many=False)
    _check_uvloop(chosen.uvloop, [backend])
    site = _readable(chosen.dir, lambda: Site(chosen.dir, upload=chosen.upload))
    load(backend).serve(ServeOptions(site, chosen.host, chosen.port, chosen.uvloop, chosen.log, chosen.grace))
    return OK


def demo(chosen: Any) -> int:
    """Run ``anywire demo``: every chosen backend in turn, then one table."""
    backends = choose(chosen.backend, many=True)
    _check_uvloop(chosen.uvloop, backends)
    root = chosen.root or sysconfig.get_path("stdlib")
    tree = _readable(root, lambda: scan(root, limit=QUICK_FILES if chosen.quick else None))
    if not tree.files:
        raise Complaint(f"there are no files under {root}; say another folder with --root", USAGE)
    size = chosen.size if chosen.size is not None else QUICK_SIZE if chosen.quick else FULL_SIZE
    results = []
    # SIGTERM ends it as Ctrl-C does: the server's process and the temporary folder go too.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    reporter = Reporter()
    material = prepare(tree, size, reporter)
    for name in backends:
        results.append(run(name, material, chosen.sockets, chosen.uvloop and name == "asyncio"))
    reporter.table(results)
    return FAILED if any(result.errors for result in results) else OK


def _check_uvloop(wanted: bool, backends: list[str]) -> None:
    if not wanted:
        return
    if "asyncio" not in backends:
        raise Complaint("--uvloop is for --backend asyncio", USAGE)
    if find_spec("uvloop") is None:
        raise Complaint("uvloop is not installed; pip install uvloop, or leave --uvloop out", USAGE)


def _readable(folder: str, look: Callable[[], _T]) -> _T:
    """What `look` says of `folder`, or one line about why it cannot be read."""
    try:
        return look()
    except FileNotFoundError:
        raise Complaint(f"there is no folder {folder!r}", USAGE) from None
    except NotADirectoryError:
        raise Complaint(f"{folder!r} is a file; say the folder it is in", USAGE) from None
    except PermissionError:
        raise Complaint(f"{folder!r} cannot be read; choose another folder or change its permissions", USAGE) from None
    except OSError as error:
        raise Complaint(f"{folder!r} cannot be read: {error.strerror or error}", USAGE) from None
