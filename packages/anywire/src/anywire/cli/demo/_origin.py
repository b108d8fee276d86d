"""The demo's server, all of it that does not wait: what is answered to each request.

===========================  ==========================================================================================
``GET /manifest``            the files of the tree, as JSON
``GET /tree/PATH``           a file of the tree
``PUT /uploads/PATH``        store a file; its ``Content-Digest`` is checked, wherever it stands
``GET /stream?size=N``       the generated stream
``PUT /stream``              take a stream and say its size and digest; 422 if its ``Content-Digest`` says another one
``PUT /limited``             the same for at most 1 MiB; more is refused, before it is sent if the client waits for 100
``GET /hints``               a 103 before the answer
``POST /watch``              memory: from now on; ``GET /watch``: what it came to; connections
``CONNECT 127.0.0.1:PORT``   a tunnel, to loopback addresses only
``Upgrade: echo``            whatever comes is sent back
===========================  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs

from ..static import Answer, Receiver, Site, content_digest, plain_answer
from ._job import OriginOptions
from ._memory import Watch, peak_memory
from ._stream import stream
from ._tree import scan

__all__ = [
    "ECHO_ACCEPTED",
    "ECHO_REFUSED",
    "HINTS",
    "LIMIT",
    "TUNNEL_FAILED",
    "TUNNEL_OPENED",
    "TUNNEL_REFUSED",
    "Origin",
    "either_ends",
    "tunnel_target",
]

LIMIT: Final = 1 << 20
HINTS: Final = {"Link": "</style.css>; rel=preload; as=style"}

_CLOSE = "Connection: close\r\nContent-Length: 0\r\n\r\n"
TUNNEL_OPENED: Final = "HTTP/1.1 200 Connection established\r\n\r\n"
TUNNEL_REFUSED: Final = f"HTTP/1.1 403 Forbidden\r\n{_CLOSE}"
TUNNEL_FAILED: Final = f"HTTP/1.1 502 Bad Gateway\r\n{_CLOSE}"
ECHO_ACCEPTED: Final = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
ECHO_REFUSED: Final = f"HTTP/1.1 400 Bad Request\r\n{_CLOSE}"


class Origin:
    """What is served. It answers as a :class:`Site` does.

    Args:
        options: what the demo's server is told.
    """

    def __init__(self, options: OriginOptions) -> None:
        self._tree = Site(options.root)
        self._uploads = Site(options.uploads, upload=True)
        self._accepted = 0
        self._watch = Watch()

    def accepted(self, _: object) -> None:
        """Count a connection."""
        self._accepted += 1

    def hints(self, target: str) -> Mapping[str, str] | None:
        """Fields of a 103 that comes before the answer, if one does."""
        return HINTS if target == "/hints" else None

    def answer(self, method: str, target: str, headers: Mapping[str, Any], now: float) -> Answer:
        """As :meth:`Site.answer`."""
        first, rest, query = _split(target)
        match method, first:
            case "GET", "tree":
                return self._tree.answer("GET", rest, headers, now)
            case "GET", "stream":
                return _Stream(int(parse_qs(query)["size"][0]))
            case "GET", "hints":
                return plain_answer(200, "this came after 103 Early Hints")
            case "GET", "manifest":
                return _json_answer([entry.path for entry in scan(self._tree.root).files])
            case "POST", "watch":
                self._watch = Watch()
                return Answer(204, [])
            case "GET", "watch":
                watch = self._watch
                return _json_answer(
                    {
                        "before": watch.before,
                        "after": watch.peak(),
                        "peak": peak_memory(),
                        "accepted": self._accepted,
                    }
                )
        return plain_answer(404, "The demo's server does not have that")

    def receive(self, target: str, headers: Mapping[str, Any], now: float) -> Receiver | Answer:
        """As :meth:`Site.receive`."""
        first, rest, _ = _split(target)
        match first:
            case "uploads":
                return self._uploads.receive(rest, headers, now)
            case "stream":
                return _Taken()
            case "limited" if int(str(headers.get("content-length", LIMIT + 1))) > LIMIT:
                return plain_answer(413, f"at most {LIMIT} bytes with a Content-Length")
            case "limited":
                return _Taken()
        return plain_answer(404, "The demo's server does not take that")


def _split(target: str) -> tuple[str, str, str]:
    path, _, query = target.partition("?")
    first, slash, rest = path[1:].partition("/")
    return first, slash + rest, query


def _json_answer(value: Any) -> Answer:
    body = json.dumps(value).encode()
    return Answer(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))], [body])


class _Stream(Answer):
    """The generated stream as an answer."""

    __slots__ = ("_generated",)

    def __init__(self, size: int) -> None:
        super().__init__(200, [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
        self.left = size
        self._generated = stream(size)

    def read_nowait(self) -> bytes:
        piece = next(self._generated, b"")
        self.left -= len(piece)
        return piece


class _Taken(Receiver):
    """A body that is looked at and not kept: its size and its digest."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)

    def finish(self, trailers: Mapping[str, Any]) -> Answer:
        said, found = trailers.get("content-digest"), content_digest(self._digest.digest())
        if said not in (None, found):
            return plain_answer(422, f"the content is {found}, its trailer said {said}")
        return _json_answer({"size": self._size, "digest": found, "trailer": said})


def tunnel_target(target: str) -> tuple[str, int] | None:
    """Host and port of a CONNECT target, if it is a loopback address."""
    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    try:
        return (host, int(port)) if ip_address(host).is_loopback else None
    except ValueError:
        return None


@contextmanager
def either_ends(socket: Any, peer: Any) -> Iterator[None]:
    """Carry bytes between the two: where one breaks, the other one ends."""
    try:
        yield
    except ConnectionError:
        socket.destroy()
        peer.break_off()
