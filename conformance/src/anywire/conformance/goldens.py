"""Goldens: what the real Node 13.14.0 does with the cases.

``conformance/node/`` is an interpreter of the language of cases on Node's ``http``. Here the cases are handed to
it, and what it saw is written into ``conformance/goldens/``, one file for each document, in the form of the cases
themselves: a ``log`` and what each peer sent (``>``) and received (``<``). Those files are committed. Recording again
must change nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import queue
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .cases import PARSER_ROLES, Case
from .documents import Document, escape, read
from .errors import UsageError
from .folders import beside
from .language import LAST, Operation, Section, Step
from .parsing import setup_of

__all__ = ["VERSION", "Golden", "find_node", "load_goldens", "place", "record", "wanted", "write_goldens"]

VERSION: Final = "13.14.0"
PATIENCE: Final = 60.0
"""Seconds after which a case is given up in which Node does not come to rest."""

SLOWER: Final = 5
"""How much longer Node must be at rest when a case is run again because something differs."""

_VERBS = {"packet": "want"}  # the kernel keeps no packets apart
_HEAD = """\
# {name} on Node {version}

Recorded by `make goldens`; do not edit.
"""


@dataclass(slots=True)
class Golden:
    """What Node did with one case.

    Attributes:
        title: of the case.
        ran: digest of what was run.
        log: the event log.
        peers: for each connection what went over it, as a ``peer`` block; ``""`` if it never came about.
        lacks: operations and options of the case that this Node does not have.
        waiting: who still waited for what when nothing happened any more.
    """

    title: str
    ran: str
    log: list[str] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    def text(self) -> str:
        """As it stands in a file."""
        lines = [f"## {self.title}", "", f"Ran: {self.ran}"]
        lines += [f"Lacks: {each}" for each in self.lacks]
        lines += [f"Waits: {each}" for each in self.waiting]
        for number, peer in enumerate(self.peers, 1):
            lines += ["", "```peer" if number == 1 else f"```peer {number}", *([peer] if peer else []), "```"]
        if self.log:
            lines += ["", "```log", *self.log, "```"]
        return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- files


def place(case: Case) -> str:
    """Folder and file of a case, without suffix: ``server/dispatch``."""
    path = case.document.path
    return f"{path.parent.name}/{path.stem}"


def load_goldens(where: Path | None = None) -> dict[tuple[str, str], Golden]:
    """Read all goldens, by :func:`place` and title."""
    where = where or beside("goldens")
    found = {}
    for path in sorted(where.glob("*/*.md")):
        for document in read(path):
            found[f"{path.parent.name}/{path.stem}", document.title] = _golden(document)
    return found


def _golden(document: Document) -> Golden:
    peers: list[str] = []
    while (text := document.blocks.get("peer" if not peers else f"peer {len(peers) + 1}")) is not None:
        peers.append(text)
    return Golden(
        document.title,
        document.keys["Ran"],
        document.blocks["log"].splitlines() if "log" in document.blocks else [],
        peers,
        document.keys.get("Lacks", "").splitlines(),
        document.keys.get("Waits", "").splitlines(),
    )


def write_goldens(goldens: dict[tuple[str, str], Golden], cases: list[Case], where: Path) -> None:
    """Write the files of all `cases`, and remove files that belong to no document."""
    files: dict[str, list[Golden]] = {}
    for case in cases:
        golden = goldens.get((place(case), case.document.title))
        if golden is not None:
            files.setdefault(place(case), []).append(golden)
    for path in where.glob("*/*.md"):
        if f"{path.parent.name}/{path.stem}" not in files:
            path.unlink()
    for name, each in files.items():
        path = where / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([_HEAD.format(name=name, version=VERSION), *(golden.text() for golden in each)]))


# ---------------------------------------------------------------- what is handed to Node


def exported(case: Case) -> dict[str, Any]:
    """A case as the JavaScript runner takes it."""
    if case.role in PARSER_ROLES:
        setup = setup_of(case.document)
        data, end = case.document.input()
        limits = dict(part.strip().split("=") for part in case.document.keys.get("Limits", "").split(",") if part)
        return {
            "role": case.role,
            "input": data.decode("latin-1"),
            "eof": end,
            "lenient": setup.lenient,
            "limits": {name: int(value) for name, value in limits.items()},
            "method": setup.method,
            "rest": setup.take_rest,
            "responses": max(1, sum(line.startswith("response ") for line in case.document.lines())),
        }
    program = case.program
    functions = {name: {**_section(each), "kind": each.kind} for name, each in program.functions.items()}
    return {
        "role": case.role,
        **({"secure": True} if case.secure else {}),
        "separate": case.document.keys.get("Data") == "separate",
        "program": {
            "server": program.server,
            "main": _section(program.main),
            "hooks": [_section(each) for each in program.hooks],
            "observers": [_section(each) for each in program.observers],
            "tasks": {name: _section(each) for name, each in program.tasks.items()},
            **({"functions": functions} if functions else {}),
        },
        "peers": [[_step(step) for step in steps] for steps in whole_peers(case)],
    }


def _step(step: Step) -> dict[str, Any]:
    made = {"verb": _VERBS.get(step.verb, step.verb), "data": step.data.decode("latin-1"), "flag": step.flag}
    return {**made, "options": step.options} if step.text else made


def whole_peers(case: Case) -> list[list[Step]]:
    """The steps of each peer, with what goes without saying in the end."""
    last = [Step("eof"), Step("end")] if case.role == "server" else [Step("gone")]
    return [steps if steps and steps[-1].verb in LAST else [*steps, *last] for steps in case.peers]


def _section(section: Section) -> dict[str, Any]:
    return {"words": section.words, "operations": [_operation(each) for each in section.operations]}


def _operation(operation: Operation) -> dict[str, Any]:
    names = ("text", "mode", "verb", "path", "name", "args", "named")
    return {name: getattr(operation, name) for name in names}


def digest(document: dict[str, Any]) -> str:
    """Short name of what is run, to tell goldens that are out of date."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def wanted(case: Case) -> bool:
    """Can there be a golden?"""
    return "Golden" not in case.document.keys


