"""Request target → path segments.

Whatever could leave the root is refused here, before the file system is asked: a segment that *decodes* to ``.`` or
``..``, or that contains a slash, a backslash or NUL. We do not normalise such targets: browsers and curl did that
before sending, so what is left is a mistake or an attack. :class:`~._site.Site` has a second wall: what a path
resolves to, symbolic links followed, has to lie under the root.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

__all__ = ["BadTarget", "Target", "quote_path", "split_target"]

_ORIGIN = re.compile(r"(?i)https?://[^/?#]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_FORBIDDEN = re.compile(rb"[/\\\x00]")


class BadTarget(ValueError):
    """A target that names nothing here, whatever files there are."""


class Target(NamedTuple):
    """The parts of a request target.

    Attributes:
        segments: decoded names from the root down; ``()`` is the root.
        slash: the path ends with a slash, so it means a directory.
        query: what stands behind the question mark, with it; ``""`` if there is none.
    """

    segments: tuple[str, ...]
    slash: bool
    query: str

    def location(self) -> str:
        """The canonical path of this directory, for ``Location``.

        Built from the segments: a copy of the target, ``//host/x`` say, could send the client elsewhere.
        """
        return quote_path(self.segments) + "/" + self.query


def split_target(target: str) -> Target:
    """Split a request target (RFC 9112 section 3.2: origin-form, or absolute-form whose authority is ignored).

    Empty segments are dropped: ``//a///b`` is ``/a/b``.

    Raises:
        BadTarget: a malformed escape, or a segment that no file can be asked for by.
    """
    if found := _ORIGIN.match(target):
        target = target[found.end() :] or "/"
    path, mark, query = target.partition("?")
    if not path and mark:
        path = "/"
    if not path.startswith("/"):
        raise BadTarget("the target is not a path")
    if _BAD_ESCAPE.search(path):
        raise BadTarget("a malformed % escape")
    segments = []
    for part in path.split("/"):
        if not part:
            continue
        # latin-1: a target is octets, and the parser hands them over one character each.
        name = unquote_to_bytes(part.encode("latin-1"))
        if name in (b".", b"..") or _FORBIDDEN.search(name):
            raise BadTarget("a path segment that is not allowed")
        segments.append(os.fsdecode(name))
    return Target(tuple(segments), path.endswith("/"), mark + query)


def quote_path(segments: tuple[str, ...] | list[str]) -> str:
    """The path of `segments`, percent-encoded; ``""`` for none. Names need not be UTF-8."""
    return "".join("/" + quote_from_bytes(os.fsencode(name), safe="!$&'()*+,;=:@") for name in segments)
