"""The demo's server in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

from .._complaint import Complaint
from ._job import OriginOptions

__all__ = ["OriginProcess", "from_arguments"]

_STOP = 15.0


class OriginProcess:
    """A running server. A context manager: leaving it ends the process.

    Its stdin is a pipe that we hold: however we end, it sees the end of it and goes too.

    Args:
        backend: the runtime it runs on.
        options: what it is told.

    Attributes:
        port: where it listens, on 127.0.0.1.
        status: its exit status, once it has ended.

    Raises:
        Complaint: it did not start.
    """

    def __init__(self, backend: str, options: OriginOptions) -> None:
        told = {
            "backend": backend,
            "root": str(options.root),
            "uploads": str(options.uploads),
            "uvloop": options.uvloop,
        }
        command = [sys.executable, "-m", "anywire.cli.demo.origin", json.dumps(told)]
        # Its own session: Ctrl-C goes to the whole foreground group, and is for us to act upon.
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.status: int | None = None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise Complaint(f"the demo's server ended with status {self.status} before it was ready")
        self.port = int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_STOP)
        except BaseException:
            process.kill()
            process.wait()
        process.stdout.close()
        self.status = process.returncode


def from_arguments(text: str) -> tuple[str, OriginOptions]:
    """What :class:`OriginProcess` wrote on the command line: backend and options."""
    told = json.loads(text)
    options = OriginOptions(Path(told["root"]), Path(told["uploads"]), told["uvloop"])
    return told["backend"], options