# ---------------------------------------------------------------- recording


def find_node(given: Path | None, home: Path) -> Path:
    """The Node that is recorded: `given`, or the one set up by npm in `home`.

    Raises:
        UsageError: npm is missing or cannot install it; or it is another version.
    """
    node = given or _installed(home)
    try:
        found = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{node} does not run: {error}") from error
    if found != f"v{VERSION}":
        raise UsageError(f"{node} is Node {found}; goldens are those of v{VERSION}")
    return node


def _installed(home: Path) -> Path:
    machine = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    package = f"node-{platform.system().lower()}-{machine}"
    node = home / "node_modules" / package / "bin" / "node"
    if node.is_file():
        return node
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(f"npm is not installed; it is needed to set up Node {VERSION} (or say --node PATH)")
    home.mkdir(parents=True, exist_ok=True)
    options = "--no-save --no-audit --no-fund --fetch-retries=1 --fetch-retry-mintimeout=1000".split()
    command = [npm, "install", "--prefix", str(home), *options, f"{package}@{VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not node.is_file():
        reason = next((line for line in done.stderr.splitlines() if line.strip()), "no reason given")
        raise UsageError(f"npm could not install {package}@{VERSION}: {reason}")
    return node


class _Runner:
    """A process of Node that is given one case after the other."""

    def __init__(self, node: Path, sockets: Iterable[socket.socket] = ()) -> None:
        self._sockets = sockets
        self._command = [str(node), "--expose-internals", "--no-warnings", str(beside("node") / "runner.js")]
        self._process: subprocess.Popen[str] | None = None

    def check(self) -> None:
        """See that it runs at all.

        Raises:
            UsageError: it does not.
        """
        done = subprocess.run(self._command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"the runner does not start: {done.stderr.strip()}")

    def run(self, document: dict[str, Any]) -> dict[str, Any]:
        """What came of a case; `waiting` says so if Node died of it."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                stderr=subprocess.DEVNULL,
                pass_fds=[each.fileno() for each in self._sockets],
                env={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            )
            for each in self._sockets:
                each.close()
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(document) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            timer.cancel()
        if line:
            came: dict[str, Any] = json.loads(line)
            return came
        self.close()
        reason = "Node never comes to rest" if process.returncode == -9 else f"Node died ({process.returncode})"
        return {"log": [], "peers": [], "lacks": [], "waiting": [reason]}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass
            self._process.stdout.close()
            self._process.wait()
            self._process = None


def _resetting(document: dict[str, Any]) -> tuple[dict[str, Any], list[socket.socket]]:
    """Node cannot send an RST when it wants to, but it can inherit sockets whose close is one."""
    made: list[socket.socket] = []

    def lingering() -> int:
        made.append(socket.socket())
        made[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return made[-1].fileno()

    if document["role"] == "server":
        resets = [any(step["verb"] == "reset" for step in steps) for steps in document["peers"]]
        return {**document, "sockets": [lingering() if reset else None for reset in resets]}, made
    listener = lingering()
    made[0].bind(("127.0.0.1", 0))
    made[0].listen()
    return {**document, "listener": listener}, made


def record(
    node: Path,
    cases: Iterable[Case],
    before: dict[tuple[str, str], Golden],
    *,
    jobs: int | None = None,
    progress: Callable[[Case, Golden], object] | None = None,
) -> dict[tuple[str, str], Golden]:
    """Run cases on Node.

    What differs from `before` is run once more with much more patience before it is believed: on a machine that is busy
    otherwise the network of the kernel itself may be late.

    Args:
        node: the binary.
        cases: which.
        before: goldens as they are now.
        jobs: processes to use; default: two for each core.
        progress: called with each.
    """
    jobs = jobs or 2 * (os.cpu_count() or 1)
    idle: queue.SimpleQueue[_Runner] = queue.SimpleQueue()
    runners = [_Runner(node) for _ in range(jobs)]
    runners[0].check()
    for runner in runners:
        idle.put(runner)

    def one(case: Case) -> Golden:
        document = {**exported(case), "certificates": str(beside("certificates"))}
        known = before.get((place(case), case.document.title))
        runner = idle.get()
        try:
            golden = _recorded(node, runner, case, document)
            if known is None or golden != known:
                golden = _recorded(node, runner, case, {**document, "slowness": SLOWER})
        finally:
            idle.put(runner)
        if progress is not None:
            progress(case, golden)
        return golden

    try:
        with ThreadPoolExecutor(jobs) as pool:
            chosen = list(cases)
            return {
                (place(case), case.document.title): golden
                for case, golden in zip(chosen, pool.map(one, chosen), strict=True)
            }
    finally:
        for runner in runners:
            runner.close()


def _recorded(node: Path, runner: _Runner, case: Case, document: dict[str, Any]) -> Golden:
    if any(step["verb"] == "reset" for steps in document.get("peers", ()) for step in steps):
        changed, sockets = _resetting(document)
        alone = _Runner(node, sockets)
        try:
            result = alone.run(changed)
        finally:
            alone.close()
    else:
        result = runner.run(document)
    lines = [f"at {at:g} {text}" if at else _parser_line(text) for at, text in result["log"]]
    peers = [conversation(items) for items in result["peers"]]
    return Golden(case.document.title, digest(exported(case)), lines, peers, result["lacks"], result["waiting"])


def _parser_line(text: str) -> str:
    word, _, data = text.partition(" ")
    return f"{word} {data.encode('latin-1')!r}" if word in ("body", "rest") else text


def conversation(items: Iterable[tuple[str, str]] | None) -> str:
    """What went over one connection, as a peer block."""
    lines: list[str] = []
    for verb, data in _joined(items or ()):
        if verb in "<>":
            if lines and lines[-1].startswith(verb):
                lines.append("")
            pieces = data.encode("latin-1").splitlines(keepends=True) or [b""]
            lines += [f"{verb} {escape(each)}" for each in _whole_lines(pieces)]
        else:
            lines.append(f"{verb} {data}".rstrip())
    return "\n".join(lines)


def _joined(items: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Received bytes that follow each other are one piece, however they came."""
    held = ""
    for verb, data in items:
        if verb == "<":
            held += data
            continue
        if held:
            yield "<", held
            held = ""
        yield verb, data
    if held:
        yield "<", held


def _whole_lines(pieces: list[bytes]) -> Iterator[bytes]:
    """Lines that end in CR LF, LF or not at all; a CR alone ends none."""
    held = b""
    for piece in pieces:
        held += piece
        if piece.endswith(b"\n"):
            yield held
            held = b""
    if held:
        yield held
