"""wrk, which makes the load: one thread, and so many connections."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .work import Failed

__all__ = ["Load", "need_wrk", "run_wrk"]

MISSING = "wrk is not installed (Debian: apt-get install wrk; `make bench` does that as root)"


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a server.

    Attributes:
        path: of the request.
        connections: how many, at the same time.
        fields: header fields beside Host.
        script: in Lua, for what options cannot say.
        tls: over TLS.
        churn: each request on a connection of its own.
    """

    path: str = "/"
    connections: int = 64
    fields: tuple[str, ...] = ()
    script: str = ""
    tls: bool = False
    churn: bool = False


def need_wrk() -> None:
    """Raises Failed, with what to do, where there is no wrk."""
    if shutil.which("wrk") is None:
        raise Failed(MISSING)


def run_wrk(port: int, seconds: float, load: Load) -> float:
    """Requests per second.

    Raises:
        Failed: an answer was no success, or a connection broke.
    """
    whole = max(1, round(seconds))  # wrk counts in seconds
    command = ["wrk", "-t1", f"-c{load.connections}", f"-d{whole}s", "--timeout", "10s"]
    fields = (*load.fields, "Connection: close") if load.churn else load.fields
    for field in fields:
        command += ["-H", field]
    with tempfile.TemporaryDirectory() as folder:
        if load.script:
            script = Path(folder, "load.lua")
            script.write_text(load.script, "utf-8")
            command += ["-s", str(script)]
        command.append(f"http{'s' if load.tls else ''}://127.0.0.1:{port}{load.path}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=whole + 30)
        except subprocess.TimeoutExpired as error:
            raise Failed(f"wrk did not end within {whole + 30} s") from error
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if rate is None:
        raise Failed(f"wrk said: {done.stdout[-300:]}{done.stderr[-300:]}")
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout):
        raise Failed(f"{wrong[1]} answers were no success")
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done.stdout)
    if errors and any(map(int, errors.groups())):
        raise Failed(errors[0].replace("Socket errors:", "errors of sockets:"))
    if float(rate[1]) == 0:
        raise Failed("no answer came")
    return float(rate[1])
