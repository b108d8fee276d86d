"""Which servers there are, how each is started, and who ends it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "free_port", "node", "running", "servers"]

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "benchmarks" / "servers"
PEERS = ROOT / ".venv-peers" / "bin"

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=4096; location = / {{ return 200 "Hello, World!\\n"; }} }}
}}
"""
HAPROXY = """\
global
  maxconn 4096
defaults
  mode http
  timeout client 10s
  timeout http-request 10s
  timeout connect 5s
  timeout server 10s
frontend all
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "Hello, World!"
"""


def node(version: str) -> str | None:
    """The path of a Node of that version (13.14.0, or 20 for the one of this machine), or None."""
    if version == "13.14.0":
        found = os.environ.get("NODE_13") or next(iter(sorted(map(str, ROOT.glob(".node/**/bin/node")))), None)
        return found
    return shutil.which("node")


def servers() -> dict[str, list[str]]:
    """Name → command, ``{port}`` and ``{folder}`` to be filled in. Those that are not installed are left out."""
    own = sys.executable
    found: dict[str, list[str]] = {}
    for runtime in ("asyncio", "uvloop", "trio"):
        if runtime == "asyncio" or importlib.util.find_spec(runtime):
            name = "anywire asyncio+uvloop" if runtime == "uvloop" else f"anywire {runtime}"
            found[name] = [own, str(HERE / "anywire_awaiting.py"), runtime, "{port}"]
    for runtime in ("sync", "gevent"):
        if runtime == "sync" or importlib.util.find_spec(runtime):
            found[f"anywire {runtime}"] = [own, str(HERE / "anywire_blocking.py"), runtime, "{port}"]
    for version in ("13.14.0", "20"):
        if path := node(version):
            found[f"Node {version}"] = [path, str(HERE / "node_server.js"), "{port}"]
    found |= _python_peers()
    if shutil.which("nginx"):
        found["nginx"] = ["nginx", "-c", "{folder}/nginx.conf", "-p", "{folder}"]
    if shutil.which("haproxy"):
        found["HAProxy"] = ["haproxy", "-db", "-f", "{folder}/haproxy.cfg"]
    return found


def _python_peers() -> dict[str, list[str]]:
    peer = str(PEERS / "python")
    if not Path(peer).exists():
        return {}
    app = ["--app-dir", str(HERE), "--host", "127.0.0.1", "--port", "{port}", "--backlog", "4096", "asgi:app"]
    quiet = ["--no-access-log", "--log-level", "critical", "--lifespan", "off"]
    found = {
        f"uvicorn {kind}": [str(PEERS / "uvicorn"), "--loop", "uvloop", "--http", kind, *quiet, *app]
        for kind in ("httptools", "h11", "zttp")
    }
    found["aiohttp"] = [peer, str(HERE / "aiohttp_server.py"), "{port}"]
    bind = ["--bind", "127.0.0.1:{port}"]
    for worker in ("asyncio", "trio"):
        hypercorn = [str(PEERS / "hypercorn"), "--worker-class", worker, "--backlog", "4096"]
        found[f"hypercorn {worker}"] = [*hypercorn, "--log-level", "critical", *bind, f"{HERE / 'asgi.py'}:app"]
    found["granian"] = [
        str(PEERS / "granian"), "--interface", "asginl", "--http", "1", "--loop", "uvloop", "--workers", "1",
        "--no-log", "--working-dir", str(HERE), "--host", "127.0.0.1", "--port", "{port}", "asgi:app",
    ]  # fmt: skip
    found["gunicorn gthread"] = [
        str(PEERS / "gunicorn"), "--worker-class", "gthread", "--threads", "64", "--log-level", "critical", "--backlog",
        "4096", "--chdir", str(HERE), *bind, "wsgi:app",
    ]  # fmt: skip
    for kind in ("waitress", "cheroot", "pywsgi"):
        found["gevent.pywsgi" if kind == "pywsgi" else kind] = [peer, str(HERE / "wsgi.py"), kind, "{port}"]
    return found


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], *, cpus: set[int] | None = None, patience: float = 15.0) -> Iterator[tuple[int, int]]:
    """Start a server and wait until it accepts; end it and its children by pid afterwards.

    Args:
        command: of :func:`servers`.
        cpus: processors it may use; all if None.
        patience: seconds it may take to begin.

    Yields:
        Its port and its pid.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("nginx.conf", NGINX), ("haproxy.cfg", HAPROXY)):
            Path(folder, name).write_text(text.format(port=port, folder=folder))
        complaints = Path(folder, "stderr")  # no pipe: nobody reads, and a server that complains a lot would stop
        with complaints.open("wb") as stderr:
            process = subprocess.Popen(
                [part.format(port=port, folder=folder) for part in command],
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(HERE)},
                preexec_fn=None if cpus is None else lambda: os.sched_setaffinity(0, cpus),
            )  # fmt: skip
        try:
            _await(process, port, patience, complaints)
            yield port, process.pid
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait(5)


def _await(process: subprocess.Popen[bytes], port: int, patience: float, complaints: Path) -> None:
    import time

    due = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < due:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"it does not listen: {complaints.read_text(errors='replace')[-500:]}")
