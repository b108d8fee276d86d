"""A directory as a page: names, sizes, dates. No script, nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

from ._target import quote_path

__all__ = ["Entry", "render_listing", "visible"]

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;margin:2rem}table{border-collapse:collapse}"
    "th,td{padding:.1rem 2rem .1rem 0;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8af}}"
)


class Entry(NamedTuple):
    """One line of a listing.

    Attributes:
        name: as the file system has it.
        directory: it is one.
        size: bytes.
        modified: seconds since the epoch.
    """

    name: str
    directory: bool
    size: int
    modified: float


def visible(text: str) -> str:
    """`text` for people: what cannot be shown (bytes that are no UTF-8, control characters) becomes U+FFFD."""
    text = os.fsencode(text).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def render_listing(segments: tuple[str, ...], entries: Iterable[Entry]) -> bytes:
    """The page for the directory at `segments`: directories first, each group by name.

    A name that no target can ask for (it contains a backslash) is shown without a link.
    """
    title = escape("/" + "".join(visible(name) + "/" for name in segments))
    rows = []
    if segments:
        rows.append('<tr><td><a href="../">../</a></td><td></td><td></td></tr>')
    for entry in sorted(entries, key=lambda e: (not e.directory, e.name.casefold(), e.name)):
        slash = "/" if entry.directory else ""
        label = escape(visible(entry.name)) + slash
        if "\\" not in entry.name:
            # ./ in front: a name with a colon would be taken for a scheme.
            label = f'<a href=".{escape(quote_path([entry.name]))}{slash}">{label}</a>'
        when = datetime.fromtimestamp(entry.modified, UTC).strftime("%Y-%m-%d %H:%M")
        size = "" if entry.directory else f"{entry.size:,}"
        rows.append(f'<tr><td>{label}</td><td class="n">{size}</td><td>{when}</td></tr>')
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<table>\n"
        "<tr><th>Name</th><th>Bytes</th><th>Modified (UTC)</th></tr>\n" + "\n".join(rows) + "\n</table></body></html>\n"
    ).encode()
