"""The command ``anywire-conformance run --backend NAME``."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .backends import KNOWN, PATIENCE, Backend, resolve
from .cases import Case, matches
from .running import FAIL, PASS, SKIP, Outcome
from .selection import add_selection, selected_cases
from .verdicts import DEVIATION, GAP, SIGNS, Verdict, as_json, judge, run_suite

__all__ = ["add_run"]

STUCK = 4 * PATIENCE
"""Seconds after which a run is not given up by its backend any more: its loop sleeps or spins."""

DESCRIPTION = """\
Runs the cases on a backend and gives a verdict for each statement about Node's http module: pass, fail, deviation
(it passes, and is not what Node does, for a reason), or not covered.

A backend is one of this installation, or your own: a function without arguments that returns what
docs/write-a-backend.md describes, named as some.module:function. Modules are also looked for in the current folder.
"""
EPILOG = """\
Exit status: 0 when nothing fails, 1 when something does (or the backend is stuck), 2 when nothing was run.

  anywire-conformance run --backend my.package:maker --only WIR -x   begin here, then SRV, CLI, and AGT last
  anywire-conformance run --backend my.package:maker --only AGT-20 -v
  anywire-conformance run --backend anywire.conformance.sim --seed 7 --json out.json
"""


def add_run(commands: Any) -> None:
    """Add ``run`` to the commands of a parser."""
    parser = commands.add_parser(
        "run",
        help="run the cases on a backend",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backend", required=True, metavar="NAME", help=f"{', '.join(KNOWN)}, or some.module:function")
    add_selection(parser)
    parser.add_argument("--exit-first", "-x", action="store_true", help="stop at the first failure")
    parser.add_argument("--statements", "-s", action="store_true", help="list the verdict of every statement")
    parser.add_argument("--verbose", "-v", action="store_true", help="show the transcript of every run")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write verdicts and transcripts to FILE, - for stdout"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the sim: ready tasks run, and bytes arrive, at random"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    cases = selected_cases(options)
    backend = resolve(options.backend)
    if options.seed is not None and hasattr(backend, "seed"):
        backend.seed = options.seed
    stdout_is_json = options.json is not None and str(options.json) == "-"
    shown: Any = sys.stderr if stdout_is_json else sys.stdout
    report = _Report(options, shown, sum(len(case.variants) for case in cases))
    start = time.monotonic()
    interrupted = False
    watchdog = _Watchdog()

    def over(outcome: Outcome) -> None:
        watchdog.calm()
        report.add(outcome)

    try:
        run_suite(backend, watchdog.follow(cases), progress=over)
    except _Enough:
        pass
    except KeyboardInterrupt:
        interrupted = True
    finally:
        watchdog.stop()
    took = time.monotonic() - start
    verdicts = judge(report.outcomes, _wanted(cases, options.only))
    report.finish(backend, verdicts, took)
    if options.json is not None:
        text = json.dumps(as_json(backend, verdicts, report.outcomes), indent=1, ensure_ascii=False) + "\n"
        if stdout_is_json:
            sys.stdout.write(text)
        else:
            options.json.write_text(text, encoding="utf-8")
    return 130 if interrupted else 1 if report.failed else 0


def _wanted(cases: list[Case], only: list[str]) -> list[str] | None:
    """The statements to judge: all, or those that were asked for. Of others not all cases were run."""
    if not only:
        return None
    return list(dict.fromkeys(each for case in cases for each in case.ids if matches(each, only)))


class _Enough(Exception):
    """The first failure was to be the last."""


class _Watchdog:
    """Ends the process when a run neither ends nor is given up: no exception could get into a loop that is stuck."""

    def __init__(self) -> None:
        self._case = ""
        self._timer: threading.Timer | None = None

    def follow(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The same `cases`; each is watched from when it is taken."""
        for case in cases:
            self._case = case.name
            self.calm()
            yield case

    def calm(self) -> None:
        """Something came to its end: begin to wait anew."""
        self.stop()
        self._timer = threading.Timer(STUCK, self._bark)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """Nothing runs."""
        if self._timer is not None:
            self._timer.cancel()

    def _bark(self) -> None:
        sys.stdout.flush()
        sys.stderr.write(
            f"\n✗ {self._case} is stuck: after {STUCK:g} s it neither ended nor was given up. The backend's run()"
            f" has to give up after {PATIENCE:g} s; it cannot if its loop sleeps, spins, or has no timers.\n\n"
        )
        sys.stderr.flush()
        faulthandler.dump_traceback(2, all_threads=True)
        os._exit(1)


