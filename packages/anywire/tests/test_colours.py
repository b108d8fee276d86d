"""What is written in the awaiting colour and what was made of it are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[3] / "tools" / "make_blocking.py"


def test_the_blocking_colour_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(TOOL), "--check"], check=False)
    assert done.returncode == 0, "say `make blocking`"
