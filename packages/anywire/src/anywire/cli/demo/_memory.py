"""How much memory this process has, and had at most.

Linux can forget the peak (``/proc/self/clear_refs``), so that the peak of one stretch of work can be told from what
came before. Elsewhere a peak only ever grows, and so does what is measured: too much rather than too little.
"""

from __future__ import annotations

import sys

__all__ = ["Watch", "peak_memory"]

_highest = 0


def _peak() -> int:
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_memory() -> int:
    """The most resident memory since the process began, in bytes; 0 if this system does not tell."""
    global _highest
    _highest = max(_highest, _peak())
    return _highest


class Watch:
    """Memory from now on.

    Attributes:
        before: resident memory when it began, in bytes.
    """

    def __init__(self) -> None:
        peak_memory()  # remembers what is forgotten next
        try:
            with open("/proc/self/clear_refs", "wb") as control:
                control.write(b"5")
        except OSError:
            pass
        self.before = _peak()

    def peak(self) -> int:
        """The most resident memory since then, in bytes."""
        return _peak()
