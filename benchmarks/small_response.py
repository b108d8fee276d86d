"""Requests per second of a 14-byte keep-alive response: anywire beside its peers, in one run.

Each server runs alone on one processor, wrk on another; the servers take turns (A B C A B C …)
so that a machine whose speed drifts is the same for all of them. What counts is the median of
the rounds and its ratio to the first peer that is there.

    python benchmarks/small_response.py --node PATH --uvicorn PATH [--rounds 5] [--seconds 3]

Needed: wrk. Node and uvicorn are measured if their paths are given. All traffic is on loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ANYWIRE = """
import asyncio, sys
from anywire.asyncio import http

HEADERS = {"Content-Type": "text/plain", "Content-Length": "14"}

async def app(req, res):
    res.write_head(200, HEADERS)
    await res.end(b"Hello, World!\\n")

async def main():
    async with http.create_server(app) as server:
        server.grace = 0.1
        await server.listen(int(sys.argv[1]), "127.0.0.1")
        await server.serve_forever()

if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""

NODE = """
require('http').createServer((req, res) => {
  res.writeHead(200, {'Content-Type': 'text/plain', 'Content-Length': '14'});
  res.end('Hello, World!\\n');
}).listen(+process.argv[2], '127.0.0.1');
"""

UVICORN = """
HEADERS = [(b"content-type", b"text/plain"), (b"content-length", b"14")]

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"Hello, World!\\n"})
"""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", help="path of a node binary")
    parser.add_argument("--uvicorn", help="path of a uvicorn script (with httptools and uvloop beside it)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="per round and server")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is not installed (Debian: apt-get install wrk)")

    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("anywire_app.py", ANYWIRE), ("app.js", NODE), ("uvicorn_app.py", UVICORN)):
            Path(folder, name).write_text(text)
        servers = {
            "anywire asyncio+uvloop": [sys.executable, f"{folder}/anywire_app.py", "{port}", "uvloop"],
            "anywire asyncio": [sys.executable, f"{folder}/anywire_app.py", "{port}", "asyncio"],
        }
        if args.node:
            version = subprocess.run(
                [args.node, "--version"], capture_output=True, text=True, check=True
            ).stdout.strip()
            servers[f"node {version}"] = [args.node, f"{folder}/app.js", "{port}"]
        if args.uvicorn:
            servers["uvicorn httptools+uvloop"] = [
                args.uvicorn, "--no-access-log", "--log-level", "error", "--loop", "uvloop", "--http", "httptools",
                "--app-dir", folder, "--port", "{port}", "uvicorn_app:app",
            ]  # fmt: skip
        rates: dict[str, list[float]] = {name: [] for name in servers}
        with contextlib.ExitStack() as stack:
            ports = {name: stack.enter_context(running(command)) for name, command in servers.items()}
            for port in ports.values():
                measure(port, 1, args.connections)  # warm-up
            for number in range(args.rounds):
                for name, port in ports.items():
                    rates[name].append(measure(port, args.seconds, args.connections))
                print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
    report(rates)
    if args.json:
        args.json.write_text(json.dumps(rates, indent=2))
    return 0


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[int]:
    """Start a server on processor 0 and a free port; end it by its pid afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [part.format(port=port) for part in command], preexec_fn=lambda: os.sched_setaffinity(0, {0})
    )
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
        else:
            raise SystemExit(f"{command[0]} ended with status {process.returncode}")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def measure(port: int, seconds: int, connections: int) -> float:
    """Requests per second as wrk counts them, from one thread on processor 1."""
    result = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"http://127.0.0.1:{port}/"],
        capture_output=True, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {1}),
    )  # fmt: skip
    found = re.search(r"Requests/sec:\s+([\d.]+)", result.stdout)
    if found is None or "Non-2xx" in result.stdout or "Socket errors" in result.stdout:
        raise SystemExit(f"wrk was not content:\n{result.stdout}")
    return float(found.group(1))


def report(rates: dict[str, list[float]]) -> None:
    """A table: median, spread, and the ratio of the first server's median to this one's."""
    first = statistics.median(next(iter(rates.values())))
    print(f"{'server':28} {'median/s':>9} {'min':>8} {'max':>8}  {'first is':>9}")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"{name:28} {median:9.0f} {min(values):8.0f} {max(values):8.0f}  {first / median:8.2f}x")


if __name__ == "__main__":
    sys.exit(main())
