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
from .table import made_pages

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

    table = commands.add_parser(
        "table", help="write docs/conformance.md, parity.md and promises.md: every installed backend"
    )
    table.add_argument("--output", type=Path, metavar="FOLDER", help="default docs; - for stdout")
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
    folder = options.output or Path("docs")
    to_stdout = str(folder) == "-"
    if not to_stdout and not folder.is_dir():
        raise UsageError(f"no folder {folder}; run it in the checkout, or say --output FOLDER")
    for name, text in made_pages(options.backend or installed(), load_cases(), progress=_tell).items():
        if to_stdout:
            sys.stdout.write(text)
        else:
            (folder / name).write_text(text, encoding="utf-8")
            print(f"wrote {folder / name}")
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
