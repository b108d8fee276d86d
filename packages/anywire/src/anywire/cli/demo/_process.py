"""The two processes of a run: the demo's server and its client.

Each has memory of its own, so that what one backend once needed does not hide what the next one needs; and each has
a session of its own, because Ctrl-C goes to the whole foreground group, and is for us to act upon.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

from .._complaint import INTERRUPTED, Complaint
from ._job import Job, OriginOptions, Result

__all__ = ["OriginProcess", "end_at_once", "read", "run_client", "stop_with_stdin", "write"]

_STOP = 15.0


def write(path: Path, value: Any) -> None:
    """Leave something for the other process."""
    path.write_bytes(pickle.dumps(value))


def read(path: Path) -> Any:
    """What the other process left there."""
    return pickle.loads(path.read_bytes())


def _start(program: str, told: Path, **options: Any) -> subprocess.Popen[bytes]:
    sys.stdout.flush()  # it may print, too
    command = [sys.executable, "-m", f"{__package__}.{program}", os.fspath(told)]
    return subprocess.Popen(command, start_new_session=True, **options)


class OriginProcess:
    """A running server. A context manager: leaving it ends the process.

    Its stdin is a pipe that we hold: however we end, it sees the end of it and goes too.

    Args:
        options: what it is told.
        folder: where to leave that.

    Attributes:
        port: where it listens, on 127.0.0.1.
        status: its exit status, once it has ended.

    Raises:
        Complaint: it did not start.
    """

    def __init__(self, options: OriginOptions, folder: Path) -> None:
        told = folder / "origin"
        write(told, options)
        self._process = _start("run_origin", told, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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


def stop_with_stdin() -> None:
    """In the server's process: the end of stdin is a SIGTERM."""

    def watch() -> None:
        # Not sys.stdin: its lock would be held while the interpreter ends.
        while os.read(0, 512):
            pass
        if hasattr(signal, "pthread_kill"):
            main = threading.main_thread().ident  # it may be in a call that only a signal of its own interrupts
            assert main is not None
            signal.pthread_kill(main, signal.SIGTERM)
        else:
            signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def run_client(job: Job, folder: Path) -> Result:
    """Run the demo's client to its end. It prints for itself.

    Args:
        job: what to do.
        folder: where to leave that, and where the result is left.
    """
    told = folder / "job"
    write(told, job)
    with _start("run_client", told, stdin=subprocess.DEVNULL) as process:
        try:
            process.wait()
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        return Result(job.backend, errors=[f"the client's process ended with status {process.returncode}"])
    result: Result = read(told)
    return result


def end_at_once() -> None:
    """In the client's process: SIGTERM ends it, wherever it is. What it made is in a folder of the other process."""

    def end(*_: object) -> None:
        if sys.stdout.isatty():
            os.write(1, b"\x1b[?25h\n")  # a progress bar hides the cursor
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGTERM, end)
