"""``python -m core.fuzz``, or ``make fuzz``: see docs/fuzz.md."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from anywire.conformance.documents import escape, unescape

from . import corpus
from .mutating import WORDS, mutations
from .targets import TARGETS

ROOT = Path(__file__).parents[2]
LONGEST = 1000
"""Bytes of an input: enough for several messages, short enough to be run a thousand times a second."""


def main() -> int:
    """Fuzz; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m core.fuzz", description="Fuzz the parser and the connections.")
    parser.add_argument("--targets", nargs="*", default=list(TARGETS), choices=list(TARGETS), metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each target")
    parser.add_argument("--runs", type=int, default=0, help="at most so many executions of each target; 0 is no limit")
    parser.add_argument("--keep", action="store_true", help="put what reaches new code into the corpus, minimised")
    parser.add_argument("--seeds", action="store_true", help="begin with the bytes of cases and probes, too")
    parser.add_argument("--input", metavar="TEXT", help="run this one input, written as in the corpus")
    options = parser.parse_args()
    if options.input is not None:
        for target in options.targets:
            TARGETS[target](unescape(options.input))
        return 0
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        print("atheris is not installed: mutations of the corpus, without a look at what code they reach")
    failed = 0
    for target in options.targets:
        inputs = corpus.load(target) + (corpus.seeds(target) if options.seeds else [])
        run = _guided if guided else _blind
        failed += run(target, inputs, options)
    return 1 if failed else 0


def _found(target: str, data: bytes) -> None:
    print(f"\n{target}: found an input. It replays with\n")
    print(f"    python -m core.fuzz --targets {target} --input {escape(data)!r}\n")


# ---- mutations -------------------------------------------------------------------------------------------------------


def _blind(target: str, inputs: list[bytes], options: argparse.Namespace) -> int:
    start = time.perf_counter()
    seed = f"{target} {Random().randrange(1 << 32)}"
    count = 0
    for data in mutations(inputs, seed, options.runs or 1 << 62):
        try:
            TARGETS[target](data)
        except Exception as error:
            _found(target, data)
            print(f"{type(error).__name__}: {error}")
            return 1
        count += 1
        if time.perf_counter() - start > options.seconds:
            break
    print(f"{target}: {count} executions in {time.perf_counter() - start:.0f} s, nothing found")
    return 0


# ---- atheris ---------------------------------------------------------------------------------------------------------


def _guided(target: str, inputs: list[bytes], options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as temporary:
        known, grown, least = (Path(temporary) / name for name in ("known", "grown", "least"))
        corpus.unpack(inputs, known)
        for folder in (grown, least):
            folder.mkdir()
        (words := Path(temporary) / "words").write_text(_dictionary())
        (engine := Path(temporary) / "engine").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -m core.fuzz.engine {target} "$0" "$@"\n'
        )
        engine.chmod(0o700)
        limits = [f"-max_total_time={int(options.seconds)}", f"-runs={options.runs or -1}", f"-max_len={LONGEST}"]
        ended = _engine(engine, *limits, f"-dict={words}", f"-artifact_prefix={temporary}/", str(grown), str(known))
        report = re.findall(r"#(\d+)\s+\w+ +cov: (\d+) ft: (\d+) corp: (\d+)", ended.stderr)
        executions, covered, features, kept = report[-1] if report else ("no", "0", "0", "0")
        print(f"{target}: {executions} executions, {covered} places and {features} features reached by {kept} inputs")
        if ended.returncode:
            for artifact in Path(temporary).glob("[a-z]*-*"):
                _found(target, artifact.read_bytes())
            print(ended.stdout[-4000:], ended.stderr[-4000:])
            return 1
        if options.keep:
            _engine(engine, "-merge=1", f"-max_len={LONGEST}", str(least), str(known), str(grown))
            corpus.save(target, corpus.pack(least))
    return 0


def _engine(engine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([engine, *arguments], cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)


def _dictionary() -> str:
    words = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
    return "".join(f'"{word}"\n' for word in words)


if __name__ == "__main__":
    sys.exit(main())
