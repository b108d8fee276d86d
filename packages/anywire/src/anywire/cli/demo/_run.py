"""The demo from prepared input to result, for one backend after the other."""

from __future__ import annotations

import errno
import tempfile
import time
from pathlib import Path

from .._complaint import Complaint
from .._words import human_bytes
from ._job import MEMORY_BOUND, Job, Material, OriginOptions, Result
from ._process import OriginProcess, run_client
from ._report import Reporter
from ._stream import stream_digest
from ._tree import Tree, digests

__all__ = ["prepare", "run"]


def prepare(tree: Tree, size: int, reporter: Reporter) -> Material:
    """Find out what the input is, from the disk and the generator: what HTTP brings has to be the same."""
    left_out = f", {tree.left_out:,} links and others left out" if tree.left_out else ""
    reporter.line("tree", f"{tree.root}: {len(tree.files):,} files, {human_bytes(tree.size)}{left_out}")
    with reporter.phase("sha-256", len(tree.files)) as phase:
        known = digests(tree.root, tree.files, phase.advance)
        phase.note = f"{len(known):,} files read from the disk"
    with reporter.phase("sha-256", size) as phase:
        stream = stream_digest(size, phase.advance)
        phase.note = f"stream of {human_bytes(size)} generated"
    return Material(tree, known, size, stream)


def run(backend: str, material: Material, sockets: int, uvloop: bool) -> Result:
    """Run the whole job on one backend, server and client each in a process of its own.

    Args:
        backend: its name.
        material: the input.
        sockets: ``max_sockets`` of the Agent.
        uvloop: run on uvloop.

    Raises:
        Complaint: the server did not start, or the disk is full.
    """
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="anywire-demo-") as name:
            folder = Path(name)
            mirror, uploads = folder / "mirror", folder / "uploads"
            mirror.mkdir()
            uploads.mkdir()
            with OriginProcess(OriginOptions(backend, material.tree.root, uploads, uvloop), folder) as origin:
                result = run_client(Job(backend, material, sockets, uvloop, origin.port, mirror, uploads), folder)
            if origin.status:
                result.errors.append(f"the server's process ended with status {origin.status}")
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Complaint(f"no space left in {tempfile.gettempdir()}; set TMPDIR to a folder with more") from None
        raise
    result.seconds = time.perf_counter() - start
    for name, memory in (("client", result.client), ("server", result.server)):
        if memory.growth >= MEMORY_BOUND:
            result.errors.append(f"memory of the {name} grew by {human_bytes(memory.growth)} while the stream passed")
    return result
