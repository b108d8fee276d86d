"""Which cases a command is about: ``--only`` and ``--cases``."""

from __future__ import annotations

import argparse
import difflib
from pathlib import Path

from .cases import Case, load_cases, statement_ids
from .errors import UsageError

__all__ = ["add_selection", "selected_cases"]


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    which = "only cases that show ID (AGT-20, or AGT for all of them; may be repeated)"
    parser.add_argument("--only", action="append", default=[], metavar="ID", help=which)
    parser.add_argument("--cases", type=Path, metavar="FOLDER", help="other documents than the suite's own")


def selected_cases(options: argparse.Namespace) -> list[Case]:
    """Read the cases that are asked for.

    Raises:
        UsageError: there are none, or something asked for cannot be.
    """
    if options.cases is not None and not options.cases.is_dir():
        raise UsageError(f"no such folder: {options.cases}")
    known = statement_ids()
    families = sorted({each.split("-")[0] for each in known})
    for each in options.only:
        if each not in families and each not in known and not each.startswith(("SEC", "ASK", "RFC")):
            close = difflib.get_close_matches(each.upper(), [*families, *known], 3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"they are called {'-n, '.join(families)}-n"
            raise UsageError(f"{each!r} is no statement; {hint}")
    cases = load_cases(options.cases, only=options.only)
    if not cases:
        raise UsageError(f"no case shows {' or '.join(options.only)}" if options.only else "there are no cases")
    return cases
