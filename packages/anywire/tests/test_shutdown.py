"""docs/shutdown.md: its programs close on SIGTERM, and the request that is under way is answered (ASK-47)."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "shutdown.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python (\w+)\n(.*?)```", PAGE, re.DOTALL))
LIMIT = 30.0
AWAITING = """
async def app(req, res):
    await res.write("first")
    await res.end(await req.read())

"""
RUN = {
    "asyncio": AWAITING + "asyncio.run(main(app))",
    "trio": AWAITING + "trio.run(main, app)",
    "gevent": AWAITING.replace("async ", "").replace("await ", "") + "main(app)",
    "sync": AWAITING.replace("async ", "").replace("await ", "") + "main(app)",
}


def test_there_is_a_program_for_each_runtime() -> None:
    assert PROGRAMS.keys() == RUN.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_sigterm(name: str) -> None:
    pytest.importorskip(f"anywire.{name}")
    command = [sys.executable, "-W", "always", "-c", PROGRAMS[name] + RUN[name]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            address = ("127.0.0.1", int(process.stdout.readline()))
            with socket.create_connection(address, LIMIT) as peer:
                peer.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")
                data = b""
                while not data.endswith(b"first\r\n"):
                    piece = peer.recv(4096)
                    assert piece, data
                    data += piece
                process.send_signal(signal.SIGTERM)
                while _listens(address):
                    pass
                peer.sendall(b"last")
                while piece := peer.recv(4096):
                    data += piece
            assert data.endswith(b"4\r\nlast\r\n0\r\n\r\n")
            assert process.wait(LIMIT) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, LIMIT).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        pass
    return True
