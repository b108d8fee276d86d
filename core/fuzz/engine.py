"""libFuzzer on one target: ``python -m core.fuzz.engine TARGET COMMAND ARGUMENTS``. Needs atheris.

The arguments are libFuzzer's; COMMAND is what it starts itself anew with, to merge.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["anywire.core"]):
    from .targets import TARGETS


def main() -> None:
    """Does not return: libFuzzer ends the process."""
    target, *arguments = sys.argv[1:]
    atheris.Setup(arguments, TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
