"""docs/parity.md: its members are those of the list, and everything the list names exists, on every backend."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from anywire import core
from anywire.conformance.__main__ import main
from anywire.conformance.backends import installed, resolve
from anywire.conformance.cases import statement_ids
from anywire.conformance.errors import UsageError
from anywire.conformance.parity import Member, members, parity_page
from anywire.conformance.running import FAIL, PASS
from anywire.conformance.verdicts import DEVIATION, GAP, Verdict
from anywire.core._client_agent import AGENT_OPTIONS
from anywire.core._names import SERVER_TLS_OPTIONS
from anywire.core._options import REQUEST_OPTIONS
from anywire.core._server_options import LISTEN_OPTIONS, SERVER_OPTIONS, process_settings

DOCS = Path(__file__).parents[2] / "docs"
LISTED = members()
NAMED = [(each, name) for each in LISTED for name in each.names]
BACKENDS = [name for name in installed() if "+" not in name]

CLASSES = {
    "http.Agent": ["Agent"],
    "http.ClientRequest": ["ClientRequest"],
    "http.IncomingMessage": ["IncomingMessage"],
    "http.OutgoingMessage, in ClientRequest and ServerResponse": ["ClientRequest", "ServerResponse"],
    "http.Server": ["Server"],
    "http.ServerResponse": ["ServerResponse"],
    "https.Agent": ["Agent"],
    "https.Server": ["Server"],
    "The argument of 'information'": ["IncomingMessage"],
    "The socket of a message": ["Socket"],
    "EventEmitter, in all of them": [
        "Agent", "ClientRequest", "IncomingMessage", "OutgoingMessage", "Server", "ServerResponse", "Socket",
    ],
}  # fmt: skip
"""Heading → the classes that have what stands under it."""

OPTIONS = {
    "Options of http.createServer()": SERVER_OPTIONS,
    "Options of http.request() and http.get()": REQUEST_OPTIONS,
    "Options of new http.Agent()": AGENT_OPTIONS,
    "Options of server.listen()": LISTEN_OPTIONS,
    "https.Agent": {"max_cached_sessions"},
    "TLS options of https.request(), new https.Agent() and https.createServer()": SERVER_TLS_OPTIONS,
}
"""Heading → the names that the core takes."""


def test_the_list_is_read() -> None:
    assert len(LISTED) > 300
    assert {each.section for each in LISTED} == {*CLASSES, *OPTIONS, "The module http", "The module https", "Errors"}
    assert (
        Member("http.ServerResponse", "method", "response.writeHeader()", ("write_header()",), ("RES-29",), "")
        in LISTED
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_name_exists(backend: str) -> None:
    made = resolve(backend)
    awaiting = inspect.iscoroutinefunction(made.http.ServerResponse.end)
    lost = []
    for member, name in NAMED:
        module = made.https if member.section.startswith(("https", "The module https")) else made.http
        bare = name.removesuffix("()")
        if not awaiting and bare.startswith("__a"):
            bare = bare.replace("__a", "__", 1)
        if member.kind in ("option", "event", "setting") or member.section == "Errors":
            continue
        owners = [getattr(module, each) for each in CLASSES.get(member.section, [])] or [module]
        for owner in owners:
            value = attribute(owner, bare)
            kind = "class" if isinstance(value, type) else "function" if callable(value) else "value"
            wanted = "class" if member.kind == "class" else "function" if name.endswith("()") else "value"
            if value is MISSING or kind != wanted:
                lost.append(f"{member.section}: {name} of {owner.__name__} is {value!r}")
    assert lost == []


def test_the_modules_of_all_backends_have_the_same_names() -> None:
    """So a program moves from one to another by its import alone, and may be tested on the sim."""
    offered = {tuple(sorted(each.__all__)) for name in BACKENDS for each in (resolve(name).http, resolve(name).https)}
    assert len(offered) == 1


MISSING = object()


def attribute(owner: Any, name: str) -> Any:
    """What is found in a module or class; in an Agent, since that can be made here, not only in its class."""
    if isinstance(owner, type) and not issubclass(owner, core.ClientAgent):
        return inspect.getattr_static(owner, name, MISSING)
    return getattr(owner() if isinstance(owner, type) else owner, name, MISSING)


@pytest.mark.parametrize(("member", "name"), [each for each in NAMED if each[0].kind == "option"], ids=str)
def test_every_option_is_taken(member: Member, name: str) -> None:
    assert name in OPTIONS[member.section]


@pytest.mark.parametrize("name", [name for each, name in NAMED if each.kind == "setting"])
def test_every_setting_is_read(name: str) -> None:
    values = {getattr(process_settings({name: "1"}), each) for each in ("max_header_size", "insecure_http_parser")}
    assert values != {16384, False}


def test_every_event_is_documented() -> None:
    """In the table of its class; that the tables hold what is emitted is tested beside them."""
    page = (DOCS / "events-and-errors.md").read_text("utf-8")
    tables = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL))
    lost = [
        f"{owner}: {name}"
        for member, name in NAMED
        if member.kind == "event"
        for owner in CLASSES[member.section]
        if f"| `{name}`" not in tables[owner] and f", `{name}` |" not in tables[owner]
    ]
    assert lost == []


def test_every_error_attribute_exists() -> None:
    errors = [core.ConnectError("x", code="ENOTFOUND"), core.ParseError("HPE_INVALID_METHOD", "x")]
    names = [name for each, name in NAMED if each.section == "Errors"]
    assert names
    assert [name for name in names if not any(hasattr(error, name) for error in errors)] == []


def test_every_statement_is_about_some_member() -> None:
    about = {identifier for each in LISTED for identifier in each.ids}
    assert [each for each in statement_ids() if each not in about] == []


def test_no_member_stands_twice() -> None:
    places = [(each.section, each.node, each.kind) for each in LISTED]
    assert len(set(places)) == len(places)


# ------------------------------------------------------------------------------------------------------- the page


def verdicts(**other: str) -> dict[str, Verdict]:
    found = {each: Verdict(each, PASS) for each in statement_ids()}
    found.update((name.replace("_", "-"), Verdict(name, verdict)) for name, verdict in other.items())
    return found


def rows(page: str) -> list[list[str]]:
    """What a page says of its members, without what a run of the suite says of them."""
    body = page[page.index("\n## ") :]
    found = [line.strip("|").split("|") for line in body.splitlines() if line]
    return [[re.sub(" [≠✗·](?=,|$| $)", "", cell) for cell in (*row[:4], row[-1])] for row in found]


def test_the_repository_has_the_page_of_its_members() -> None:
    """The verdicts are those of the last `make conformance`."""
    page = (DOCS / "parity.md").read_text("utf-8")
    fresh = parity_page(dict.fromkeys(["anywire.a", "anywire.b"], verdicts()))
    there, wanted = ([[cell.strip(" -") for cell in row] for row in joined(rows(each))] for each in (page, fresh))
    assert there == wanted, "say `make conformance`"


def joined(found: list[list[str]]) -> list[list[str]]:
    """Spans of statements may break where a verdict changes: `A-1 to 2, A-3` is what `A-1 to 3` is."""
    for row in found:
        if len(row) > 3:
            row[3] = " ".join(spelt_out(row[3]))
    return found


def spelt_out(cell: str) -> list[str]:
    found = []
    for family, first, last in re.findall(r"([A-Z]{3}-L?)(\d+)(?: to (\d+))?", cell):
        found += [f"{family}{number}" for number in range(int(first), int(last or first) + 1)]
    return found


LIST = """\
## Things

