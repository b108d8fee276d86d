"""The demo's server, as a process: ``python -m anywire.cli.demo.origin JSON``. Started by the demo."""

from __future__ import annotations

import sys

from anywire.cli._backends import load
from anywire.cli.demo._process import from_arguments

__all__ = ["main"]


def main() -> None:
    """Serve until stdin ends."""
    backend, options = from_arguments(sys.argv[1])
    load(backend).serve_demo(options, lambda port: print(port, flush=True))


if __name__ == "__main__":
    main()
