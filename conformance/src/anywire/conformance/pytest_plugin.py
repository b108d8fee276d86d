"""The suite inside pytest: one test per case, backend and variant.

A test that takes the argument ``conformance`` is run for each; calling it raises AssertionError
with the differences. In a test module of your own::

    from anywire.conformance.pytest_plugin import pytest_generate_tests

    CONFORMANCE_BACKENDS = ["my.package:maker"]

    def test_conformance(conformance):
        conformance()

Nothing here imports pytest.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .backends import Backend, installed, resolve
from .cases import Case, load_cases
from .running import FAIL, run_case

__all__ = ["Run", "pytest_generate_tests"]


class Run:
    """One case on one backend in one variant; call it."""

    def __init__(self, name: str, case: Case, variant: str) -> None:
        self.backend = name
        self.case = case
        self.variant = variant

    def __call__(self) -> str:
        """Run it; returns the transcript.

        Raises:
            AssertionError: something differs; the message says what.
        """
        outcome = run_case(_backend(self.backend), self.case, self.variant)
        if outcome.verdict == FAIL:
            raise AssertionError(f"{', '.join(self.case.ids)}\n{outcome.details}")
        return outcome.transcript

    def __str__(self) -> str:
        return f"{self.backend}-{self.variant}-{self.case.name}"


@cache
def _backend(name: str) -> Backend:
    return resolve(name)


def pytest_generate_tests(metafunc: Any) -> None:
    """Parametrize tests with the argument ``conformance`` over ``CONFORMANCE_BACKENDS`` of their module."""
    if "conformance" not in metafunc.fixturenames:
        return
    names = getattr(metafunc.module, "CONFORMANCE_BACKENDS", None) or installed()
    runs = [
        Run(name, case, variant)
        for name in names
        for case in load_cases()
        for variant in case.variants
        if case.program.main.operations or case.peers  # parser cases do not depend on the backend
    ]
    metafunc.parametrize("conformance", runs, ids=str)
