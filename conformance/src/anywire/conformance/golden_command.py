"""The commands ``anywire-conformance goldens`` and ``deviations``."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path
from typing import Any

from .cases import Case, load_cases
from .deviations import made_page
from .errors import UsageError
from .folders import beside
from .goldens import VERSION, Golden, find_node, load_goldens, place, record, wanted, write_goldens
from .holding import at_odds, differences, tally
from .selection import add_selection, selected_cases

__all__ = ["add_goldens"]

DESCRIPTION = f"""\
Runs the cases on the real Node {VERSION} and writes what it did to conformance/goldens/. Node is set up through npm in
.node/ of the current folder (or say --node PATH). Recording again changes nothing; what does change is shown. Cases
that expect something else without saying so are shown, too.

Exit status: 0; 1 when a case is at odds with its golden, or with --check when a golden differs from what is committed;
2 when nothing was recorded.
"""
PAGE = """\
Writes docs/deviations.md from the cases and their goldens: each difference from Node, what Node does, and the reason.
"""


def add_goldens(commands: Any) -> None:
    """Add ``goldens`` and ``deviations`` to the commands of a parser."""
    form = argparse.RawDescriptionHelpFormatter
    goldens = commands.add_parser(
        "goldens", help=f"record Node {VERSION}", description=DESCRIPTION, formatter_class=form
    )
    add_selection(goldens)
    goldens.add_argument("--node", type=Path, metavar="PATH", help=f"the binary of Node {VERSION}")
    goldens.add_argument("--check", action="store_true", help="write nothing, fail if anything differs")
    goldens.add_argument(
        "--show", action="store_true", help="write nothing, show what Node does and where cases differ"
    )
    goldens.set_defaults(run=_goldens)
    deviations = commands.add_parser("deviations", help="write docs/deviations.md", description=PAGE)
    deviations.add_argument("--output", type=Path, metavar="FILE", help="default docs/deviations.md, - for stdout")
    deviations.set_defaults(run=_deviations)


def _goldens(options: argparse.Namespace) -> int:
    if options.cases is not None and not options.show:
        raise UsageError("the goldens are those of the suite's own cases; say --show to see what Node does with others")
    chosen = selected_cases(options)
    cases = [case for case in chosen if wanted(case)]
    where = beside("goldens")
    node = find_node(options.node, Path(".node"))
    before = load_goldens(where)
    after = record(node, cases, before)
    if options.show:
        for case in cases:
            _show(case, after[place(case), case.document.title])
        return 0
    changed = [key for key, golden in after.items() if golden != before.get(key)]
    for key in changed:
        old = before[key].text().splitlines() if key in before else []
        print("\n".join(difflib.unified_diff(old, after[key].text().splitlines(), key[0], "now", lineterm="")))
    goldens = {**before, **after}
    if not options.check:
        everything = load_cases()
        write_goldens(goldens, [case for case in everything if wanted(case)], where)
        goldens = load_goldens(where)
    faults = 0
    for case in chosen:
        if (fault := at_odds(case, goldens)) is not None:
            faults += 1
            print(f"\n✗ {case.document.path}:{case.document.line} {case.document.title}\n{fault}")
    print(f"{len(after)} cases recorded, {len(changed)} goldens changed, {faults} cases at odds with Node")
    print(tally(chosen))
    return 1 if faults or (options.check and changed) else 0


def _show(case: Case, golden: Golden) -> None:
    print(golden.text())
    differ = differences(case, golden)
    print("The case expects this." if not differ else "The case expects (-) what Node does not do (+):")
    print("\n".join(f"    {line}" for line in differ) + "\n")


def _deviations(options: argparse.Namespace) -> int:
    text = made_page(load_cases(), load_goldens())
    if str(options.output) == "-":
        sys.stdout.write(text)
        return 0
    output = options.output or Path("docs", "deviations.md")
    if not output.parent.is_dir():
        raise UsageError(f"no folder {output.parent}; run it in the checkout, or say --output FILE")
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}")
    return 0
