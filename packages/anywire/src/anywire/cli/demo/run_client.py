"""The demo's client, as a process: ``python -m anywire.cli.demo.run_client FILE``. Started by the demo."""

from __future__ import annotations

import sys
from pathlib import Path

from anywire.cli._backends import load
from anywire.cli._complaint import FAILED
from anywire.cli.demo import Job, Reporter, Result, peak_memory
from anywire.cli.demo._process import end_at_once, read, write

__all__ = ["main"]


def main() -> int:
    """Do what FILE says, and put what came of it there."""
    end_at_once()
    told = Path(sys.argv[1])
    job: Job = read(told)
    result = Result(job.backend)
    reporter = Reporter()
    try:
        reporter.begin(f"{job.backend}{' on uvloop' if job.uvloop else ''}")
        load(job.backend).run_demo(job, result, reporter)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; the other process says so.
        sys.stdout = None
        return FAILED
    result.client.peak = peak_memory()
    write(told, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
