"""What is to be reached: ratios between contenders of one run, as data, and whether they were reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .work import Work, best

__all__ = ["BARS", "Bar", "Verdict", "judge", "judged"]

NODE = "Node 13.14.0"
UVLOOP = "anywire asyncio+uvloop"
HTTPTOOLS = "uvicorn httptools"
THREADED = ("waitress", "cheroot", "gunicorn gthread")


@dataclass(frozen=True, slots=True)
class Bar:
    """One promise.

    Attributes:
        what: in words, the first column of the table.
        group: of the work.
        work: its name.
        ours: the contender whose median is the numerator.
        theirs: contenders whose best median is the denominator; none for an absolute bar.
        limit: what the ratio has to reach.
        at_most: it must not exceed the limit; else it must not fall below it.
        in_work: the work of `theirs`, if that is another one.
        ratio_of_times: less is better in this work, and the bar says how many times as fast we are.
    """

    what: str
    group: str
    work: str
    ours: str
    theirs: tuple[str, ...]
    limit: float
    at_most: bool = False
    in_work: str = ""
    ratio_of_times: bool = False

    @property
    def text(self) -> str:
        """The bar as the table shows it."""
        against = " × " + " or ".join(self.theirs) if self.theirs else ""
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}{against}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar and what was measured.

    Attributes:
        bar: the promise.
        ratio: of the medians; None if one of the two was not measured.
        spread: the least and the greatest ratio of the same round.
        peer: whom it was measured against.
        met: None if there is no ratio.
    """

    bar: Bar
    ratio: float | None = None
    spread: tuple[float, float] = (0.0, 0.0)
    peer: str = ""
    met: bool | None = None

    @property
    def word(self) -> str:
        """The last column."""
        return {True: "met", False: "**not met**", None: "not measured"}[self.met]


def judge(bar: Bar, works: Mapping[tuple[str, str], Work]) -> Verdict:
    """What was measured, held to one bar."""
    mine = works.get((bar.group, bar.work))
    if mine is None or not mine.values.get(bar.ours):
        return Verdict(bar)
    ours = mine.values[bar.ours]
    peer = ""
    rounds: Sequence[float] = [1.0] * len(ours)
    if bar.theirs:
        other = works.get((bar.group, bar.in_work or bar.work))
        chosen = best(other, bar.theirs) if other is not None else None
        if other is None or chosen is None:
            return Verdict(bar)
        peer, rounds = chosen, other.values[chosen]
    if bar.ratio_of_times:
        ours, rounds = list(rounds), ours
    middle = statistics.median(rounds)
    if not middle:
        return Verdict(bar, peer=peer)
    ratio = statistics.median(ours) / middle
    each = [a / b for a, b in zip(ours, rounds, strict=False) if b] or [ratio]
    met = ratio <= bar.limit if bar.at_most else ratio >= bar.limit
    return Verdict(bar, ratio, (min(each), max(each)), peer, met)


def judged(works: Sequence[Work]) -> list[Verdict]:
    """All bars of the groups that were measured."""
    found = {(work.group, work.name): work for work in works}
    groups = {work.group for work in works}
    return [judge(bar, found) for bar in BARS if bar.group in groups]


def _server(work: str, ours: str, *pairs: tuple[float, tuple[str, ...]]) -> list[Bar]:
    what = f"server, {ours.removeprefix('anywire ')}, {work}"
    return [Bar(what, "server", work, ours, theirs, limit) for limit, theirs in pairs]


def _client(what: str, work: str, ours: str, *pairs: tuple[float, str]) -> list[Bar]:
    what = f"client, {ours.removeprefix('anywire ')}, {what}"
    return [Bar(what, "client", work, ours, (peer,), limit) for limit, peer in pairs]


def _bulk(work: str, theirs: tuple[str, ...]) -> list[Bar]:
    what = f"1 GiB, {work if ',' in work else 'server, ' + work}"
    return [
        Bar(what, "bulk", work, UVLOOP, theirs, 1.0),
        Bar(f"{what}: memory is flat, MiB grown", "bulk", f"{work}: memory", UVLOOP, (), 8.0, at_most=True),
    ]


SMALL = "small, 64 connections"
BROWSER = "browser's head, 64 connections"
ONE_BY_ONE = "one by one"
SHARED = "one by one, on one processor"
AT_ONCE = "32 at a time"
BLOCKING = "a handler that blocks 20 ms"
LINEAR = ("1-byte segments", "chunks", "fields", "trailers", "queue")

BARS: list[Bar] = [
    *_server(SMALL, UVLOOP, (1.2, (NODE,)), (1.8, (HTTPTOOLS,)), (0.55, ("floor uvloop",))),
    *_server(BROWSER, UVLOOP, (1.1, (NODE,)), (1.6, (HTTPTOOLS,))),
    *_server(SMALL, "anywire asyncio", (0.45, ("floor asyncio",))),
    *_server(SMALL, "anywire trio", (0.9, ("floor trio",)), (4.0, ("hypercorn trio",))),
    *_server(SMALL, "anywire gevent", (0.9, ("floor gevent",)), (8.0, ("gevent.pywsgi",))),
    *_server(SMALL, "anywire sync", (0.8, ("floor threads",)), (4.0, THREADED)),
    *_server(BLOCKING, "anywire sync", (0.95, ("floor 64 threads",))),
    *_client("32 at a time", AT_ONCE, UVLOOP, (1.3, NODE), (2.0, "aiohttp"), (8.0, "httpx2")),
    *_client("one by one", ONE_BY_ONE, UVLOOP, (1.3, NODE), (1.3, "aiohttp")),
    *_client("one by one, shared processor", SHARED, UVLOOP, (1.3, NODE), (1.3, "aiohttp")),
    *_client("one by one", ONE_BY_ONE, "anywire sync", (1.4, "http.client"), (4.0, "urllib3")),
    *_client("one by one, shared processor", SHARED, "anywire sync", (1.4, "http.client"), (4.0, "urllib3")),
    *_client("32 at a time", AT_ONCE, "anywire gevent", (1.6, "geventhttpclient")),
    Bar("core: parse and serialize, µs", "core", "small cycle", "anywire", (), 4.0, at_most=True),
    Bar("core: parse and serialize", "core", "small cycle", "anywire", ("h11",), 8.0, ratio_of_times=True),
    *(
        Bar(f"pool: {what}, 10 000 sockets against 10", "pool", "10 000 sockets", f"anywire, {what}",
            (f"anywire, {what}",), 1.3, at_most=True, in_work="10 sockets")
        for what in ("idle", "queued")
    ),
    *_bulk("down", (NODE, "aiohttp", HTTPTOOLS)),
    *_bulk("up", (NODE, "aiohttp", HTTPTOOLS)),
    *_bulk("client, down", (NODE, "aiohttp")),
    *_bulk("client, up", (NODE, "aiohttp")),
    Bar("idle connection, KiB", "memory", "idle connection", "anywire asyncio", (), 7.0, at_most=True),
    *(
        Bar(f"linear time: {what}, time(2N) / time(N)", "linear", "time(2N) / time(N)", what, (), 2.2, at_most=True)
        for what in LINEAR
    ),
]  # fmt: skip
"""The bars, in the order in which they were promised."""
