"""Cases against what the real Node 13.14.0 did with them, as committed; and, where npm has it, recorded again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.conformance import goldens as recording
from anywire.conformance.__main__ import main
from anywire.conformance.cases import Case, load_cases
from anywire.conformance.deviations import made_page
from anywire.conformance.documents import escape, unescape
from anywire.conformance.errors import UsageError
from anywire.conformance.goldens import Golden, digest, exported, find_node, load_goldens, place, record, wanted
from anywire.conformance.holding import DIFFERS, EQUAL, NONE, at_odds, differences, standing, tally

CASES = load_cases()
GOLDENS = load_goldens()
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_case_is_equal_to_its_golden_or_says_why_not(case: Case) -> None:
    fault = at_odds(case, GOLDENS)
    assert fault is None, fault


def test_there_are_enough_of_them() -> None:
    standings = [standing(case) for case in CASES]
    assert standings.count(EQUAL) >= 350
    assert standings.count(NONE) < 0.15 * len(CASES)


def test_no_golden_without_its_case() -> None:
    names = [(place(case), case.document.title) for case in CASES]
    assert len(set(names)) == len(names), "two cases of a document have the same title"
    assert set(GOLDENS) <= {name for name, case in zip(names, CASES, strict=True) if wanted(case)}


@pytest.mark.parametrize("case", [case for case in CASES if not wanted(case)], ids=str)
def test_a_case_without_golden_names_its_source(case: Case) -> None:
    assert case.document.keys.get("Source")


def test_the_page_of_deviations_is_that_of_the_cases() -> None:
    """`make goldens` writes it."""
    assert (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8") == made_page(CASES, GOLDENS)


@pytest.mark.slow
def test_recording_again_changes_nothing() -> None:
    try:
        node = find_node(None, ROOT / ".node")
    except UsageError as error:
        pytest.skip(f"nothing was recorded: {error}")
    again = record(node, [case for case in CASES if wanted(case)], GOLDENS)
    changed = [key for key, golden in again.items() if golden != GOLDENS.get(key)]
    assert not changed, "\n\n".join(again[key].text() for key in changed)


# ---------------------------------------------------------------- that this can fail

GET = r"> GET / HTTP/1.1\r\nHost: h\r\n\r\n"
EMPTY = r"< HTTP/1.1 200 OK\r\nDate: <D>\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
CASE = f"""
## Some case

Shows: WIR-12
Role: server
Source: WIR-12 observed

```app
on request:
watch res finish
show req.headers_distinct
res.end
```

```peer
{GET}
{EMPTY}
```

