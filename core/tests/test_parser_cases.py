"""Every document of conformance/cases/parser, whole, byte by byte, with trailing data and in random pieces."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from anywire.conformance.documents import Document, load_folder
from anywire.conformance.parsing import Setup, events, setup_of, splits

CASES = list(load_folder(Path(__file__).parents[2] / "conformance" / "cases" / "parser"))


def check(setup: Setup, data: bytes, end: bool, expected: list[str], seed: str) -> None:
    """Run one case in every way; the log must be the same (WIR-75, SEC-29)."""
    assert events(setup, [data], end=end) == expected
    assert events(setup, [data[i : i + 1] for i in range(len(data))], end=end) == expected
    rng = random.Random(seed)
    for longest in (3, 20, 300):
        pieces = splits(data, [rng.randint(1, longest) for _ in data])
        assert events(setup, pieces, end=end) == expected
    # What follows an error is never looked at, and what follows a complete message is no part of it.
    if not end and not setup.take_rest and expected[-1] != "more":
        for trailing in (b"\0", b"A", b"\r\n", b" x\r\n\r\n"):
            got = events(setup, [data + trailing])
            assert got[: len(expected)] == expected
            if expected[-1].startswith("error"):
                assert got == expected


def test_there_are_cases() -> None:
    assert len(CASES) > 200
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Document) -> None:
    data, end = case.input()
    check(setup_of(case), data, end, case.lines(), case.name)
