"""The ``anywire`` command: ``anywire serve``, ``anywire demo``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ._arguments import parse_arguments
from ._complaint import FAILED, INTERRUPTED, Complaint

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes those of the process.

    Returns:
        Exit status: 0; 1 if it did not work; 2 if it was not tried; 130 after Ctrl-C.
    """
    try:
        chosen = parse_arguments(arguments)
        return chosen.run(chosen)
    except Complaint as complaint:
        print(f"anywire: {complaint}", file=sys.stderr)
        return complaint.status
    except KeyboardInterrupt:
        print("anywire: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing is left to be flushed at exit into a closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
