"""Which servers there are, how each is started, and who ends it.

Those that speak TLS do so when BENCH_CERT and BENCH_KEY name PEM files (:class:`Certificate`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "BENCHED",
    "PEERS",
    "ROOT",
    "Certificate",
    "certificate",
    "floors",
    "free_port",
    "node",
    "nodes",
    "peer_python",
    "running",
    "servers",
]

ROOT = Path(__file__).resolve().parents[2]
BENCHED = ROOT / "benchmarks"
HERE = BENCHED / "servers"
PEERS = ROOT / ".venv-peers" / "bin"

NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
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


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of a server's certificate and its key."""

    cert: str
    key: str


@contextlib.contextmanager
def certificate() -> Iterator[Certificate]:
    """A certificate for 127.0.0.1, made on the fly."""
    import trustme

    issued = trustme.CA().issue_cert("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
        cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        yield Certificate(str(cert), str(key))


def node(version: str) -> str | None:
    """The path of a Node: ``13.14.0``, as npm set it up in .node/, or ``""`` for the one of this machine; or None."""
    if version == "13.14.0":
        return os.environ.get("NODE_13") or next(iter(sorted(map(str, ROOT.glob(".node/**/bin/node")))), None)
    return shutil.which("node")


@functools.cache
def nodes() -> dict[str, str]:
    """Name → path of each Node there is."""
    found = {}
    if path := node("13.14.0"):
        found["Node 13.14.0"] = path
    if path := node(""):
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        found[f"Node {said.strip().lstrip('v').split('.')[0]}"] = path
    return found


def peer_python() -> str | None:
    """The interpreter of the environment of peers, or None."""
    path = PEERS / "python"
    return str(path) if path.exists() else None


def floors() -> dict[str, list[str]]:
    """Name → command of the bare sockets of each runtime: no HTTP is done there."""
    program = [sys.executable, str(HERE / "floor_streams.py")]
    kinds = {"asyncio": "", "uvloop": "uvloop", "trio": "trio", "gevent": "gevent", "threads": ""}
    found = {
        f"floor {kind}": [*program, kind, "{port}"]
        for kind, module in kinds.items()
        if not module or importlib.util.find_spec(module)
    }
    return found | {"floor 64 threads": [*program, "threads-slow", "{port}"]}


def servers(tls: Certificate | None = None) -> dict[str, list[str]]:
    """Name → command, ``{port}`` and ``{folder}`` to be filled in. Those that are not installed are left out.

    With `tls` only those that can do it, and they do.
    """
    own = sys.executable
    found: dict[str, list[str]] = {}
    for runtime in ("asyncio", "uvloop", "trio"):
        if runtime == "asyncio" or importlib.util.find_spec(runtime):
            name = "anywire asyncio+uvloop" if runtime == "uvloop" else f"anywire {runtime}"
            found[name] = [own, str(HERE / "anywire_awaiting.py"), runtime, "{port}"]
    for runtime in ("sync", "gevent"):
        if runtime == "sync" or importlib.util.find_spec(runtime):
            found[f"anywire {runtime}"] = [own, str(HERE / "anywire_blocking.py"), runtime, "{port}"]
    for name, path in nodes().items():
        found[name] = [path, str(HERE / "node_server.js"), "{port}"]
    found |= _python_peers(tls)
    if tls is not None:
        return found
    if shutil.which("nginx"):
        found["nginx"] = ["nginx", "-c", "{folder}/nginx.conf", "-p", "{folder}"]
    if shutil.which("haproxy"):
        found["HAProxy"] = ["haproxy", "-db", "-f", "{folder}/haproxy.cfg"]
    return found


def _python_peers(tls: Certificate | None) -> dict[str, list[str]]:
    peer = peer_python()
    if peer is None:
        return {}
    app = ["--app-dir", str(HERE), "--host", "127.0.0.1", "--port", "{port}", "--backlog", "4096", "asgi:app"]
    quiet = ["--no-access-log", "--log-level", "critical", "--lifespan", "off"]
    secure = ["--ssl-certfile", tls.cert, "--ssl-keyfile", tls.key] if tls else []
    found = {
        f"uvicorn {kind}": [str(PEERS / "uvicorn"), "--loop", "uvloop", "--http", kind, *quiet, *secure, *app]
        for kind in ("httptools", "h11", "zttp")
    }
    found["aiohttp"] = [peer, str(HERE / "aiohttp_server.py"), "{port}"]
    bind = ["--bind", "127.0.0.1:{port}"]
    secure = ["--certfile", tls.cert, "--keyfile", tls.key] if tls else []
    for worker in ("asyncio", "trio"):
        hypercorn = [str(PEERS / "hypercorn"), "--worker-class", worker, "--backlog", "4096", *secure]
        found[f"hypercorn {worker}"] = [*hypercorn, "--log-level", "critical", *bind, f"{HERE / 'asgi.py'}:app"]
    secure = ["--ssl-certificate", tls.cert, "--ssl-keyfile", tls.key] if tls else []
    found["granian"] = [
        str(PEERS / "granian"), "--interface", "asginl", "--http", "1", "--loop", "uvloop", "--workers", "1",
        "--backlog", "4096", "--backpressure", "4096", "--no-log", "--working-dir", str(HERE), "--host", "127.0.0.1",
        "--port", "{port}", *secure, "asgi:app",
    ]  # fmt: skip
    secure = ["--certfile", tls.cert, "--keyfile", tls.key] if tls else []
    found["gunicorn gthread"] = [
        str(PEERS / "gunicorn"), "--worker-class", "gthread", "--threads", "64", "--worker-connections", "4096",
        "--log-level", "critical", "--backlog", "4096", "--chdir", str(HERE), *secure, *bind, "wsgi:app",
    ]  # fmt: skip
    for kind in ("cheroot", "pywsgi") if tls else ("waitress", "cheroot", "pywsgi"):  # waitress does no TLS
        found["gevent.pywsgi" if kind == "pywsgi" else kind] = [peer, str(HERE / "wsgi.py"), kind, "{port}"]
    return found


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str],
    *,
    cpus: frozenset[int] | None = None,
    patience: float = 15.0,
    tls: Certificate | None = None,
) -> Iterator[tuple[int, int]]:
    """Start a server and wait until it accepts; end it and its children by pid afterwards.

    Args:
        command: of :func:`servers`.
        cpus: processors it may use; all if None.
        patience: seconds it may take to begin.
        tls: what it shall show to clients.

    Yields:
        Its port and its pid.
    """
    port = free_port()
    secure = {"BENCH_CERT": tls.cert, "BENCH_KEY": tls.key} if tls else {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("nginx.conf", NGINX), ("haproxy.cfg", HAPROXY)):
            Path(folder, name).write_text(text.format(port=port, folder=folder))
        complaints = Path(folder, "stderr")  # no pipe: nobody reads, and a server that complains a lot would stop
        with complaints.open("wb") as stderr:
            process = subprocess.Popen(
                [part.format(port=port, folder=folder) for part in command],
                stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"} | secure,
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
    due = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < due:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"it does not listen: {complaints.read_text(errors='replace')[-500:]}")
