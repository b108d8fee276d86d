"""Where it is measured: processors, versions, what else the machine is doing; and /proc, read of our own children."""

from __future__ import annotations

import datetime
import functools
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from .catalogue import PEERS, ROOT
from .work import Plan

__all__ = ["circumstances", "cpu_seconds", "others_busy", "pin_load", "resident", "split_cpus", "tree"]

TICK = os.sysconf("SC_CLK_TCK")


def split_cpus() -> tuple[frozenset[int], frozenset[int]]:
    """One processor for what is measured, another for the load; the same for both where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return frozenset(usable[:1]), frozenset(usable[1:2] or usable[:1])


def pin_load(plan: Plan) -> None:
    """Put this process, and so the load that it makes or starts, on its processor; let it open many sockets."""
    os.sched_setaffinity(0, plan.cpus[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def circumstances(plan: Plan) -> dict[str, Any]:
    """Everything a reader needs to know about a run before it begins."""
    measured, load = (", ".join(map(str, sorted(cpus))) for cpus in plan.cpus)
    kernel = ".".join(platform.release().split(".")[:2])
    apart = "" if plan.cpus[0] != plan.cpus[1] else " There is only one processor: figures mean little."
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": plan.quick,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": f"{_processor()}, {os.cpu_count()} processors, Linux {kernel}",
        "pinning": f"What is measured is pinned to processor {measured}, the load to processor {load}.{apart}",
        "others": others_busy(),
        "versions": versions(),
    }


def others_busy(seconds: float = 0.5) -> float:
    """Which part of all processors is taken by others, or by other virtual machines; asked while we do nothing."""
    before = _jiffies()
    time.sleep(seconds)
    total, idle = (after - earlier for after, earlier in zip(_jiffies(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _jiffies() -> tuple[int, int]:
    """All processors' time so far, and how much of it they were idle or waited for disks."""
    times = list(map(int, Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]))
    return sum(times), times[3] + times[4]


@functools.cache
def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"Python": platform.python_version(), "anywire": metadata.version("anywire-core")}
    for name in ("uvloop", "trio", "gevent"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if (PEERS / "python").exists():
        listed = _said([str(PEERS / "python"), "-m", "pip", "--disable-pip-version-check", "freeze"])
        peers = dict(line.split("==", 1) for line in listed.splitlines() if "==" in line)
        wanted = (line.split("==")[0].split("[")[0] for line in _listed_peers())
        found |= {name: peers[name] for name in wanted if name in peers and name not in found}
    for program, option in (("wrk", "-v"), ("nginx", "-v"), ("haproxy", "-v")):
        if shutil.which(program):
            number = re.search(r"\d+\.\d+[\d.]*", _said([program, option]))
            found[program] = number[0] if number else "?"
    return found


def _listed_peers() -> list[str]:
    lines = (ROOT / "benchmarks" / "peers.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _commit() -> str:
    if not (ROOT / ".git").exists():
        return "unknown"
    dirty = _said(["git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"]).strip()
    return _said(["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]).strip() + (" (changed)" if dirty else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine() or sys.platform)


# ---------------------------------------------------------------- processes


def tree(pid: int) -> list[int]:
    """A process and all its children, without those that ended meanwhile."""
    found, at = [pid], 0
    while at < len(found):
        try:
            for task in Path(f"/proc/{found[at]}/task").iterdir():
                found += map(int, (task / "children").read_text("ascii").split())
        except OSError:
            pass
        at += 1
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its children have used."""
    total = 0
    for each in tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def resident(pid: int, key: str = "VmRSS") -> int:
    """Resident bytes of a process and its children: now, or at their most (``VmHWM``)."""
    total = 0
    for each in tree(pid):
        try:
            lines = Path(f"/proc/{each}/status").read_text("utf-8").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
    return total * 1024
