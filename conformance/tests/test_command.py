"""The command ``anywire-conformance`` and the readers behind it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance import run_command
from anywire.conformance.__main__ import main
from anywire.conformance.backends import installed, resolve
from anywire.conformance.cases import load_cases, statement_ids, trailing
from anywire.conformance.documents import DocumentError
from anywire.conformance.errors import UsageError
from anywire.conformance.language import Step, parse_application, parse_peer
from anywire.conformance.running import FAIL, Outcome, run_case
from anywire.conformance.verdicts import judge

SIM = "anywire.conformance.sim"

WRONG = r"""
## Not what happens

Shows: WIR-12
Role: server
Source: nowhere

```app
on request:
res.end "hello"
```

```peer
> GET / HTTP/1.1\r\nHost: h\r\n\r\n
< HTTP/1.1 200 OK\r\nDate: <D>\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello
```

```log
res finish
```
"""


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "wrong.md").write_text(WRONG)
    return tmp_path


def test_run_says_what_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", SIM, "--only", "AGT-20", "--seed", "5"]) == 0
    assert "0 failed" in capsys.readouterr().out


def test_run_shows_the_differences(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", SIM, "--cases", str(wrong)]) == 1
    captured = capsys.readouterr()
    out = captured.out
    assert captured.err == ""
    assert r"- Connection: close\r\n" in out
    assert r"+ Connection: keep-alive\r\n" in out
    assert "- res finish" in out
    assert "WIR-12" in out


def test_json_has_every_verdict(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", SIM, "--cases", str(wrong), "--json", "-"]) == 1
    made = json.loads(capsys.readouterr().out)
    assert made["backend"] == SIM
    assert len(made["statements"]) == len(statement_ids()) == 633
    assert made["statements"]["WIR-12"]["verdict"] == "fail"
    assert made["statements"]["AGT-20"]["verdict"] == "not covered"
    assert made["runs"][0]["details"]
    assert main(["run", "--backend", SIM, "--only", "WIR-12", "--json", str(wrong / "out.json")]) == 0
    assert json.loads((wrong / "out.json").read_text())["statements"]["WIR-12"]["verdict"] == "pass"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--backend", "anywire.nothing"], "no backend is called 'anywire.nothing'"),
        (["run", "--backend", "no.such:maker"], "cannot be imported"),
        (["run", "--backend", "json:maker"], "has no function 'maker'"),
        (["run", "--backend", "anywire.conformance.peers:Threads"], "lacks flag, hook"),
        (["run", "--backend", SIM, "--only", "XYZ-1"], "'XYZ-1' is no statement; they are called AGT-n, CLI-n"),
        (["run", "--backend", SIM, "--only", "agt-20"], "did you mean AGT-20"),
        (["run", "--backend", SIM, "--only", "SEC-9999"], "no case shows SEC-9999"),
        (["list", "--cases", "/nowhere"], "no such folder"),
        (["table", "--output", "/nowhere/x.md", "--backend", SIM], "no folder /nowhere"),
    ],
)
def test_errors_say_what_to_do(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["list", "--help"], ["table", "--help"], ["run"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == (2 if arguments == ["run"] else 0)
    assert "usage: anywire-conformance" in "".join(capsys.readouterr())


def test_stops_at_the_first_failure(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", SIM, "--cases", str(wrong), "-x"]) == 1
    out = capsys.readouterr().out
    assert out.count("✗ server/wrong") == 1
    assert re.search(r"1 cases, 1 runs in \d+\.\d s, 1 failed", out)


def test_a_failure_says_where_it_is_written_and_by_whom(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "--backend", SIM, "--cases", str(wrong)])
    out = capsys.readouterr().out
    assert f"{wrong / 'server' / 'wrong.md'}:2\n    expected by: nowhere" in out
    assert "failed: WIR-12\n" in out
    assert re.search(r"^        Date: <D>\\r\\n$", out, re.MULTILINE)  # not a difference


def test_verdicts_of_statements(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", SIM, "--only", "WIR-12", "--only", "WIR-33"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^✓ WIR-12   pass +server/framing:\d+ An empty response", out, re.MULTILINE)
    assert re.search(r"^≠ WIR-33   deviation +\w", out, re.MULTILINE)
    assert "AGT-20" not in out  # shown by one of these cases, and by others that were not run
    assert main(["run", "--backend", SIM, "--only", "RES", "-s"]) == 0
    listed = re.findall(r"^[✓≠✗·] (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert len(listed) == len(set(listed)) > 50
    assert all(each.startswith("RES-") for each in listed)


def test_what_was_run_is_reported_when_interrupted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(backend: Any, cases: Any, *, progress: Any) -> None:
        progress(run_case(backend, next(iter(cases)), "whole"))
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run_suite", interrupted)
    assert main(["run", "--backend", SIM, "--only", "WIR"]) == 130
    assert "1 cases, 1 runs" in capsys.readouterr().out


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    main(["run", "--backend", SIM, "--only", "AGT-20"])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["run", "--backend", SIM, "--only", "AGT-20"])
    assert re.search(r"\r\d+/\d+ 0 failed agent/pool:\d+", capsys.readouterr().err)


MINE = """
from anywire.conformance.simulated import Simulated

