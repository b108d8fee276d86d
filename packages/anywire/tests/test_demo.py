"""``anywire demo`` in a small form: that it does what it says, and that it notices when something is not right."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from anywire.cli import main
from anywire.cli._backends import installed
from anywire.cli.demo import PIECE, Entry, Job, Material, Reporter, Result, compare, scan, stream, stream_digest
from anywire.cli.demo import _run as demo_run
from anywire.cli.demo._process import run_client
from anywire.cli.demo._tree import digests


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "site-packages").mkdir()
    (root / "site-packages" / "other.py").write_bytes(b"not ours")
    (root / "a b?#%.txt").write_bytes(b"odd name")
    (root / os.fsdecode(b"caf\xe9")).write_bytes(b"a name that is no UTF-8")
    (root / "empty").write_bytes(b"")
    (root / "sub" / "deep" / "large").write_bytes(os.urandom(3 * PIECE + 1))
    (root / "sub" / "link").symlink_to("../empty")
    for n in range(40):
        (root / "sub" / f"{n}.py").write_bytes(b"x" * n)
    return root


def test_scan(root: Path) -> None:
    tree = scan(root)
    assert [e.path for e in tree.files] == sorted(
        ["a b?#%.txt", os.fsdecode(b"caf\xe9"), "empty", "sub/deep/large", *(f"sub/{n}.py" for n in range(40))]
    )
    assert tree.left_out == 1 and tree.size == 8 + 23 + 3 * PIECE + 1 + sum(range(40))
    assert len(scan(root, limit=10).files) == 10


def test_compare_sees_every_difference(root: Path, tmp_path: Path) -> None:
    tree = scan(root)
    wanted = {e.path: hashlib.sha256((root / e.path).read_bytes()).digest() for e in tree.files}
    copy = tmp_path / "copy"
    for entry in tree.files:
        (copy / entry.path).parent.mkdir(parents=True, exist_ok=True)
        (copy / entry.path).write_bytes((root / entry.path).read_bytes())
    seen: list[int] = []
    assert compare(copy, tree, wanted, seen.append) == [] and sum(seen) == len(tree.files)
    (copy / "sub" / "1.py").unlink()
    (copy / "sub" / "2.py").write_bytes(b"xy")
    (copy / "more").write_bytes(b"")
    assert compare(copy, tree, wanted, seen.append) == [
        "more: nobody asked for it",
        "sub/1.py: is missing",
        "sub/2.py: differs",
    ]
    # written by somebody else since we looked: no difference of ours
    (root / "sub" / "2.py").write_bytes(b"something new")
    (root / "sub" / "1.py").unlink()
    assert compare(copy, tree, wanted, seen.append) == ["more: nobody asked for it"]
    assert tree.changed(Entry("sub/2.py", 2, 0))


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 40 * PIECE])
def test_the_stream(size: int) -> None:
    pieces = list(stream(size))
    data = b"".join(pieces)
    assert len(data) == size and pieces == list(stream(size))
    for index, piece in enumerate(pieces):
        assert piece[:8] == index.to_bytes(8, "big")[: len(piece)]
    assert len({piece[8:] for piece in pieces}) == len(pieces), "no two pieces alike, even without their numbers"
    seen: list[int] = []
    assert stream_digest(size, seen.append) == hashlib.sha256(data).digest() and sum(seen) == size


MEMORY = """
from anywire.cli.demo._memory import Watch, peak_memory
watch = Watch()
block = bytearray(48 << 20)
block[::4096] = b"x" * len(block[::4096])
assert watch.before + (40 << 20) < watch.peak() <= peak_memory(), (watch.before, watch.peak(), peak_memory())
"""


def test_memory_is_measured() -> None:
    # In a process of its own: a large one gives memory back meanwhile, and that cannot be told from taking less.
    subprocess.run([sys.executable, "-c", MEMORY], check=True)


def test_bars_on_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, highlight=False, legacy_windows=False)
    with Reporter(console).phase("mirror", 1000) as phase:
        for _ in range(1000):
            phase.advance()
        phase.note = "1,000 files [sic]"
    text = out.getvalue()
    assert "100%" in text and re.search(r"mirror      1,000 files \[sic\]  \d\.\d s", text)


def test_the_table_marks_what_is_wrong() -> None:
    result = Result("asyncio", requests=200, sockets=8, steps=12, passed=11, errors=[f"error {n}" for n in range(12)])
    result.client.after = 17 << 20
    out = io.StringIO()
    Reporter(Console(file=out, width=120, highlight=False)).table([result, Result("other")])
    table, errors = _table(out.getvalue())
    assert table["reuse rate"] == ["96.00%", "0.00%"]
    assert table["client memory while streaming"] == ["+17.0 MiB !", "+0 B"]
    assert table["checks passed"] == ["11 of 12", "0 of 0"]
    assert table["errors"] == ["12", "0"]
    assert errors[0] == "error       asyncio: error 0" and errors[-1] == "error       asyncio: and 2 more"
    assert len(errors) == 11


def _table(out: str) -> tuple[dict[str, list[str]], list[str]]:
    """The table behind the last empty line, and what follows it. Without a terminal there are no lines around it."""
    lines = out.rpartition("\n\n")[2].splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if line.startswith(" ")]
    rest = [line for line in lines if line and not line.startswith(" ")]
    return {"": rows[0], **{name: cells for name, *cells in rows[1:]}}, rest


def _demo(root: Path, *options: str) -> tuple[int, str, str]:
    command = [sys.executable, "-W", "always", "-m", "anywire.cli", "demo", "--root", str(root), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--sockets", "1"], ["--uvloop", "--backend", "asyncio"]], ids=" ".join)
def test_the_whole_job(root: Path, options: list[str]) -> None:
    status, out, err = _demo(root, "--quick", "--size", "1M", *options)
    assert (status, err) == (0, "")
    table, errors = _table(out)
    names = table.pop("")
    assert names == (["asyncio"] if "asyncio" in options else installed())
    assert errors == []
    most = 1 if "--sockets" in options else 8
    for name, column in zip(names, zip(*table.values(), strict=True), strict=True):
        cells = dict(zip(table, column, strict=True))
        assert cells["errors"] == "0", name
        assert cells["checks passed"] == "12 of 12", name
        assert cells["requests through one Agent"] == str(2 * 44 + 6), name
        assert 1 <= int(cells["sockets opened"]) <= most, name
        assert cells["queued at once, at most"] == str(44 - most), name
        part = out[out.index(f"\n{name}{' on uvloop' if '--uvloop' in options else ''}\n") :]
        part = part[: part.index("\n\n", 1)]
        assert "44 files of the mirror by SHA-256, 0 differences" in part, name
        assert "44 files of the upload by SHA-256, 0 differences" in part, name
        assert f"{44 - most} requests queued for {most} sockets" in part, name
        for label in ("422", "tunnel", "upgrade", "413", "417", "100", "103"):
            assert f"\n{label:<11} " in part, name


@pytest.mark.slow
@pytest.mark.parametrize("backend", installed())
def test_a_difference_is_seen(
    backend: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lie(*args: Any) -> dict[str, bytes]:
        return {**digests(*args), "sub/7.py": bytes(32)}

    monkeypatch.setattr(demo_run, "digests", lie)
    monkeypatch.setattr(demo_run, "stream_digest", lambda *_: bytes(32))
    assert main(["demo", "--root", str(root), "--size", "100K", "--backend", backend]) == 1
    table, errors = _table(capsys.readouterr().out)
    assert table["checks passed"] == ["9 of 12"]
    assert errors == [
        f"error       {backend}: stream: 102400 of 102400 bytes came down, or others than were sent",
        f"error       {backend}: mirror: sub/7.py: differs",
        f"error       {backend}: upload: sub/7.py: differs",
    ]


@pytest.mark.slow
def test_growing_memory_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo_run, "MEMORY_BOUND", -1)
    assert main(["demo", "--root", str(root), "--size", "1", "--backend", "asyncio"]) == 1
    assert "memory of the client grew by" in capsys.readouterr().out


@pytest.mark.slow
def test_a_server_that_does_not_start(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert main(["demo", "--root", str(root), "--size", "1", "--backend", "asyncio"]) == 1
    assert capfd.readouterr().err == "anywire: the demo's server ended with status 1 before it was ready\n"


@pytest.mark.slow
def test_a_client_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = Job("asyncio", Material(scan(tmp_path), {}, 0, b""), 8, False, 1, tmp_path, tmp_path)
    assert run_client(job, tmp_path).errors == ["the client's process ended with status 1"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("backend", installed())
def test_interrupted(root: Path, tmp_path: Path, backend: str, number: int) -> None:
    room = tmp_path / "room"
    room.mkdir()
    # 512 MiB each way: it is stopped while it works, however fast the machine is.
    command = [sys.executable, "-m", "anywire.cli", "demo", "--root", str(root), "--size", "512M", "--backend", backend]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(room)}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while process.stdout.readline() != f"{backend}\n":
            pass
        assert len(list(room.iterdir())) == 1
        process.send_signal(number)
        # Server and client have the same stderr: its end is the end of all three.
        assert process.stderr.read() == "anywire: interrupted\n"
    assert process.returncode == 130
    assert list(room.iterdir()) == []
