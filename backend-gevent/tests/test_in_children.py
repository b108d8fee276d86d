"""Runs the tests of ``gevent_*.py``, each file in a child process of its own, with and without monkey patching.

In a child, because patching cannot be undone, and a hub in the test runner would be everybody's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = sorted(path.name for path in HERE.glob("gevent_*.py") if path.name != "gevent_kit.py")

PROGRAM = """
import sys
if {patched}:
    from gevent import monkey
    monkey.patch_all()
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", {file!r}, *sys.argv[1:]]))
"""


@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
@pytest.mark.parametrize("name", FILES)
def test_in_a_child(name: str, patched: bool) -> None:
    program = PROGRAM.format(patched=patched, file=str(HERE / name))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", program], cwd=HERE.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_patches_nothing() -> None:
    program = (
        "import anywire.gevent, select, socket, ssl, threading, time\n"
        "from gevent import monkey\n"
        "assert not monkey.saved, monkey.saved\n"
        "assert socket.socket.__module__ == 'socket'\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
