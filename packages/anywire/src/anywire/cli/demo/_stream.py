"""The generated stream: any length, the same in every process, no two pieces alike.

Each piece begins with its number, so that a piece lost, doubled or out of order changes the digest; the rest is
random bytes from a fixed seed, so that nothing on the way can compress it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import cache
from random import Random

__all__ = ["PIECE", "stream", "stream_digest"]

PIECE = 65536
"""Bytes per piece."""

_SEED = 20200429
_POOL = 1 << 20
_STEP = 4099


@cache
def _pool() -> bytes:
    # Kept: making it takes several times as much memory, which would be taken for a cost of streaming.
    return Random(_SEED).randbytes(_POOL + PIECE)


def stream(size: int) -> Iterator[bytes]:
    """The pieces of the stream of `size` bytes."""
    pool = _pool()
    index = 0
    while size > 0:
        offset = index * _STEP % _POOL
        piece = index.to_bytes(8, "big") + pool[offset : offset + PIECE - 8]
        yield piece if size >= PIECE else piece[:size]
        size -= PIECE
        index += 1


def stream_digest(size: int, advance: Callable[[int], None]) -> bytes:
    """The SHA-256 digest of the stream; `advance` is told of progress in bytes."""
    digest = hashlib.sha256()
    for piece in stream(size):
        digest.update(piece)
        advance(len(piece))
    return digest.digest()