class _Report:
    """What a person sees."""

    def __init__(self, options: argparse.Namespace, shown: Any, total: int) -> None:
        self._options = options
        self._shown = shown
        self._total = total
        self._live = sys.stderr.isatty()
        self.outcomes: list[Outcome] = []

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.verdict == FAIL]

    def _print(self, text: str = "") -> None:
        print(text, file=self._shown)

    def add(self, outcome: Outcome) -> None:
        """One run is over."""
        self.outcomes.append(outcome)
        self._clear()
        case, failed = outcome.case, outcome.verdict == FAIL
        if failed or self._options.verbose:
            sign = {PASS: "✓", SKIP: "-"}.get(outcome.verdict, "✗")
            self._print(f"\n{sign} {case.name} ({outcome.variant}; {', '.join(case.ids)})")
            if failed:
                self._print(f"    {case.document.path}:{case.document.line}")
                if source := case.document.keys.get("Source"):
                    self._print(f"    expected by: {source}")
            self._print("\n".join(f"    {line}" for line in (outcome.details or outcome.transcript).splitlines()))
        if self._live:
            count = f"{len(self.outcomes)}/{self._total} {len(self.failed)} failed"
            sys.stderr.write(f"\r{count} {case.name}"[:79].ljust(79))
            sys.stderr.flush()
        if failed and self._options.exit_first:
            raise _Enough

    def _clear(self) -> None:
        if self._live:
            sys.stderr.write(f"\r{'':79}\r")
            sys.stderr.flush()

    def finish(self, backend: Backend, verdicts: dict[str, Verdict], took: float) -> None:
        """All runs are over."""
        self._clear()
        if self._options.statements or self._options.only:
            self._statements(verdicts)
        rows = [("", *SIGNS, "of")]
        families = dict.fromkeys(each.split("-")[0].split()[0] for each in verdicts)
        for family in (*families, ""):
            counts = Counter(v.verdict for k, v in verdicts.items() if k.startswith(family))
            rows.append((family or "all", *(str(counts[each]) for each in SIGNS), str(counts.total())))
        skipped = sum(outcome.verdict == SKIP for outcome in self.outcomes)
        cases = len({outcome.case.name for outcome in self.outcomes})
        title = f"{backend.name}: {cases} cases, {len(self.outcomes)} runs in {took:.1f} s"
        title = f"{title}, {len(self.failed)} failed, {skipped} skipped"
        if not (self._shown.isatty() and _rich_table(title, rows)):
            self._print(f"\n{title}")
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            for row in rows:
                self._print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
        if fails := [each.identifier for each in verdicts.values() if each.verdict == FAIL]:
            self._print(f"\nfailed: {', '.join(fails)}")

    def _statements(self, verdicts: dict[str, Verdict]) -> None:
        self._print()
        for each in verdicts.values():
            names = dict.fromkeys(outcome.case.name for outcome in each.outcomes)
            if each.verdict == FAIL:
                names = dict.fromkeys(outcome.case.name for outcome in each.outcomes if outcome.verdict == FAIL)
            why = "; ".join(each.reasons) if each.verdict == DEVIATION else ", ".join(names)
            self._print(f"{SIGNS[each.verdict]} {each.identifier:8} {each.verdict:11}  {why}".rstrip())


def _rich_table(title: str, rows: list[tuple[str, ...]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    table = Table(title=title, title_justify="left")
    styles = {PASS: "green", FAIL: "red", DEVIATION: "yellow", GAP: "dim"}
    for heading in rows[0]:
        table.add_column(heading, justify="right", style=styles.get(heading))
    for row in rows[1:]:
        table.add_row(*row, end_section=row is rows[-2])
    Console().print(table)
    return True
