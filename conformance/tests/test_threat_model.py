"""docs/threat-model.md names cases and tests: they have to be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from anywire.conformance.cases import load_cases

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")

ROWS = [line for line in PAGE.splitlines() if line.startswith("|") and "`" in line.rsplit("|", 2)[1]]
NAMED = sorted({name for line in ROWS for name in re.findall(r"`([^`]+)`", line.rsplit("|", 2)[1])})
CASES = {f"{case.document.path.parent.name}/{case.document.path.stem}: {case.document.title}" for case in load_cases()}


def test_there_are_rows() -> None:
    assert len(ROWS) > 50
    assert len(NAMED) > 90


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there(name: str) -> None:
    path, _, test = name.partition("::")
    if not test:
        assert name in CASES
        return
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_table_that_shows_something_shows_it_in_every_row() -> None:
    shows = False
    for line in PAGE.splitlines():
        if line.startswith("| "):
            last = line.rsplit("|", 2)[1].strip()
            if last == "shown by":
                shows = True
            elif shows:
                assert last.startswith("`"), line
        elif not line.startswith("|"):
            shows = False
