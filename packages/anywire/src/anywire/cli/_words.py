"""Text and numbers for people: sizes in, sizes out, log lines."""

from __future__ import annotations

import re
import time
from typing import Any

__all__ = ["access_line", "human_bytes", "parse_size", "printable", "url_host"]

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d{1,15})\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)


def parse_size(text: str) -> int:
    """``"1G"``, ``"64 MiB"``, ``"1000"`` → bytes. Units are powers of 1024.

    Raises:
        ValueError: it is something else.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a size; write 1G, 64M, 100K or a number of bytes")
    return int(found[1]) * _UNITS[found[2].upper()]


def human_bytes(count: float) -> str:
    """Bytes with a binary unit and at most one decimal: ``1.0 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def printable(text: str) -> str:
    """`text` for a terminal or a log: everything that could steer one is escaped, and so are quotes."""
    return text.encode("unicode_escape", "surrogatepass").decode("ascii").replace('"', '\\"')


def access_line(
    peer: str | None, request: str, status: int, sent: int, seconds: float, now: float, agent: Any = None
) -> str:
    """One line for one response, much like the combined log format.

    Args:
        peer: address of the client.
        request: the request line.
        status: status code of the response.
        sent: bytes of its body that were handed over.
        seconds: from the head of the request to the end of the response.
        now: seconds since the epoch.
        agent: the client's ``User-Agent``.
    """
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    return f'{peer or "-"} {when} "{printable(request)}" {status} {sent} {seconds:.3f} "{printable(str(agent or "-"))}"'


def url_host(host: str) -> str:
    """`host` as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
