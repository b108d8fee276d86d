"""``anywire demo``: what is the same on every runtime.

The tree and the stream, their digests, what is asked and what is right, the processes, memory, progress and the table
are here. What waits is in the drivers (``awaiting``, ``blocking``).
"""

from __future__ import annotations

from ._client import DEADLINE, EXPECTATIONS, Client, Expectation, expect
from ._job import MEMORY_BOUND, Job, Material, Memory, OriginOptions, Rate, Result
from ._memory import Watch, peak_memory
from ._origin import (
    ECHO_ACCEPTED,
    ECHO_REFUSED,
    TUNNEL_FAILED,
    TUNNEL_OPENED,
    TUNNEL_REFUSED,
    Origin,
    either_ends,
    tunnel_target,
)
from ._report import Phase, Reporter
from ._run import prepare, run
from ._stream import PIECE, stream, stream_digest
from ._tree import Entry, Tree, compare, scan

__all__ = [
    "DEADLINE",
    "ECHO_ACCEPTED",
    "ECHO_REFUSED",
    "EXPECTATIONS",
    "MEMORY_BOUND",
    "PIECE",
    "TUNNEL_FAILED",
    "TUNNEL_OPENED",
    "TUNNEL_REFUSED",
    "Client",
    "Entry",
    "Expectation",
    "Job",
    "Material",
    "Memory",
    "Origin",
    "OriginOptions",
    "Phase",
    "Rate",
    "Reporter",
    "Result",
    "Tree",
    "Watch",
    "compare",
    "either_ends",
    "expect",
    "peak_memory",
    "prepare",
    "run",
    "scan",
    "stream",
    "stream_digest",
    "tunnel_target",
]
