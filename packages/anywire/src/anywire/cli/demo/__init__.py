"""``anywire demo``: what is the same on every runtime.

The tree and the stream, their digests, the server's process, memory, progress and the table are here. The exchanges
themselves are in the drivers (``on_asyncio``, …), in their runtime's own manner.
"""

from __future__ import annotations

from ._job import MEMORY_BOUND, Job, Material, Memory, OriginOptions, Rate, Result
from ._memory import Watch, peak_memory
from ._report import Phase, Reporter
from ._run import prepare, run
from ._stream import PIECE, stream, stream_digest
from ._tree import Entry, Tree, compare, scan

__all__ = [
    "MEMORY_BOUND",
    "PIECE",
    "Entry",
    "Job",
    "Material",
    "Memory",
    "OriginOptions",
    "Phase",
    "Rate",
    "Reporter",
    "Result",
    "Tree",
    "Watch",
    "compare",
    "peak_memory",
    "prepare",
    "run",
    "scan",
    "stream",
    "stream_digest",
]
