"""docs/testing.md: its programs run a client and a server in memory, and nothing else can be connected to (ASK-64)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.DOTALL))
# What makes a socket and where it could go: the event loops have sockets of their own, which are connected to nothing.
GUARD = """
import sys

def guard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise RuntimeError(f"{event} {args}")

sys.addaudithook(guard)
"""
AWAITING = """
async def app(req, res):
    await res.end("in memory")

"""
BLOCKING = AWAITING.replace("async ", "").replace("await ", "")
RUN = {
    "asyncio": AWAITING + "asyncio.run(main(app))",
    "trio": AWAITING + "trio.run(main, app)",
    "gevent": BLOCKING + "main(app)",
    "sync": BLOCKING + "main(app)",
}


def test_there_is_a_program_for_each_runtime() -> None:
    assert PROGRAMS.keys() == RUN.keys()


@pytest.mark.parametrize("name", RUN)
def test_in_memory(name: str) -> None:
    pytest.importorskip(f"anywire.{name}")
    command = [sys.executable, "-W", "error", "-c", GUARD + PROGRAMS[name] + RUN[name]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.stderr) == ("200 b'in memory'\nERR_NETWORK_BLOCKED\n", "")


def test_the_guard_guards() -> None:
    attempt = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", GUARD + attempt], capture_output=True, text=True, check=False)
    assert "RuntimeError: socket." in done.stderr
