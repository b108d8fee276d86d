"""The command ``anywire-conformance``: ``run``, ``list``, ``table``, ``goldens``, ``probe``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .backends import installed
from .cases import load_cases, statement_ids
from .documents import DocumentError
from .errors import UsageError
from .golden_command import add_goldens
from .probe_command import add_probe
from .run_command import add_run
from .selection import add_selection, selected_cases
from .table import made_table

__all__ = ["main"]

DESCRIPTION = "One suite for every backend of anywire: a verdict for each statement about Node's http module."


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
    add_run(commands)

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
    output = options.output or Path("docs", "conformance.md")
    if str(output) != "-" and not output.parent.is_dir():
        raise UsageError(f"no folder {output.parent}; run it in the checkout, or say --output FILE")
    text = made_table(options.backend or installed(), load_cases(), progress=_tell)
    if str(output) == "-":
        sys.stdout.write(text)
        return 0
    output.write_text(text, encoding="utf-8")
    print(f"wrote {output}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
