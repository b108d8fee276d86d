"""How much code there is, and how much there may be. ``make lines`` prints it; test_layers.py holds it to it.

Lines of code: no blank lines, no comments, no docstrings.
"""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAX_CODE_LINES", "ROOT", "Size", "code_lines", "sizes", "table"]

ROOT = Path(__file__).resolve().parents[2]

MAX_CODE_LINES = 400
"""Of a module; of a backend in total."""
MAX_FACADE_LINES = 600
"""Of a facade in total: from there on, generating one of the two would pay."""

TRANSPORT = {
    "_connector.py",
    "_crew.py",
    "_duplex.py",
    "_loop.py",
    "_opening.py",
    "_roster.py",
    "_sockets.py",
    "_threads.py",
}
"""Modules beside the facades that are transport: how sockets are opened, streams carried, and who serves on threads."""


@dataclass(slots=True)
class Size:
    """How much there is of something, and how much there may be."""

    what: str
    lines: int
    limit: int


def code_lines(path: Path) -> int:
    """Lines that hold code: no blank lines, no comments, no docstrings."""
    text = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in quiet and token.type != tokenize.ENCODING:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            if is_text and isinstance(first.value.value, str):  # type: ignore[attr-defined]
                lines.difference_update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def sizes(root: Path = ROOT) -> list[Size]:
    """Each backend, the sim's, each facade, then each module of the core, the largest first."""

    def total(what: str, paths: Iterable[Path], limit: int) -> Size:
        return Size(what, sum(map(code_lines, paths)), limit)

    found = [
        total(part.name, part.glob("src/**/*.py"), MAX_CODE_LINES)
        for part in sorted(root.glob("backend-*"))
        if (part / "src").is_dir()
    ]
    sim = root / "conformance/src/anywire/conformance/sim"
    names = ("_pump.py", "_runtime.py", "http.py", "https.py")
    found.append(total("the sim's backend", [sim / name for name in names], MAX_CODE_LINES))
    core = root / "core/src/anywire/core"
    for colour in ("awaiting", "blocking"):
        paths = [path for path in (core / "facade" / colour).glob("*.py") if path.name not in TRANSPORT]
        found.append(total(f"the {colour} facade", paths, MAX_FACADE_LINES))
    modules = [Size(path.relative_to(core).as_posix(), code_lines(path), MAX_CODE_LINES) for path in core.rglob("*.py")]
    return found + sorted(modules, key=lambda each: (-each.lines, each.what))


def table(found: Iterable[Size]) -> str:
    """For people."""
    return "\n".join(f"{each.lines:5} of {each.limit}  {each.what}" for each in found)


if __name__ == "__main__":
    sys.stdout.write(table(sizes()) + "\n")
