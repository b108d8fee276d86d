"""SEC-45: what is said about exchanges that fail holds no credentials, no bodies and nothing that steers a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .peers.real import RUNTIMES

TELLER = Path(__file__).parent / "peers" / "teller.py"


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nothing_leaks(runtime: str) -> None:
    """Errors, tracebacks, reprs, names of pools, and what the runtime logs of a handler that raised."""
    command = [sys.executable, "-W", "error", str(TELLER), runtime]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    said, logged = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, logged
    assert "hunter2" not in said + logged
    assert all(each.isprintable() for each in (said + logged).splitlines())
    assert "RuntimeError: it broke" in logged
    assert "Error in a handler for POST /a%1b?***" in logged
    for part in ("Request POST http://127.0.0.1:", "http://***@", "Authorization: ***", "a\\x1b[31mb", "500"):
        assert part in said
