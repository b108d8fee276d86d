"""The demo's server, as a process: ``python -m anywire.cli.demo.run_origin FILE``. Started by the demo."""

from __future__ import annotations

import sys
from pathlib import Path

from anywire.cli._backends import load
from anywire.cli.demo import OriginOptions
from anywire.cli.demo._process import read, stop_with_stdin

__all__ = ["main"]


def main() -> None:
    """Serve until stdin ends."""
    options: OriginOptions = read(Path(sys.argv[1]))

    def ready(port: int) -> None:
        print(port, flush=True)
        stop_with_stdin()

    load(options.backend).serve_demo(options, ready)


if __name__ == "__main__":
    main()
