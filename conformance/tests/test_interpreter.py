"""The whole suite in an interpreter that takes assertions away and treats every unclosed resource as an error."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anywire.conformance.sim", pytest.param("anywire.sync", marks=pytest.mark.long)])
def test_without_assertions_and_with_every_warning(name: str) -> None:
    """SEC-36: `-O` changes nothing. ASK-43: `-X dev` has nothing to warn about.

    Two of five, for they take their time; in their own tests every warning is an error on every backend.
    """
    done = subprocess.run(
        [sys.executable, "-O", "-X", "dev", "-W", "error", "-m", "anywire.conformance", "run", "--backend", name],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert re.search(r": \d{4,} cases, \d{4,} runs in [\d.]+ s, 0 failed, ", done.stdout)
    assert "Warning" not in done.stderr, done.stderr[-4000:]
    assert "Exception ignored" not in done.stderr, done.stderr[-4000:]
