"""The document of promises, its page, and that what it names is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from anywire.conformance.cases import load_cases
from anywire.conformance.documents import DocumentError
from anywire.conformance.promises import Promise, load_promises, promises_page
from anywire.conformance.verdicts import judge

ROOT = Path(__file__).parents[2]


def test_all_are_there() -> None:
    wanted = [*(f"ASK-{number}" for number in range(1, 67)), *(f"SEC-{number}" for number in range(1, 49))]
    assert [promise.identifier for promise in load_promises()] == wanted


@pytest.mark.parametrize("promise", [each for each in load_promises() if each.tests], ids=lambda each: each.identifier)
def test_tests_are_there(promise: Promise) -> None:
    for each in promise.tests:
        path, _, name = each.partition("::")
        defined = {
            node.name
            for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8")))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in defined, each


def test_cases_name_promises_that_are_there() -> None:
    named = {each for case in load_cases() for each in case.ids if each.startswith(("ASK-", "SEC-"))}
    assert named <= {promise.identifier for promise in load_promises()}


def test_page(tmp_path: Path) -> None:
    document = tmp_path / "promises.md"
    document.write_text(
        "# Title\n\n## ASK-1 One\n\nTest: a.py::test_a\nTest: b.py::test_b\n\n"
        "## SEC-1 Two\n\nOutside: why\n\n## SEC-2 Three\n"
    )
    promises = load_promises(document)
    assert promises[0] == Promise("ASK-1", "One", ("a.py::test_a", "b.py::test_b"))
    page = promises_page({"x": judge([], ["ASK-1", "SEC-1", "SEC-2"])}, promises)
    assert "| ASK-1 | One | t | `a.py::test_a`; `b.py::test_b` |" in page
    assert "| SEC-1 | Two | – | why |" in page
    assert "| SEC-2 | Three | · |  |" in page


@pytest.mark.parametrize(
    "text", ["## ASK-1 One\n\n## ASK-1 Two\n", "## ASK-1\n", "## ABC-1 One\n", "## ASK-1 One\n\nTests: a\n"]
)
def test_wrong_document(tmp_path: Path, text: str) -> None:
    document = tmp_path / "promises.md"
    document.write_text(text)
    with pytest.raises(DocumentError, match=r"promises\.md:\d"):
        load_promises(document)
