"""What the bytes of a fuzzer mean: a setup, and a stream in which single bytes are operations.

Wire input is hardly ever made of high bytes, so these are the operations: a byte from 0xE0 up stands for something the
application, the transport or the clock does at that place, and 0xFF makes a literal of the byte behind it. What a
fuzzer inserts, removes or moves is then a program again, and wire bytes from anywhere are programs as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["CUT", "FIRST", "LITERAL", "bytewise", "joined", "read", "write"]

FIRST = 0xE0
"""The smallest byte that is an operation."""
CUT = 0xE0
"""What comes next arrives in a piece of its own."""
LITERAL = 0xFF

Step = bytes | int


def read(data: bytes, setup: int) -> tuple[bytes, list[Step]]:
    """Divide `data` into `setup` bytes and the steps: pieces that arrive, and operations in between."""
    head = data[:setup].ljust(setup, b"\0")
    steps: list[Step] = []
    piece = bytearray()
    literal = False
    for byte in data[setup:]:
        if literal or byte < FIRST:
            piece.append(byte)
            literal = False
        elif byte == LITERAL:
            literal = True
        else:
            if piece:
                steps.append(bytes(piece))
                piece.clear()
            steps.append(byte)
    if piece:
        steps.append(bytes(piece))
    return head, steps


def write(setup: bytes, steps: Iterable[Step]) -> bytes:
    """The bytes that :func:`read` makes `setup` and `steps` from."""
    out = bytearray(setup)
    for step in steps:
        if isinstance(step, int):
            out.append(step)
            continue
        for byte in step:
            if byte >= FIRST:
                out.append(LITERAL)
            out.append(byte)
    return bytes(out)


def joined(steps: Iterable[Step]) -> Iterator[Step]:
    """The same without cuts: what arrives between two operations arrives at once."""
    piece = b""
    for step in steps:
        if isinstance(step, bytes):
            piece += step
        elif step != CUT:
            if piece:
                yield piece
                piece = b""
            yield step
    if piece:
        yield piece


def bytewise(steps: Iterable[Step]) -> Iterator[Step]:
    """The same in pieces of one byte."""
    for step in steps:
        if isinstance(step, bytes):
            for index in range(len(step)):
                yield step[index : index + 1]
        elif step != CUT:
            yield step
