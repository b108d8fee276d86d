"""Fuzz target: what an application says is what is heard, or it is refused before a byte of it is sent.

The first byte chooses the status and the splitting, the rest is divided by 0xFF: method, target, reason, names and
values of the fields of both messages and of a trailer, and pieces of the bodies.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from anywire.core._errors import AnywireError, LocalError, ParseError

from ..tests.harness import ConnectionPair, Steps, drain, pieces_of, read_all

__all__ = ["exchanges"]

STATUSES = [200, 201, 204, 299, 304, 404, 500, 999]
OURS = frozenset(
    {
        "connection", "content-length", "date", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Fields that have a meaning for the connection: they may be joined, replaced or left out."""

STRICTER = {"INVALID_METHOD", "INVALID_URL", "INVALID_HOST"}
"""What a server refuses that a client may say: methods it does not know, targets that only some methods have."""


def exchanges(data: bytes) -> None:
    """A request and its answer, made of anything."""
    bits = data[0] if data else 0
    parts = [part.decode("latin-1") for part in data[1:].split(b"\xff")]
    parts += [""] * (13 - len(parts))
    method, target, reason = parts[0] or "GET", parts[1] or "/", parts[2]
    asked, told = pairs(parts[3:7]), pairs(parts[7:11])
    trailer = pairs(parts[11:13])
    pieces = [part.encode("latin-1") for part in parts[13:17]]
    status = STATUSES[bits & 7]
    step = (bits >> 3 & 3) * 5 + 1
    heard: dict[str, Any] = {}

    def handler(req: Any, res: Any) -> Steps:
        heard["line"] = req.method, req.url
        heard["fields"] = req.raw_headers
        heard["body"] = yield from read_all(req)
        heard["trailers"] = req.raw_trailers
        try:
            if reason:
                res.write_head(status, reason, told)
            else:
                res.write_head(status, told)
        except LocalError:
            heard["refused"] = True
            assert not res.headers_sent
            res.destroy()
            return
        try:
            for piece in pieces:
                res.write_nowait(piece)
            res.end_nowait(trailers=trailer or None)
        except LocalError:
            heard["refused"] = True  # against its own Content-Length, or a trailer that cannot be one
            res.destroy()

    def cut(sent: bytes) -> Iterable[bytes]:
        return pieces_of(sent, range(step, len(sent), step)) if bits & 32 else [sent]

    pair = ConnectionPair(handler, cut=cut)
    client = pair.client
    try:
        request = client.request(method=method, path=target, headers=asked)
    except LocalError:
        return
    try:
        for piece in pieces:
            request.write_nowait(piece)
        request.end_nowait(trailers=trailer or None)
    except LocalError:
        assert not client.pumps
        request.destroy()
        return
    client.connect(request)
    failure: AnywireError | None = None
    body: list[bytes] = []
    message = None
    try:
        pair.carry(request)
        message = request.res
        if message is not None and request._switched is None:
            body = drain(message)
    except AnywireError as error:
        failure = error
    wire = bytes(pair.serving.pump.sent), data
    assert len(pair.serving.requests) <= 1, ("one request became two", wire)
    refused = {line.partition("HPE_")[2] for line in pair.serving.log if line.startswith("client_error HPE_")}
    assert refused <= STRICTER, (refused, wire)
    assert not isinstance(failure, ParseError), (failure, wire)
    assert pair.serving.reported == [], pair.serving.reported
    if "line" not in heard:
        return
    assert heard["line"] == (method.upper(), target), heard
    check_fields(asked, heard["fields"])
    assert b"".join(pieces) == heard["body"] or not any(pieces), heard
    check_fields(trailer, heard["trailers"], optional=True)
    if heard.get("refused") or message is None or message.status_code != status:
        return
    if reason:
        assert message.status_message == reason, (message.status_message, reason)
    check_fields(told, message.raw_headers)
    if failure is None and status not in (204, 304) and method.upper() not in ("HEAD", "CONNECT") and message.complete:
        assert b"".join(body) == b"".join(pieces), (body, pieces)


def pairs(parts: Iterable[str]) -> dict[str, str]:
    """Names and values, as far as there are names; each name once."""
    flat = iter(parts)
    once = {name.lower(): (name, value) for name, value in zip(flat, flat, strict=False) if name}
    return dict(once.values())


def check_fields(said: dict[str, str], heard: list[str], *, optional: bool = False) -> None:
    """Every field that was said was heard, with nothing added to it."""
    flat = iter(heard)
    got = [(name.lower(), value) for name, value in zip(flat, flat, strict=True)]
    for name, value in said.items():
        if name.lower() not in OURS and not (optional and not got):
            assert (name.lower(), value.strip(" \t")) in got, (name, value, got)
