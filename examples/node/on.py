#!/usr/bin/env python3
"""Run an example on the runtime of your choice, or show how it is written there.

    on.py trio upgrade                  runs it
    on.py gevent upgrade --show         prints it
    on.py sync --all                    runs every example

A program in ``awaiting/`` is for asyncio as it stands; on trio ``anywire.trio`` is imported, and ``trio.run(main)``
starts it. A program in ``blocking/`` is for threads as it stands; on gevent ``anywire.gevent`` is imported.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent

COLOURS = {"asyncio": "awaiting", "trio": "awaiting", "sync": "blocking", "gevent": "blocking"}
EDITS = {
    "asyncio": [],
    "trio": [("asyncio.run(main())", "trio.run(main)"), ("asyncio", "trio")],
    "sync": [],
    "gevent": [("anywire.sync", "anywire.gevent"), ("net_sync", "net_gevent")],
}


def names() -> list[str]:
    """Every example."""
    return sorted(path.stem for path in (HERE / "awaiting").glob("*.py") if not path.stem.startswith("net_"))


def program(backend: str, name: str) -> str:
    """The text of an example for a runtime."""
    text = (HERE / COLOURS[backend] / f"{name}.py").read_text("utf-8")
    for word, other in EDITS[backend]:
        text = text.replace(word, other)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Run examples of Node's page on anywire.")
    parser.add_argument("backend", choices=list(COLOURS))
    parser.add_argument("name", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument("--all", action="store_true", help="every example")
    parser.add_argument("--show", action="store_true", help="print the program")
    parser.add_argument("--port", type=int, default=8000, help="in place of 8000; and the next one in place of 8080")
    chosen = parser.parse_args()
    if chosen.all == bool(chosen.name) or not set(chosen.name) <= set(names()):
        parser.error(f"say --all, or the NAME of an example: {', '.join(names())}")
    sys.path.insert(0, str(HERE / COLOURS[chosen.backend]))
    for name in names() if chosen.all else chosen.name:
        text = program(chosen.backend, name)
        if chosen.port != 8000:
            text = text.replace("8000", str(chosen.port)).replace("8080", str(chosen.port + 1))
        if chosen.show:
            print(text)
            continue
        if chosen.all:
            print(f"== {name}", flush=True)
        exec(compile(text, f"{name} on {chosen.backend}", "exec"), {"__name__": "__main__"})


if __name__ == "__main__":
    main()
