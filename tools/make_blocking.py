#!/usr/bin/env python3
"""Make the blocking colour of what is written in the awaiting one: the same without ``async`` and ``await``.

Usage: ``tools/make_blocking.py`` writes the files; with ``--check`` it only says, by its exit status, whether they
are up to date. Each folder of :data:`FOLDERS` has the originals, and the one beside it what is made of them.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FOLDERS = {
    "packages/anywire/src/anywire/cli/awaiting": "packages/anywire/src/anywire/cli/blocking",
    "examples/node/awaiting": "examples/node/blocking",
}
"""Originals → copies, under the root of the repository."""

APART = "net_*.py"
"""What each runtime has its own of."""

WORDS = [
    (r"^import asyncio\n", ""),
    (r"\basyncio\.run\(main\(\)\)", "main()"),
    (r"\basync (?=def|with|for)", ""),
    (r"\bawait (?!is\b)", ""),
    (r"Coroutine\[Any, Any, (\w+)\]", r"\1"),
    (r"\bCoroutine, ", ""),
    (r"\b(net_)?asyncio\b", r"\1sync"),
    (r"\bawaiting\b", "blocking"),
]
"""How a text changes with the colour."""


def in_blocking(text: str, origin: str) -> str:
    """A program of the awaiting colour in the blocking one, with a note where it comes from."""
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    text = f"# Made from {origin} by tools/make_blocking.py; change that one.\n{text}"
    for command in (["check", "--select", "I,F401,SIM117", "--fix", "--quiet"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(ROOT / "tools" / "made.py"), "-"]
        text = subprocess.run(ruff, input=text, capture_output=True, check=True, text=True, encoding="utf-8").stdout
    return text


def made() -> dict[Path, str]:
    """Every file there should be in the folders of copies, and its text."""
    return {
        ROOT / copies / path.name: in_blocking(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
        for originals, copies in FOLDERS.items()
        for path in sorted((ROOT / originals).glob("*.py"))
        if not path.match(APART)
    }


def main() -> int:
    """Write the copies, or compare them."""
    wanted = made()
    found = [path for copies in FOLDERS.values() for path in (ROOT / copies).glob("*.py") if not path.match(APART)]
    there = {path: path.read_text("utf-8") for path in found}
    if "--check" in sys.argv[1:]:
        return int(there != wanted)
    for path in there.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