method | thing.do() | do() | WIR-12..14
event | 'later' (later) | later | RES-L4
event | 'gone' | - | | nobody asked for it
"""


@pytest.mark.parametrize(
    ("found", "sign", "shown"),
    [
        ({}, "✓", "WIR-12 to 14"),
        ({"WIR_13": DEVIATION}, "≠", "WIR-12, WIR-13 ≠, WIR-14"),
        ({"WIR_13": DEVIATION, "WIR_14": DEVIATION}, "≠", "WIR-12, WIR-13 to 14 ≠"),
        ({"WIR_13": DEVIATION, "WIR_14": GAP}, "·", "WIR-12, WIR-13 ≠, WIR-14 ·"),
        ({"WIR_12": FAIL, "WIR_14": GAP}, "✗", "WIR-12 ✗, WIR-13, WIR-14 ·"),
    ],
)
def test_a_member_is_worth_its_worst_statement(found: dict[str, str], sign: str, shown: str) -> None:
    page = parity_page({"anywire.a": verdicts(**found), "anywire.conformance.b": verdicts()}, members(LIST))
    assert f"\n| method | `thing.do()` | `do()` | {shown} | {sign} | ✓ |  |\n" in page
    assert "\n| event | `'later'` *(later)* | `later` | RES-L4 | ✓ | ✓ |  |\n" in page
    assert "\n| event | `'gone'` | – |  |  |  | nobody asked for it |\n" in page
    assert "\n| b | 2 | 0 | 0 | 0 | 1 | 0 | 3 |\n" in page


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("method | a() | a() | WIR-999", "WIR-999 is no statement"),
        ("method | a() | a() | WIR-12..9999", "WIR-9999 is no statement"),
        ("method | a() | a() | all", "all is no statement"),
        ("verb | a() | a() | WIR-12", "not a line"),
        ("method | a()", "not a line"),
        ("method | a() | | WIR-12", "not a line"),
        ("method | a() | a() | WIR-12 | why | not", "not a line"),
        ("method | a() | - | WIR-12", "has to say why"),
        ("method | a() | a() | ", "has to say why"),
    ],
)
def test_a_line_is_checked_when_it_is_read(line: str, says: str) -> None:
    with pytest.raises(UsageError, match=rf"parity\.txt:3: .*{says}"):
        members(f"words\n## Things\n{line}\n")


def test_the_command_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anywire.conformance.__main__.load_cases", list)
    assert main(["table", "--backend", "anywire.conformance.sim", "--output", str(tmp_path)]) == 0
    page = (tmp_path / "parity.md").read_text("utf-8")
    assert "| sim | 0 | 0 | 0 |" in page
    assert "\n| method | `response.writeHeader()` | `write_header()` | RES-29 · | · |  |\n" in page
