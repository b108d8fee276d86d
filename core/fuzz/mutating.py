"""Mutations that depend on nothing but a seed: for the tests, and where there is no atheris."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

__all__ = ["mutations"]

WORDS = [
    b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b";", b",", b"\x00", b"\x7f", b"\xff", b"\xff\xff", b"0", b"9", b"-1",
    b"+1", b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\n",
    b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n", b"chunked", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: x\r\n", b"HEAD", b"CONNECT", b"Expect: 100-continue\r\n", b"Expect: x\r\n",
    b"Trailer: T\r\n", b"T: v\r\n", b" folded\r\n", b"X: y\r\n",
]  # fmt: skip


def mutations(corpus: Sequence[bytes], seed: str, count: int) -> Iterator[bytes]:
    """Yield `count` inputs, each made from one or two of `corpus`."""
    random = Random(seed)
    for _ in range(count):
        made = bytearray(random.choice(corpus))
        if random.random() < 0.2:
            other = random.choice(corpus)
            made[random.randint(0, len(made)) :] = other[random.randint(0, len(other)) :]
        for _ in range(random.choice([1, 1, 1, 2, 3, 6])):
            _mutate(made, random)
        yield bytes(made)


def _mutate(made: bytearray, random: Random) -> None:
    at = random.randint(0, len(made))
    span = random.choice([0, 0, 1, 1, 2, 4, 16, 64])
    match random.randrange(8):
        case 0:
            made[at : at + span] = random.choice(WORDS)
        case 1:
            made[at:at] = bytes([random.randrange(0xE0, 0x100)])
        case 2:
            made[at:at] = random.choice(WORDS)
        case 3:
            del made[at : at + span + 1]
        case 4:
            made[at:at] = made[at : at + span]
        case 5 if made:
            made[random.randrange(min(2, len(made)))] = random.randrange(256)  # the setup
        case 6 if made:
            made[at % len(made)] ^= 1 << random.randrange(8)
        case _:
            made[at : at + 1] = bytes([random.randrange(256)])
