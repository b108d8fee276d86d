"""A folder as a list of files, and what the files are, read from the disk and from nowhere else."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Entry", "Tree", "compare", "digest", "digests", "scan"]

SKIPPED = frozenset({"site-packages", "dist-packages"})
"""Folders that are no part of the standard library though they are inside it."""

_CHUNK = 1 << 18


class Entry(NamedTuple):
    """One file.

    Attributes:
        path: from the root, with slashes.
        size: bytes.
        stamp: modification time in nanoseconds.
    """

    path: str
    size: int
    stamp: int


class Tree(NamedTuple):
    """The files of a folder.

    Attributes:
        root: the folder.
        files: sorted by path.
        left_out: how many were not taken: links, special files, what cannot be read.
    """

    root: Path
    files: list[Entry]
    left_out: int

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(entry.size for entry in self.files)

    def changed(self, entry: Entry) -> bool:
        """Was that file written, or removed, since the scan?"""
        try:
            info = (self.root / entry.path).stat()
        except OSError:
            return True
        return (info.st_size, info.st_mtime_ns) != (entry.size, entry.stamp)


def scan(root: str | Path, *, limit: int | None = None) -> Tree:
    """List the regular files under `root`, all but those in :data:`SKIPPED` folders.

    Args:
        root: the folder.
        limit: take at most so many, spread over the whole tree.

    Raises:
        OSError: `root` itself cannot be read.
    """
    base = Path(os.path.realpath(root, strict=True))
    with os.scandir(base):
        pass
    files = []
    left_out = 0
    for folder, folders, names in os.walk(base):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in names:
            path = os.path.join(folder, name)
            try:
                info = os.lstat(path)
            except OSError:
                left_out += 1
                continue
            if "\\" in name or not stat.S_ISREG(info.st_mode) or not os.access(path, os.R_OK):
                left_out += 1
                continue
            files.append(Entry(Path(path).relative_to(base).as_posix(), info.st_size, info.st_mtime_ns))
    files.sort()
    if limit is not None and len(files) > limit:
        files = [files[index * len(files) // limit] for index in range(limit)]
    return Tree(base, files, left_out)


def digest(path: Path) -> bytes:
    """The SHA-256 digest of a file."""
    made = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while piece := file.read(_CHUNK):
            made.update(piece)
    return made.digest()


def digests(root: Path, entries: Iterable[Entry], advance: Callable[[int], None]) -> dict[str, bytes]:
    """The digests of `entries` under `root`, those that can be read. `advance` is told of each file."""
    found = {}
    for entry in entries:
        try:
            found[entry.path] = digest(root / entry.path)
        except OSError:
            pass
        advance(1)
    return found


def compare(copy: Path, tree: Tree, wanted: Mapping[str, bytes], advance: Callable[[int], None]) -> list[str]:
    """Is `copy` the same as `tree`: the same files, each with the digest in `wanted`?

    A file of `tree` that was written in the meantime is no difference: an interpreter that runs beside us may renew
    its bytecode at any time.

    Returns:
        The differences, one line each.
    """
    there = scan(copy)
    found = digests(copy, there.files, advance)
    differences = [f"{path}: nobody asked for it" for path in found.keys() - wanted.keys()]
    for entry in tree.files:
        if entry.path in wanted and found.get(entry.path) != wanted[entry.path] and not tree.changed(entry):
            differences.append(f"{entry.path}: {'differs' if entry.path in found else 'is missing'}")
    return sorted(differences)
