"""The parts of `make bench` that measure nothing: taking turns, medians, bars, tables, and what is written where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench.__main__ import GROUPS, main
from bench.bars import BARS, Bar, judge, judged
from bench.report import bars_table, figure, merged, page, slug, table, write
from bench.work import Failed, Work, best, contest

CIRCUMSTANCES = {
    "commit": "abc", "date": "2026-01-01 00:00 UTC", "quick": False, "rounds": 3, "seconds": 1.0,
    "machine": "a machine", "pinning": "pinned.", "others": 0.01, "versions": {"Python": "3"},
}  # fmt: skip


def work(group: str = "server", name: str = "small", *, more: bool = True, **values: list[float]) -> Work:
    return Work(
        group, name, "requests/s", more=more, values={key.replace("_", " "): each for key, each in values.items()}
    )


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def turn(name: str) -> Callable[[], float]:
        def measured() -> float:
            order.append(name)
            return float(len(order))

        return measured

    done = contest(work(), {name: turn(name) for name in "abc"}, 2)
    assert order == ["a", "b", "c", "a", "b", "c"]
    assert done.values == {"a": [1.0, 4.0], "b": [2.0, 5.0], "c": [3.0, 6.0]}


def test_who_fails_is_out_and_the_others_go_on() -> None:
    turns: Iterator[float | Failed] = iter([7.0, Failed("it ended"), 8.0])

    def fails() -> float:
        value = next(turns)
        if isinstance(value, Failed):
            raise value
        return value

    done = contest(work(), {"a": fails, "b": lambda: 1.0}, 3)
    assert done.values == {"b": [1.0, 1.0, 1.0]}
    assert done.failed == {"a": "it ended"}
    assert list(turns) == [8.0], "it is not asked again"


def test_medians_rank_in_the_direction_that_is_better() -> None:
    measured = work(a=[1, 100, 2], b=[3, 3, 3])
    assert measured.ranked() == ["b", "a"]
    assert work(more=False, a=[1, 100, 2], b=[3, 3, 3]).ranked() == ["a", "b"]
    assert measured.median("a") == 2
    assert measured.median("c") is None
    assert work(a=[90, 100, 110]).spread("a") == pytest.approx(0.1)
    assert best(measured, ("a",)) == "a"
    assert best(measured, ("c",)) is None


def bar(limit: float, *theirs: str, at_most: bool = False, ratio_of_times: bool = False, in_work: str = "") -> Bar:
    return Bar("what", "server", "small", "ours", theirs, limit, at_most, in_work, ratio_of_times)


def verdict(bar: Bar, *works: Work) -> tuple[float | None, bool | None, str]:
    found = judge(bar, {(each.group, each.name): each for each in works})
    return found.ratio, found.met, found.peer


def test_a_bar_is_a_ratio_of_medians() -> None:
    measured = work(ours=[100, 120, 500], slow=[50, 60, 70], fast=[60, 80, 90])
    assert verdict(bar(2.0, "slow"), measured) == (2.0, True, "slow")
    assert verdict(bar(2.01, "slow"), measured) == (2.0, False, "slow")
    assert verdict(bar(1.5, "slow", "fast"), measured) == (1.5, True, "fast")  # the best of them counts
    assert verdict(bar(120.0, at_most=True), measured) == (120.0, True, "")
    assert verdict(bar(119.0, at_most=True), measured) == (120.0, False, "")


def test_the_spread_of_a_bar_is_that_of_the_rounds() -> None:
    measured = work(ours=[100, 120, 500], slow=[50, 60, 50])
    assert judge(bar(2.0, "slow"), {("server", "small"): measured}).spread == (2.0, 10.0)


def test_of_times_the_ratio_is_turned_over() -> None:
    measured = work(more=False, ours=[4.0], slow=[40.0])
    assert verdict(bar(8.0, "slow", ratio_of_times=True), measured) == (10.0, True, "slow")


def test_a_bar_may_compare_two_works() -> None:
    many, few = work(ours=[3.0]), work(name="few", ours=[2.0])
    assert verdict(bar(1.3, "ours", at_most=True, in_work="few"), many, few) == (1.5, False, "ours")


def test_what_was_not_measured_is_neither_met_nor_not() -> None:
    assert verdict(bar(1.0, "slow")) == (None, None, "")
    assert verdict(bar(1.0, "slow"), work(slow=[1.0])) == (None, None, "")
    assert verdict(bar(1.0, "slow"), work(ours=[1.0])) == (None, None, "")
    assert [each.word for each in judged([work()])] == ["not measured"] * sum(each.group == "server" for each in BARS)


def test_bars_name_groups_that_there_are() -> None:
    assert {each.group for each in BARS} <= set(GROUPS)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(48231.4, "48 231"), (812.3, "812"), (34.71, "34.7"), (3.474, "3.47"), (0.0512, "0.0512"), (0.0, "0")],
)
def test_figures(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_a_table_has_the_best_first_and_says_who_is_missing() -> None:
    measured = work(anywire_asyncio=[100, 120, 110], node=[50, 55, 60])
    measured.failed["granian"] = "it did\nnot start"
    assert table(measured).splitlines() == [
        "| contender | requests/s (median) | min | max | ± | anywire asyncio is |",
        "|---|--:|--:|--:|--:|--:|",
        "| **anywire asyncio** | 110 | 100 | 120 | 9% | 1.00 × |",
        "| node | 55.0 | 50.0 | 60.0 | 9% | 2.00 × |",
        "",
        "granian is missing: it did not start",
    ]


def test_a_table_of_times_is_turned_over() -> None:
    lines = table(work("core", more=False, anywire=[4.0], h11=[40.0])).splitlines()
    assert lines[2:] == ["| **anywire** | 4 | 4 | 4 | 0% | 1.00 × |", "| h11 | 40.0 | 40.0 | 40.0 | 0% | 10.00 × |"]


def test_the_table_of_bars() -> None:
    found = judge(bar(2.0, "slow"), {("server", "small"): work(ours=[100.0], slow=[60.0])})
    assert bars_table([found]).splitlines()[-1] == "| what | ≥ 2 × slow | 1.67 | 1.67 to 1.67 | **not met** |"


def test_groups_that_were_not_measured_stay(tmp_path: Path) -> None:
    def group(measured: Work) -> dict[str, object]:
        return {"circumstances": CIRCUMSTANCES, "works": [measured.as_dict()]}

    write(tmp_path, {"core": group(work("core", "old", ours=[1.0])), "server": group(work(ours=[1.0]))})
    write(tmp_path, {"core": group(work("core", "new", ours=[2.0]))})
    data = json.loads((tmp_path / "latest.json").read_text("utf-8"))
    assert list(data["groups"]) == ["core", "server"]
    assert data["groups"]["core"]["works"][0]["name"] == "new"
    assert Work.from_dict(data["groups"]["server"]["works"][0]) == work(ours=[1.0])
    text = (tmp_path / "latest.md").read_text("utf-8")
    assert text == page(data)
    assert "Others took 1% of it just before." in text
    assert "### new" in text and "### small" in text and "### old" not in text
    assert merged({"format": 0, "groups": {"b": 2}}, {"a": 1}) == {"format": 1, "groups": {"a": 1}}


def test_names_of_plots_are_plain() -> None:
    assert slug(work("server", "browser's head, 10 × 1 KiB")) == "server-browser-s-head-10-1-kib"


@pytest.mark.parametrize("wrong", ["--only=nothing", "--rounds=0", "--seconds=-1"])
def test_wrong_options_are_told(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([wrong])
    assert ended.value.code == 2
    assert "bench: error:" in capsys.readouterr().err
