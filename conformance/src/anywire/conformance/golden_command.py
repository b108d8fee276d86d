"""The command ``anywire-conformance goldens``."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path
from typing import Any

from .cases import Case, load_cases
from .goldens import VERSION, Golden, find_node, folder, load_goldens, place, record, wanted, write_goldens
from .holding import differences
from .selection import add_selection, selected_cases

__all__ = ["add_goldens"]

DESCRIPTION = f"""\
Runs the cases on the real Node {VERSION} and writes what it did to conformance/goldens/. Node is set up through npm in
.node/ when it is not there (or say --node PATH). Recording again changes nothing; what does change is shown.

Exit status: 0, or with --check 1 when something differs from what is committed, 2 when nothing was recorded.
"""


def add_goldens(commands: Any) -> None:
    """Add ``goldens`` to the commands of a parser."""
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "goldens", help=f"record Node {VERSION}", description=DESCRIPTION, formatter_class=form
    )
    add_selection(parser)
    parser.add_argument("--node", type=Path, metavar="PATH", help=f"the binary of Node {VERSION}")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if anything differs")
    parser.add_argument("--show", action="store_true", help="write nothing, show what Node does and where cases differ")
    parser.set_defaults(run=_goldens)


def _goldens(options: argparse.Namespace) -> int:
    cases = [case for case in selected_cases(options) if wanted(case)]
    where = folder()
    node = find_node(options.node, where.parents[1] / ".node")
    before = load_goldens(where)
    after = record(node, cases, before)
    changed = [key for key, golden in after.items() if golden != before.get(key)]
    if options.show:
        for case in cases:
            _show(case, after[place(case), case.document.title])
        return 0
    for key in changed:
        old = before[key].text().splitlines() if key in before else []
        print("\n".join(difflib.unified_diff(old, after[key].text().splitlines(), f"{key[0]}", "now", lineterm="")))
    if not options.check:
        write_goldens({**before, **after}, load_cases(options.cases), where)
    agree = sum(not differences(case, after[place(case), case.document.title]) for case in cases)
    print(f"{len(after)} cases recorded, {agree} of them equal to Node's, {len(changed)} goldens changed")
    return 1 if options.check and changed else 0


def _show(case: Case, golden: Golden) -> None:
    print(golden.text())
    differ = differences(case, golden)
    print("The case expects this." if not differ else "The case expects (-) what Node does not do (+):")
    print("\n".join(f"    {line}" for line in differ) + "\n")
