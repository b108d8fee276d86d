"""Draws ``latest.json`` as PNG and SVG: ``plots.py FOLDER``, run by the interpreter of .venv-peers (matplotlib)."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.report import figure, slug
from bench.work import Work
from matplotlib import pyplot

pyplot.switch_backend("Agg")
pyplot.rcParams["svg.hashsalt"] = "anywire"  # the same picture is the same file

OURS, PEER, FLOOR, BAR = "#1769aa", "#b0bec5", "#dcc59a", "#c62828"


def main() -> int:
    """Draw everything."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    data = json.loads((folder / "latest.json").read_text("utf-8"))
    plots = folder / "plots"
    plots.mkdir(exist_ok=True)
    for group in data["groups"].values():
        found = group["circumstances"]
        for each in group["works"]:
            work = Work.from_dict(each)
            if work.values:
                save(plots / slug(work), contenders(work, f"{found['commit']}, {found['date']}"))
    save(plots / "bars", bars(data["bars"]))
    return 0


def contenders(work: Work, origin: str) -> Any:
    """Medians as bars, the best on top, and the rounds' spread as a line over each."""
    names = work.ranked()[::-1]
    middles = [statistics.median(work.values[name]) for name in names]
    below = [middle - min(work.values[name]) for name, middle in zip(names, middles, strict=True)]
    above = [max(work.values[name]) - middle for name, middle in zip(names, middles, strict=True)]
    picture, axes = pyplot.subplots(figsize=(8, 1.2 + 0.28 * len(names)), layout="constrained")
    axes.barh(names, middles, xerr=(below, above), color=list(map(colour, names)), ecolor="#444", capsize=2)
    for at, middle in enumerate(middles):
        end = middle + above[at], at
        axes.annotate(figure(middle), end, xytext=(5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.margins(x=0.1, y=0.01)
    axes.set_title(f"{work.group}: {work.name}", loc="left", fontsize=11)
    better = "more is better" if work.more else "less is better"
    axes.set_xlabel(
        f"{work.unit}, {better}; median and spread of {len(next(iter(work.values.values())))} rounds; {origin}",
        fontsize=8,
    )
    axes.spines[["top", "right"]].set_visible(False)
    return picture


def colour(name: str) -> str:
    """Ours, a floor, or a peer's."""
    return OURS if name.startswith("anywire") else FLOOR if name.startswith("floor") else PEER


def bars(verdicts: list[dict[str, Any]]) -> Any:
    """Each bar as the part of it that was reached: right of the line it is met."""
    shown = [each for each in verdicts if each["ratio"]][::-1]
    parts, names = [], []
    for each in shown:
        limit = float(each["bar"].split()[1])
        parts.append(limit / each["ratio"] if each["bar"].startswith("≤") else each["ratio"] / limit)
        names.append(f"{each['what']}\n{each['bar']}: {each['ratio']:.2f}")
    picture, axes = pyplot.subplots(figsize=(9, 1.2 + 0.42 * len(names)), layout="constrained")
    axes.barh(range(len(parts)), parts, tick_label=names, color=[OURS if part >= 1 else BAR for part in parts])
    axes.margins(y=0.01)
    axes.axvline(1, color="#444", linewidth=1)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_title("The bars: what was measured, as a part of what was to be reached", loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return picture


def save(path: Path, picture: Any) -> None:
    """Twice, and nothing in them that changes from run to run without cause."""
    picture.savefig(path.with_suffix(".png"), dpi=110, metadata={"Software": None})
    picture.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(picture)


if __name__ == "__main__":
    sys.exit(main())
