"""``python -m bench``: the command behind ``make bench``."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anywire.conformance.errors import UsageError
from anywire.conformance.goldens import find_node

from . import asked, holding, serving, transfers
from .bars import judged
from .catalogue import BENCHED, ROOT, peer_python
from .machine import circumstances, pin_load, split_cpus
from .report import bars_table, table, write
from .work import Failed, Plan, Work

GROUPS: dict[str, Callable[[Plan], Iterator[Work]]] = {
    "server": serving.server,
    "client": asked.client,
    "core": asked.core,
    "pool": asked.pool,
    "linear": asked.linear,
    "memory": holding.memory,
    "bulk": transfers.bulk,
    "churn": serving.churn,
    "tls": serving.tls,
}
QUIET = 0.05
"""Which part of the processors others may take before we complain."""

UNBARRED = ("churn", "tls")
"""Groups without a bar: a quick run of everything leaves them out."""

DESCRIPTION = f"""\
Measures anywire and its peers on loopback, in turns, each side pinned to a processor, and writes a table, JSON and
plots. Groups that are not measured now stay in the results as they were.

Groups: {", ".join(GROUPS)}.

Exit status: 0; 1 when something could not be measured, or with --strict when a bar was not met; 2 for wrong options.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write."""
    options = _options(arguments)
    plan = Plan(
        rounds=options.rounds or (2 if options.quick else 5),
        seconds=options.seconds or (1.0 if options.quick else 2.0),
        quick=options.quick,
        only=tuple(options.contender),
        cpus=split_cpus(),
    )
    _prepare_node()
    if peer_python() is None:
        print("bench: no peers in .venv-peers; `make bench` sets them up", file=sys.stderr)
    pin_load(plan)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are ended then, too
    began, measured, lost = time.monotonic(), dict[str, Any](), 0
    for name in options.only:
        found = circumstances(_for_workers(plan, name))
        works: list[Work] = []
        if found["others"] > QUIET:
            print(f"bench: {name}: the machine is not quiet, {found['others']:.0%} of it are taken", file=sys.stderr)
        try:
            for work in GROUPS[name](_for_workers(plan, name)):
                if not (work.values or work.failed):
                    continue  # nobody was asked for
                works.append(work)
                print(f"\n## {name}: {work.name}\n\n{table(work)}", flush=True)
        except (Failed, RuntimeError) as error:
            print(f"\nbench: {name}: {error}", file=sys.stderr)
            lost += 1
        except KeyboardInterrupt:
            print(f"\nbench: interrupted; what is finished is in {options.output}", file=sys.stderr)
            return 130
        if works:
            measured[name] = {"circumstances": found, "works": [work.as_dict() for work in works]}
            write(options.output, measured)
    if not measured:
        return 1
    drawn = _draw(options.output)
    verdicts = judged([Work.from_dict(each) for group in measured.values() for each in group["works"]])
    print(f"\n## The bars\n\n{bars_table(verdicts)}\n")
    print(f"{time.monotonic() - began:.0f} s; wrote {options.output}/latest.md, latest.json{drawn}")
    return 1 if lost or (options.strict and any(verdict.met is False for verdict in verdicts)) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="GROUP", default="", help="a group, or several with commas between them")
    parser.add_argument("--quick", action="store_true", help="under three minutes: what the bars need, once or twice")
    parser.add_argument("--contender", action="append", default=[], metavar="PART", help="part of a name; repeatable")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns of each contender; default 5, quick 2")
    parser.add_argument("--seconds", type=float, metavar="S", help="of each turn; default 2, quick 1; wrk: whole ones")
    parser.add_argument("--strict", action="store_true", help="fail when a bar was not met")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="default benchmarks/results; for a part: its folder quick"
    )
    options = parser.parse_args(arguments)
    chosen = [name.strip() for name in options.only.split(",") if name.strip()]
    for name in chosen:
        if name not in GROUPS:
            parser.error(f"no group {name!r}; there are {', '.join(GROUPS)}")
    for option, value in (("--rounds", options.rounds), ("--seconds", options.seconds)):
        if value is not None and value <= 0:
            parser.error(f"{option} has to be positive")
    if not sys.platform.startswith("linux"):
        parser.error("it needs Linux: processors are pinned and memory is read as Linux does it")
    everything = [name for name in GROUPS if not (options.quick and name in UNBARRED)]
    options.only = chosen or everything
    results = BENCHED / "results"
    options.output = options.output or (results / "quick" if options.quick or options.contender else results)
    return options


def _for_workers(plan: Plan, group: str) -> Plan:
    """Workers need not a whole second in a quick run; wrk does."""
    if plan.quick and group in ("client", "core", "pool", "linear"):
        return replace(plan, seconds=plan.seconds * 0.3)
    return plan


def _prepare_node() -> None:
    try:
        find_node(None, ROOT / ".node")
    except UsageError as error:
        print(f"bench: without Node 13.14.0: {error}", file=sys.stderr)


def _draw(output: Path) -> str:
    """Plots are drawn by the peers' interpreter, which has matplotlib."""
    peer = peer_python()
    if peer is None:
        return "; no plots without .venv-peers"
    done = subprocess.run([peer, str(BENCHED / "plots.py"), str(output)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"bench: no plots: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return "; no plots"
    return " and plots/*.{png,svg}"


if __name__ == "__main__":
    sys.exit(main())