```log
req.headers_distinct -> {{}}
at 0.05 res finish
```
"""
PEER = f"{GET}\n{EMPTY}\neof\nend"
LOG = ["req.headers_distinct not in Node", "at 0.05 res finish"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return written(tmp_path, CASE)


def written(folder: Path, text: str) -> Case:
    (folder / "server").mkdir()
    (folder / "server" / "some.md").write_text(text)
    return load_cases(folder)[0]


def a_golden(case: Case, *, log: list[str] | None = None, peers: list[str] | None = None) -> Golden:
    return Golden(
        case.document.title,
        digest(exported(case)),
        LOG if log is None else log,
        [in_lines(PEER)] if peers is None else peers,
    )


def test_what_is_equal_is_equal(case: Case) -> None:
    golden = a_golden(case)
    assert at_odds(case, {(place(case), case.document.title): golden}) is None


def in_lines(peer: str) -> str:
    """As goldens have it: a line for each line of what was sent."""
    lines = []
    for line in peer.splitlines():
        word, _, data = line.partition(" ")
        pieces = data.replace(r"\r\n", r"\r\n" + "\n").splitlines() if word in ("<", ">") else []
        lines += [f"{word} {piece}" for piece in pieces] or [line]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("log", "peers", "shown"),
    [
        ([*LOG, "res close"], None, "+ res close"),
        ([], None, "- at 0.05 res finish"),
        ([LOG[0], "at 0.06 res finish"], None, "+ at 0.06 res finish"),
        (None, [in_lines(PEER).replace("keep-alive", "close")], "+ < Connection: close"),
        (None, [in_lines(PEER).replace("\nend", "\nopen")], "+ open"),
        (None, [""], "- > Host: h"),
        (None, [], "+ (no connection)"),
        (None, [in_lines(PEER), "gone"], "+ (one more connection)"),
    ],
)
def test_what_differs_is_shown(case: Case, log: list[str] | None, peers: list[str] | None, shown: str) -> None:
    golden = a_golden(case, log=log, peers=peers)
    fault = at_odds(case, {(place(case), case.document.title): golden})
    assert fault is not None
    assert shown in fault
    turned = differences(case, golden, from_node=True)
    assert any(line[0] != shown[0] and shown[2:] in line for line in turned)


def test_who_still_waits_is_a_difference(case: Case) -> None:
    golden = a_golden(case)
    golden.waiting = ["main: a.response"]
    assert differences(case, golden) == ["+ waits for ever: main: a.response"]


def test_goldens_that_are_missing_or_old_are_told(case: Case) -> None:
    assert "there is no golden" in (at_odds(case, {}) or "")
    golden = a_golden(case)
    golden.ran = "another"
    assert "another version" in (at_odds(case, {(place(case), case.document.title): golden}) or "")


def test_a_deviation_that_is_none_is_told(tmp_path: Path) -> None:
    case = written(tmp_path, CASE.replace("Source:", "Deviation: WIR-12: so they say\nSource:"))
    golden = a_golden(case)
    assert "Node does what the case says it does not: WIR-12" in (
        at_odds(case, {(place(case), case.document.title): golden}) or ""
    )
    golden.log = []
    assert at_odds(case, {(place(case), case.document.title): golden}) is None
    assert standing(case) == DIFFERS


def test_a_golden_of_a_case_that_has_none_is_told(tmp_path: Path) -> None:
    case = written(tmp_path, CASE.replace("Source:", "Golden: none, it cannot be\nSource:"))
    assert at_odds(case, {}) is None
    assert "says it has none" in (at_odds(case, {(place(case), case.document.title): a_golden(case)}) or "")
    assert tally([case]) == "0 cases equal to Node's golden, 0 that differ from it as they say, 1 that can have none"


@pytest.mark.parametrize("case", [case for case in CASES if wanted(case)][::7], ids=str)
def test_goldens_come_back_from_their_files(case: Case, tmp_path: Path) -> None:
    key = (place(case), case.document.title)
    recording.write_goldens({key: GOLDENS[key]}, [case], tmp_path)
    assert load_goldens(tmp_path) == {key: GOLDENS[key]}


@given(st.binary())
def test_escape_and_unescape(data: bytes) -> None:
    text = escape(data)
    assert unescape(text) == data
    assert text.isascii()
    assert text == text.rstrip()
    assert len(text.splitlines()) <= 1


@given(st.sampled_from([b"x", b" ", b"{", b"0"]), st.integers(0, 100))
def test_long_runs_are_short(byte: bytes, count: int) -> None:
    assert unescape(escape(byte * count)) == byte * count
    assert byte != b"x" or len(escape(byte * count)) < 50


# ---------------------------------------------------------------- the commands


def test_the_page_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deviations", "--output", "-"]) == 0
    assert "# Where anywire is not like Node 13.14.0" in capsys.readouterr().out


def test_another_node_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "node"
    other.write_text("#!/bin/sh\necho v20.0.0\n")
    other.chmod(0o755)
    with pytest.raises(UsageError, match=r"is Node v20\.0\.0; goldens are those of v13\.14\.0"):
        find_node(other, tmp_path)
    with pytest.raises(UsageError, match="does not run"):
        find_node(tmp_path / "nothing", tmp_path)


def test_without_npm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"npm is not installed.*--node PATH"):
        find_node(None, tmp_path / "home")


def test_goldens_are_those_of_the_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path, CASE)
    assert main(["goldens", "--cases", str(tmp_path)]) == 2
    assert "say --show" in capsys.readouterr().err
