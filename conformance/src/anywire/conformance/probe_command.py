"""The command ``anywire-conformance probe HOST:PORT``."""

from __future__ import annotations

import argparse
import ipaddress
import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

from .errors import UsageError
from .probing import LEVELS, Finding, load_probes, probe, tally

__all__ = ["add_probe"]

DESCRIPTION = """\
Asks a running HTTP/1.1 server what RFC 9110 and RFC 9112 ask of one, whatever it serves: a verdict for each probe.
A "must" that is not met fails; a "should" or "may" that is not met is listed.

Exit status: 0 when no "must" failed, 1 when one did, 2 when nothing was asked.
"""
SIGNS = {"pass": "✓", "fail": "✗", "weak": "△", "differs": "·"}


def add_probe(commands: Any) -> None:
    """Add ``probe`` to the commands of a parser."""
    form = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser("probe", help="ask any HTTP/1.1 server", description=DESCRIPTION, formatter_class=form)
    parser.add_argument("server", metavar="HOST:PORT", help="where it listens: 127.0.0.1:8080, [::1]:8080")
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="SEC-4, 'RFC 9112 section 6.3', …")
    parser.add_argument("--patience", type=float, default=3.0, metavar="S", help="seconds for an answer, default 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts to FILE, - for stdout")
    parser.add_argument("--verbose", "-v", action="store_true", help="show what passed, too")
    parser.add_argument("--allow-remote", action="store_true", help="ask a server of another machine (ask its owner)")
    parser.set_defaults(run=_run)


def _address(text: str, *, allow_remote: bool) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:/\[\]]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[3]) < 65536:
        raise UsageError(f"{text!r} is no HOST:PORT")
    try:
        found = socket.getaddrinfo(match[1] or match[2], int(match[3]), type=socket.SOCK_STREAM)[0][4]
    except OSError as error:
        raise UsageError(f"{text}: {error.strerror or error}") from error
    if not allow_remote and not ipaddress.ip_address(found[0]).is_loopback:
        raise UsageError(f"{text} is not on this machine; probes are unkind, so say --allow-remote if you may")
    return str(found[0]), int(found[1])


def _run(options: argparse.Namespace) -> int:
    address = _address(options.server, allow_remote=options.allow_remote)
    probes = load_probes(only=options.only)
    if not probes:
        raise UsageError(f"no probe shows {' or '.join(options.only)}")
    stdout_is_json = options.json is not None and str(options.json) == "-"
    shown = sys.stderr if stdout_is_json else sys.stdout
    findings: list[Finding] = []
    for question in probes:
        try:
            finding = probe(address, question, patience=options.patience)
        except OSError as error:
            raise UsageError(f"{options.server}: {error.strerror or error}") from error
        findings.append(finding)
        if options.verbose or not finding.passed:
            expected = " or ".join(", ".join(each) for each in question.expect)
            print(f"{SIGNS[finding.verdict]} {question.level:6} {question.name}", file=shown)
            if not finding.passed:
                print(f"         {', '.join(question.shows)}", file=shown)
                print(f"         expected: {expected}; came: {'; byte by byte: '.join(finding.seen)}", file=shown)
    counts = tally(findings)
    print(", ".join(f"{level}: {counts[level][0]} of {counts[level][1]}" for level in LEVELS), file=shown)
    if options.json is not None:
        text = json.dumps(as_json(options.server, findings), indent=1, ensure_ascii=False) + "\n"
        if stdout_is_json:
            sys.stdout.write(text)
        else:
            options.json.write_text(text, encoding="utf-8")
    return 1 if any(finding.verdict == "fail" for finding in findings) else 0


def as_json(server: str, findings: list[Finding]) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "server": server,
        "probes": {
            finding.probe.name: {
                "level": finding.probe.level,
                "shows": finding.probe.shows,
                "verdict": finding.verdict,
                "seen": finding.seen,
            }
            for finding in findings
        },
    }
