"""The command ``anywire-conformance``: ``run``, ``list``, ``table``, ``goldens``, ``probe``."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .backends import KNOWN, installed, resolve
from .cases import Case, load_cases, statement_ids
from .documents import DocumentError
from .errors import UsageError
from .golden_command import add_goldens
from .probe_command import add_probe
from .running import FAIL, SKIP, Outcome
from .selection import add_selection, selected_cases
from .table import SIGNS, made_table
from .verdicts import DEVIATION, GAP, Verdict, as_json, judge, run_suite

__all__ = ["main"]

DESCRIPTION = "One suite for every backend of anywire: a verdict for each statement about Node's http module."
RUN = """\
Runs the cases on a backend. A backend is one of this installation, or your own: a function without arguments that
returns what docs/write-a-backend.md describes, named as some.module:function.

Exit status: 0 when nothing fails, 1 when something does, 2 when nothing was run.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (UsageError, DocumentError, FileNotFoundError) as error:
        print(f"anywire-conformance: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anywire-conformance", description=DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    form = argparse.RawDescriptionHelpFormatter

    run = commands.add_parser("run", help="run the cases on a backend", description=RUN, formatter_class=form)
    run.add_argument("--backend", required=True, metavar="NAME", help=f"{', '.join(KNOWN)}, or some.module:function")
    add_selection(run)
    run.add_argument("--seed", type=int, metavar="N", help="seed of a backend with a simulated network (else unused)")
    run.add_argument("--json", type=Path, metavar="FILE", help="write verdicts and transcripts to FILE, - for stdout")
    run.add_argument("--verbose", "-v", action="store_true", help="show the transcript of every run")
    run.set_defaults(run=_run)

    listing = commands.add_parser("list", help="list the cases, what they show and where they stand")
    add_selection(listing)
    listing.add_argument("--gaps", action="store_true", help="list the statements that no case shows instead")
    listing.set_defaults(run=_list)

    table = commands.add_parser("table", help="write docs/conformance.md: every statement, every installed backend")
    table.add_argument("--output", type=Path, metavar="FILE", help="default docs/conformance.md, - for stdout")
    table.add_argument("--backend", action="append", metavar="NAME", help="only this one (may be repeated)")
    table.set_defaults(run=_table)

    add_goldens(commands)
    add_probe(commands)
    return parser


def _run(options: argparse.Namespace) -> int:
    cases = selected_cases(options)
    backend = resolve(options.backend)
    if options.seed is not None and hasattr(backend, "seed"):
        backend.seed = options.seed
    stdout_is_json = options.json is not None and str(options.json) == "-"
    shown: Any = sys.stderr if stdout_is_json else sys.stdout

    def progress(outcome: Outcome) -> None:
        if outcome.verdict == FAIL:
            print(f"\n✗ {outcome.case.name} ({outcome.variant}; {', '.join(outcome.case.ids)})", file=shown)
            print(_indented(outcome.details), file=shown)
        elif options.verbose:
            print(f"\n{outcome.verdict} {outcome.case.name} ({outcome.variant})", file=shown)
            print(_indented(outcome.details or outcome.transcript), file=shown)

    outcomes = run_suite(backend, cases, progress=progress)
    wanted = None if not options.only else list(dict.fromkeys(each for case in cases for each in case.ids))
    verdicts = judge(outcomes, wanted)
    _summary(backend.name, cases, outcomes, verdicts, shown)
    if options.json is not None:
        text = json.dumps(as_json(backend, verdicts, outcomes), indent=1, ensure_ascii=False) + "\n"
        if stdout_is_json:
            sys.stdout.write(text)
        else:
            options.json.write_text(text, encoding="utf-8")
    return 1 if any(outcome.verdict == FAIL for outcome in outcomes) else 0


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _summary(name: str, cases: list[Case], outcomes: list[Outcome], verdicts: dict[str, Verdict], shown: Any) -> None:
    rows = [("", *SIGNS, "of")]
    families = dict.fromkeys(each.split("-")[0] for each in verdicts)
    for family in (*families, ""):
        counts = Counter(v.verdict for k, v in verdicts.items() if not family or k.startswith(f"{family}-"))
        rows.append((family or "all", *(str(counts[each]) for each in SIGNS), str(counts.total())))
    failed = sum(outcome.verdict == FAIL for outcome in outcomes)
    skipped = sum(outcome.verdict == SKIP for outcome in outcomes)
    title = f"{name}: {len(cases)} cases, {len(outcomes)} runs, {failed} failed, {skipped} skipped"
    if shown.isatty() and _rich_table(title, rows):
        return
    print(f"\n{title}", file=shown)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)), file=shown)


def _rich_table(title: str, rows: list[tuple[str, ...]]) -> bool:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    table = Table(title=title, title_justify="left")
    styles = {"pass": "green", FAIL: "red", DEVIATION: "yellow", GAP: "dim"}
    for heading in rows[0]:
        table.add_column(heading, justify="right", style=styles.get(heading))
    for row in rows[1:]:
        table.add_row(*row, end_section=row is rows[-2])
    Console().print(table)
    return True


def _list(options: argparse.Namespace) -> int:
    cases = selected_cases(options)
    if options.gaps:
        covered = {each for case in cases for each in case.ids}
        for each in statement_ids():
            if each not in covered:
                print(each)
        return 0
    for case in cases:
        path = case.document.path
        try:
            path = path.relative_to(Path.cwd())
        except ValueError:
            pass
        print(f"{path}:{case.document.line}: {case.document.title}  [{', '.join(case.ids)}]")
    return 0


def _table(options: argparse.Namespace) -> int:
    text = made_table(options.backend or installed(), load_cases())
    if str(options.output) == "-":
        sys.stdout.write(text)
        return 0
    output = options.output or Path("docs", "conformance.md")
    if not output.parent.is_dir():
        raise UsageError(f"no folder {output.parent}; run it in the checkout, or say --output FILE")
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