class Mine(Simulated):
    def __init__(self):
        super().__init__()
        self.name = "mine"

def broken():
    return 1 // 0
"""


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as it is installed, run in a folder."""
    installed = Path(sys.executable).parent / "anywire-conformance"
    assert installed.exists()
    return subprocess.run([installed, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_backend_in_the_current_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = command(tmp_path, "run", "--backend", "mine:Mine", "--only", "AGT-20")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert "mine: " in done.stdout


@pytest.mark.parametrize(
    ("text", "backend", "says"),
    [
        (MINE, "mine:broken", "broken() failed: ZeroDivisionError: integer division or modulo by zero (/"),
        ("import nothing_of_this_name", "mine:Mine", "cannot be imported: No module named 'nothing_of_this_name'"),
        ("def broken(:", "mine:Mine", "cannot be imported: SyntaxError: "),
        ("Mine = 5", "mine:Mine", "has no function 'Mine'"),
    ],
)
def test_what_is_wrong_with_a_backend_is_told_in_one_line(tmp_path: Path, text: str, backend: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(text)
    done = command(tmp_path, "run", "--backend", backend)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


RAISING = """
from anywire.conformance import parsing
from anywire.conformance.simulated import Simulated

class Broken(BaseException):
    pass

class Parser(parsing.Parser):
    def receive_data(self, data):
        raise Broken("of my parser")

class Parsing(Simulated):
    def __init__(self):
        super().__init__()
        parsing.Parser = Parser

class Group(Simulated):
    def run(self, scenario):
        raise BaseExceptionGroup("of my runtime", [Broken("of my loop")])

class Early(Simulated):
    @property
    def https(self):
        return 1 // 0

    @https.setter
    def https(self, module):
        pass

class Ordinary(Simulated):
    def run(self, scenario):
        raise LookupError("of my loop")
"""


@pytest.mark.parametrize(
    ("backend", "only", "says"),
    [
        ("Parsing", "WIR-56", r"Broken: of my parser \(.*mine\.py:10\)"),
        ("Group", "WIR-12", r"Broken: of my loop \(.*mine\.py:19\)"),
        ("Early", "SEC-42", r"ZeroDivisionError: integer division or modulo by zero \(.*mine\.py:24\)"),
        ("Ordinary", "WIR-12", r"LookupError: of my loop \(.*mine\.py:32\)"),
    ],
)
def test_what_a_parser_or_backend_raises_is_a_verdict(tmp_path: Path, backend: str, only: str, says: str) -> None:
    (tmp_path / "mine.py").write_text(RAISING)
    done = command(tmp_path, "run", "--backend", f"mine:{backend}", "--only", only, "-s")
    assert (done.returncode, done.stderr) == (1, "")
    where = r"^✗ .*\n    .*\.md:\d+\n(?:    expected by: .*\n)?"
    assert re.search(rf"{where}    the .*: {says}$", done.stdout, re.MULTILINE)
    assert re.search(rf"^✗ {only} +fail ", done.stdout, re.MULTILINE)


def test_an_interrupted_run_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = resolve(SIM)

    def interrupted(scenario: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_case(backend, next(case for case in load_cases() if case.role == "server"), "whole")


STUCK = """
import threading
from anywire.conformance import run_command
from anywire.conformance.simulated import Simulated

run_command.STUCK = 0.1

class Mine(Simulated):
    def run(self, scenario):
        threading.Event().wait()
"""


def test_a_loop_that_is_stuck_ends_the_command(tmp_path: Path) -> None:
    """With the case it is stuck in, and where: what an exception cannot reach can still be shown."""
    (tmp_path / "mine.py").write_text(STUCK)
    done = command(tmp_path, "run", "--backend", "mine:Mine", "--only", "WIR-12")
    assert done.returncode == 1
    assert re.search(r"^✗ server/framing:\d+ .* is stuck: after 0.1 s", done.stderr, re.MULTILINE)
    assert re.search(r'File ".*mine.py", line \d+ in run$', done.stderr, re.MULTILINE)


def test_the_same_seed_gives_the_same_file(tmp_path: Path) -> None:
    """Byte for byte, in processes with different hashes."""
    for name, hashes in (("a", "1"), ("b", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": hashes}
        subprocess.run(
            [sys.executable, "-m", "anywire.conformance", "run", "--backend", SIM, "--seed", "7", "--json", name,
             "--only", "AGT", "--only", "SRV"],
            cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, timeout=120, check=False,
        )  # fmt: skip
    assert (tmp_path / "a").stat().st_size > 100_000
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--only", "WIR-12"]) == 0
    assert "An empty response  [WIR-12" in capsys.readouterr().out
    assert main(["list", "--gaps"]) == 0
    gaps = capsys.readouterr().out.split()
    assert "WIR-12" not in gaps
    assert set(gaps) <= set(statement_ids())


def test_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anywire.conformance.__main__.load_cases", lambda: load_cases(only=["WIR"]))
    assert main(["table", "--backend", SIM, "--output", str(tmp_path)]) == 0
    page = (tmp_path / "conformance.md").read_text()
    assert f"| backend | ✓ | ≠ | ✗ | · | of |\n|---|---|---|---|---|---|\n| {SIM} |" in page
    assert all(f"\n| {identifier} | " in page for identifier in statement_ids())
    assert "\n| WIR-12 | ✓ | = | " in page
    assert "\n| WIR-33 | ≠ | ≠ | " in page
    assert f"| ID | | {SIM} | shown by |" in (tmp_path / "promises.md").read_text()


def test_the_repository_has_the_table_of_its_cases() -> None:
    """docs/conformance.md names every statement (`make conformance` writes it)."""
    page = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()
    assert all(f"\n| {identifier} | " in page for identifier in statement_ids())


def test_every_installed_backend_can_be_had() -> None:
    names = installed()
    assert SIM in names
    for name in names:
        assert resolve(name).name == name


def test_a_statement_fails_with_any_of_its_runs() -> None:
    case = load_cases(only=["WIR-12"])[0]
    good = run_case(resolve(SIM), case, "whole")
    bad = Outcome(case, "bytes", FAIL)
    assert judge([good, bad])["WIR-12"].verdict == FAIL
    assert judge([good])["WIR-12"].verdict == "pass"
    assert judge([])["WIR-12"].verdict == "not covered"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.frobnicate", "'frobnicate' is not a word of the language"),
        ("set a.frobnicate 5", "'frobnicate' is not a word of the language"),
        ("a.write {", "line 1 of its app block"),
        ("server {]", "line 1"),
        ("\n5 + 5", "line 2"),
    ],
)
def test_what_is_no_operation_is_refused(text: str, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        parse_application(text, "here.md:1")


def test_what_is_no_step_is_refused() -> None:
    with pytest.raises(DocumentError, match="not a step: snooze 5"):
        parse_peer("> a\nsnooze 5", "here.md:1")


def test_lines_that_follow_each_other_are_one_packet() -> None:
    assert parse_peer(r"> a\r\n" + "\n" + r"> b" + "\n\n> c\n< d\n< e\neof\nwait x", "") == [
        Step("send", b"a\r\nb"),
        Step("send", b"c"),
        Step("want", b"de"),
        Step("eof"),
        Step("wait", flag="x"),
    ]


def test_trailing_data_only_where_the_application_closes() -> None:
    closes = parse_peer("> a\n< b\nend", "")
    assert trailing(closes) == [Step("send", b"aGET /trailing HTTP/1.1\r\nHost: trailing\r\n\r\n"), *closes[1:]]
    assert trailing(parse_peer("> a\n< b", "")) is None
    assert trailing(parse_peer("> a\neof\n< b\nend", "")) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("Role: server", "Role: nobody"), "Role: must be one of"),
        (("Source:", "Sauce:"), "unknown keys: Sauce"),
        (("WIR-12", "WIR-999"), "WIR-999 is no statement"),
        (("Source: nowhere", "Deviation: WIR-13: because"), "deviates from WIR-13, which it does not show"),
        (("Source: nowhere", "Deviation: because"), "must be 'ID, ID: why'"),
    ],
)
def test_a_case_is_checked_when_it_is_read(wrong: Path, change: tuple[str, str], says: str) -> None:
    (wrong / "server" / "wrong.md").write_text(WRONG.replace(*change))
    with pytest.raises(DocumentError, match=says):
        load_cases(wrong)


def test_a_missing_folder_is_an_error() -> None:
    with pytest.raises(UsageError):
        resolve("anywire.nothing")
