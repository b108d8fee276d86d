"""Every case on every backend in every variant, and every parser case once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anywire.conformance.backends import installed, resolve
from anywire.conformance.cases import PARSER_ROLES, Case, load_cases, statement_ids
from anywire.conformance.pytest_plugin import pytest_generate_tests
from anywire.conformance.running import PASS, run_case

__all__ = ["pytest_generate_tests"]  # pytest finds it here

CONFORMANCE_BACKENDS = installed()


def test_conformance(conformance: Callable[[], str]) -> None:
    conformance()


@pytest.mark.parametrize("case", [case for case in load_cases() if case.role in PARSER_ROLES], ids=str)
def test_parser(case: Case) -> None:
    """These do not depend on a backend."""
    outcome = run_case(resolve("anywire.conformance.sim"), case, "whole")
    assert outcome.verdict == PASS, outcome.details


def test_a_case_gives_the_global_agent_back() -> None:
    backend = resolve("anywire.conformance.sim")
    own = backend.http.global_agent
    setting = [case for case in load_cases() if "set_global_agent" in case.document.blocks.get("app", "")]
    assert {case.role for case in setting} >= {"client", "server"}
    for case in setting:
        run_case(backend, case, "whole")
        assert backend.http.global_agent is own, case


def test_there_are_cases() -> None:
    cases = load_cases()
    assert len(cases) > 400
    assert len({case.name for case in cases}) == len(cases)
    shown = {each for case in cases for each in case.ids} & set(statement_ids())
    assert len(shown) >= 450


@pytest.mark.parametrize("case", [c for c in load_cases() if c.role not in PARSER_ROLES], ids=str)
def test_every_case_says_where_its_expectation_comes_from(case: Case) -> None:
    assert case.document.keys.get("Source")
