"""Real peers as child processes on 127.0.0.1: who starts them, and who ends them, by pid."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from anywire.conformance.errors import UsageError
from anywire.conformance.goldens import find_node

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RUNTIMES = ("asyncio", "trio", "sync", "gevent")

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 7;
  upstream back {{ server 127.0.0.1:{back}; keepalive 4; }}
  upstream two {{ server 127.0.0.1:{dead} max_fails=1 fail_timeout=60s; server 127.0.0.1:{back}; }}
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 8m;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
    location / {{ proxy_pass http://back; }}
    location /unbuffered {{ proxy_request_buffering off; proxy_buffering off; proxy_pass http://back; }}
    location /two {{ proxy_pass http://two; }}
    location = /own {{ return 200 "nginx\\n"; }}
  }}
}}
"""
HAPROXY_DEFAULTS = """\
global
  maxconn 256
defaults
  mode http
  timeout client 10s
  timeout connect 5s
  timeout server 10s
  http-reuse always
"""
HAPROXY = (
    HAPROXY_DEFAULTS
    + """\
frontend all
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "haproxy" if {{ path /own }}
  use_backend two if {{ path_beg /two }}
  default_backend back
backend two
  option redispatch
  option httpchk GET /health
  server dead 127.0.0.1:{dead} check inter 200ms
  server one 127.0.0.1:{back} check inter 200ms
backend back
  option httpchk GET /health
  http-check send hdr Host health.example
  server one 127.0.0.1:{back} check inter 200ms
"""
)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def tool(name: str) -> str:
    """The path of a program, or the test is skipped, saying why."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {name})")
    return found


@contextlib.contextmanager
def child(
    command: list[str],
    where: int | Path,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run a server, at a port or a Unix socket, until the end of the block, where it gets the signal `end`."""
    family, address = (socket.AF_INET, ("127.0.0.1", where)) if isinstance(where, int) else (socket.AF_UNIX, str(where))
    # No pipe: nobody reads, and whoever complains a lot would stop.
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=stdout, stderr=said) as process:
        try:
            while True:
                with contextlib.suppress(OSError), socket.socket(family) as sock:
                    sock.connect(address)
                    break
                if process.poll() is not None:
                    said.seek(0)
                    raise RuntimeError(f"{command[0]} ended: {said.read().decode(errors='replace')}")
                time.sleep(0.01)  # nothing can be waited for but the port itself
            yield
        finally:
            process.send_signal(end)
            process.wait(10)


class Recorder:
    """An anywire server that records. At a Unix socket its port is 0."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self._log = log

    def seen(self) -> list[dict[str, object]]:
        """What it saw, but for health checks."""
        return [each for each in self._all() if each["url"] != "/health"]

    def checks(self) -> list[dict[str, object]]:
        """The health checks that it saw."""
        return [each for each in self._all() if each["url"] == "/health"]

    def _all(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@contextlib.contextmanager
def recorder(
    runtime: str, folder: Path, path: Path | None = None, *, upgrades: bool = False, **options: object
) -> Iterator[Recorder]:
    """An anywire server on `runtime`; with options it speaks TLS."""
    where = path or free_port()
    log = folder / "seen"
    command = [sys.executable, str(HERE / "recorder.py"), runtime, str(where)]
    command += ["upgrades"] if upgrades else [json.dumps(options)]
    with log.open("wb") as file, child(command, where, file):
        yield Recorder(where if isinstance(where, int) else 0, log)


@contextlib.contextmanager
def front(kind: str, back: int, folder: Path) -> Iterator[int]:
    """nginx or HAProxy before a server at port `back`."""
    program = tool(kind)
    port = free_port()
    config = folder / f"{kind}.cfg"
    config.write_text(
        (NGINX if kind == "nginx" else HAPROXY).format(port=port, back=back, folder=folder, dead=free_port())
    )
    arguments = ["-c", str(config), "-p", str(folder)] if kind == "nginx" else ["-db", "-f", str(config)]
    with child([program, *arguments], port):
        yield port


def node(version: str) -> str:
    """The path of Node 13.14.0, as npm sets it up for the goldens, or of any other; else the test is skipped."""
    if version == "any":
        return tool("node")
    try:
        return str(find_node(None, ROOT / ".node"))
    except UsageError as error:
        pytest.skip(str(error))
