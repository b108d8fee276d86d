#!/usr/bin/env python3
"""Draw docs/states.md from the tables in anywire.core._state.

Usage: ``docs/make_state_diagrams.py`` writes the file; with ``--check`` it only says, by its
exit status, whether the file is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from anywire.core._state import HALF, IDLE, JOINT

TARGET = Path(__file__).with_name("states.md")

MEANING = {
    "idle": "between messages; the next thing is a head",
    "body": "a head went by, its body or trailer section is not over",
    "done": "the message is complete; waits for the other half",
    "switched": "no longer HTTP (101, CONNECT)",
    "closed": "nothing more will come, and nothing is missing",
    "failed": "nothing more will come, and something is missing or was wrong",
}
INPUTS = {
    "head": "a head with a body to follow",
    "message": "a head that is the whole message",
    "finish": "the last byte of a body or trailer section",
    "switch": "101 or CONNECT was agreed",
    "cycle": "both halves are done and the connection persists",
    "end": "a clean end: FIN between messages, or the last message was said",
    "fail": "parse error, reset, FIN inside a message, timeout, `destroy()`",
}


def document() -> str:
    """The whole text of docs/states.md."""
    return "\n".join([*_introduction(), *_half(), *_joint(), ""])


def _introduction() -> list[str]:
    return [
        "# The states of a connection",
        "",
        "Drawn from `core/src/anywire/core/_state.py` by `docs/make_state_diagrams.py`; do not edit.",
        "",
        "A connection is two halves, one for what is received and one for what is sent, with the same table,",
        "and a keep-alive flag that couples them. For a server *receiving* is the request, for a client the response.",
    ]


def _half() -> list[str]:
    lines = ["", "## One half", "", "```mermaid", "stateDiagram-v2", f"    [*] --> {IDLE}"]
    for state, row in HALF.items():
        targets: dict[str, list[str]] = {}
        for what, after in row.items():
            targets.setdefault(after, []).append(what)
        lines += [f"    {state} --> {after}: {', '.join(inputs)}" for after, inputs in targets.items()]
    lines += ["```", "", "| state | means |", "|---|---|"]
    lines += [f"| `{state}` | {MEANING[state]} |" for state in HALF]
    lines += ["", "| input | means |", "|---|---|"]
    lines += [f"| `{what}` | {meaning} |" for what, meaning in INPUTS.items()]
    lines += ["", "| | " + " | ".join(f"`{what}`" for what in INPUTS) + " |", "|---" * (len(INPUTS) + 1) + "|"]
    for state, row in HALF.items():
        cells = [f"`{row[what]}`" if what in row else "" for what in INPUTS]
        lines.append(f"| `{state}` | " + " | ".join(cells) + " |")
    return [*lines, "", "An empty cell cannot happen: looking it up raises `KeyError`, a defect of anywire."]


def _joint() -> list[str]:
    lines = [
        "",
        "## Both halves",
        "",
        "In any other combination one half has work left, and both wait.",
        "",
        "| receiving | sending | keep-alive | both get |",
        "|---|---|---|---|",
    ]
    for (receiving, sending, keep_alive), what in JOINT.items():
        lines.append(f"| `{receiving}` | `{sending}` | {'yes' if keep_alive else 'no'} | `{what}` |")
    return lines


def main() -> int:
    """Write the document, or check it."""
    if "--check" in sys.argv[1:]:
        current = TARGET.read_text(encoding="utf-8") if TARGET.exists() else ""
        return int(current != document())
    TARGET.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
