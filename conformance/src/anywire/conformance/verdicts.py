"""From outcomes of runs to a verdict per statement."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from .backends import Backend
from .cases import Case, load_cases, statement_ids
from .running import FAIL, PASS, SKIP, Outcome, run_case

__all__ = ["DEVIATION", "GAP", "SIGNS", "Verdict", "as_json", "judge", "run_suite"]

DEVIATION: Final = "deviation"
GAP: Final = "not covered"

SIGNS: Final = {PASS: "✓", DEVIATION: "≠", FAIL: "✗", GAP: "·"}
"""A verdict as one character."""


@dataclass(slots=True)
class Verdict:
    """What the suite says about one statement on one backend.

    Attributes:
        identifier: the statement.
        verdict: ``pass``, ``fail``, ``deviation`` (it passes, and a case says why it is not what Node does)
            or ``not covered``.
        reasons: of a deviation.
        outcomes: of the cases that show it.
    """

    identifier: str
    verdict: str
    reasons: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)


def run_suite(
    backend: Backend,
    cases: Iterable[Case] | None = None,
    *,
    progress: Callable[[Outcome], object] | None = None,
) -> list[Outcome]:
    """Run cases in all their variants.

    Args:
        backend: where.
        cases: which; all if None.
        progress: called with each outcome.
    """
    outcomes = []
    for case in load_cases() if cases is None else cases:
        for variant in case.variants:
            outcome = run_case(backend, case, variant)
            outcomes.append(outcome)
            if progress is not None:
                progress(outcome)
    return outcomes


def judge(outcomes: Iterable[Outcome], identifiers: Iterable[str] | None = None) -> dict[str, Verdict]:
    """Give each statement its verdict.

    Args:
        outcomes: of one backend.
        identifiers: which statements; all of the specification if None.
    """
    shown: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for each in outcome.case.ids:
            shown.setdefault(each, []).append(outcome)
    wanted = statement_ids() if identifiers is None else list(identifiers)
    return {each: _verdict(each, shown.get(each, [])) for each in wanted}


def _verdict(identifier: str, outcomes: list[Outcome]) -> Verdict:
    verdicts = {outcome.verdict for outcome in outcomes} - {SKIP}
    reasons = list(
        dict.fromkeys(
            outcome.case.deviations[identifier] for outcome in outcomes if identifier in outcome.case.deviations
        )
    )
    if FAIL in verdicts:
        verdict = FAIL
    elif PASS not in verdicts:
        verdict = GAP
    else:
        verdict = DEVIATION if reasons else PASS
    return Verdict(identifier, verdict, reasons, outcomes)


def as_json(backend: Backend, verdicts: dict[str, Verdict], outcomes: list[Outcome]) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "backend": backend.name,
        "statements": {
            each.identifier: {
                "verdict": each.verdict,
                "reasons": each.reasons,
                "cases": list(dict.fromkeys(outcome.case.name for outcome in each.outcomes)),
            }
            for each in verdicts.values()
        },
        "runs": [
            {
                "case": outcome.case.name,
                "variant": outcome.variant,
                "verdict": outcome.verdict,
                "details": outcome.details,
                "transcript": outcome.transcript,
            }
            for outcome in outcomes
        ],
    }
