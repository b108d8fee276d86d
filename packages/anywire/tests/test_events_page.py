"""docs/events-and-errors.md names every error class with its base, every code and every event there is."""

from __future__ import annotations

import re
from pathlib import Path

from anywire import core
from anywire.asyncio import http
from anywire.core import AnywireError

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "events-and-errors.md").read_text("utf-8")
SOURCES = [
    path.read_text("utf-8") for part in ("core", "backend-asyncio") for path in (ROOT / part / "src").rglob("*.py")
]


def section(title: str) -> str:
    """From a heading to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def in_code(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


def test_every_error_class_and_what_it_also_is() -> None:
    classes = {each for each in vars(core).values() if isinstance(each, type) and issubclass(each, AnywireError)}
    rows = re.findall(r"^\| ((?:· )*)`(\w+)` \|([^|]*)\|", section("Classes"), re.MULTILINE)
    assert {name for _, name, _ in rows} == {each.__name__ for each in classes}
    above: list[type] = []
    for dots, name, also in rows:
        made = getattr(core, name)
        del above[dots.count("·") :]
        assert not above or above[-1] in made.__bases__, name
        first = re.match(r" `(\w+)`", also)
        if first:
            assert first[1] in {base.__name__ for base in made.__bases__}, name
        above.append(made)


def test_every_code() -> None:
    written = {code for text in SOURCES for code in re.findall(r'"((?:ERR|HPE)_[A-Z0-9_]+[A-Z0-9])"', text)}
    assert {"HPE_INVALID_METHOD", "ERR_HTTP_HEADERS_SENT"} <= written, "the search finds codes"
    assert written - in_code(section("Codes")) == set()


def test_every_event() -> None:
    titles = ("Server", "ServerResponse", "IncomingMessage", "ClientRequest", "Agent", "Socket")
    tables = {title: re.findall(r"^\| `(\w+)` \|(.*)", section(title), re.MULTILINE) for title in titles}
    emitted = {event for text in SOURCES for event in re.findall(r'\b(?:emit\(|_call\(|return)\s*"(\w+)",', text)}
    emitted |= {event for text in SOURCES for event in re.findall(r'\bemit\("(\w+)"\)', text)}
    assert {"request", "aborted", "finish", "free"} <= emitted, "the search finds events"
    assert emitted - {event for rows in tables.values() for event, _ in rows} == set()
    for title, kind in (("Server", http.Server), ("ClientRequest", http.ClientRequest)):
        assert {event for event, rest in tables[title] if "| async |" in rest} == kind.async_events
