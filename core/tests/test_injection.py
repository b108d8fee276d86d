"""SEC-21: every place where a program's text reaches the wire, with every byte and a few characters beyond.

Either the call raises before a byte is written, or our own strict parser reads back exactly what was given, and
nothing besides what goes in by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from anywire.core._errors import LocalError, ParseError
from anywire.core._fields import parse_fields
from anywire.core._framing import REQUEST, RESPONSE
from anywire.core._limits import Limits
from anywire.core._parser import Parser
from anywire.core._status import METHODS
from anywire.core._url import domain_to_ascii

from .harness import Client, Serving, get

Pairs: TypeAlias = list[tuple[str, str]]

# Last bytes that are CR, LF, NUL or a colon; line ends of Unicode, a full-width colon, a lone surrogate, an emoji.
BEYOND = [0x100, 0x10A, 0x10D, 0x13A, 0x20A, 0x560A, 0x2028, 0x85, 0xFF1A, 0xD800, 0x1F40D]
AUTOMATIC = {"date", "connection", "content-length", "transfer-encoding", "host"}


def texts() -> Iterator[str]:
    for code in [*range(256), *BEYOND]:
        yield f"a{chr(code)}b"
        if not chr(code).isalnum():
            yield chr(code)
    yield from ("", "a\r\nX: y", "a\r\n\r\nGET / HTTP/1.1\r\n", "\r\n a", "a: b", "a, b", "a;b", '"', "a" * 20000)


def read_back(role: str, wire: bytes, method: str | None = None) -> tuple[tuple[Any, str], Pairs, bytes, Pairs]:
    """Start line, fields, body and trailers of the one message that `wire` is."""
    parser = Parser(role, Limits(max_header_size=1 << 20, max_trailer_size=1 << 20))
    parser.receive_data(wire)
    head = parser.next_head(method)
    assert head is not None
    body = b""
    if head[4]:
        while piece := parser.next_body():
            body += piece
    assert not parser.buffered, "more than one message"
    return head[:2], paired(head[3]), body, paired(parser.raw_trailers)


def paired(fields: bytes) -> Pairs:
    flat = iter(parse_fields(fields))
    return list(zip(flat, flat, strict=True))


# ------------------------------------------------------------------------------------------------------------- requests

REQUESTS: dict[str, Callable[[str], dict[str, Any]]] = {
    "method": lambda text: {"method": text},
    "path": lambda text: {"path": text},
    "host": lambda text: {"host": text},
    "Host": lambda text: {"headers": {"Host": text}},
    "name": lambda text: {"headers": {text: "v"}},
    "value": lambda text: {"headers": {"X": text}},
    "values": lambda text: {"headers": {"X": ["v", text]}},
    "cookies": lambda text: {"headers": {"Cookie": ["v=w", text]}},
    "pair": lambda text: {"headers": [["Host", "h"], ["X", text]]},
    "upgrade": lambda text: {"headers": {"Connection": "Upgrade", "Upgrade": text}},
    "auth": lambda text: {"auth": text},
    "tunnel": lambda text: {"method": "CONNECT", "path": text},
}
CALLS: dict[str, Callable[[Any, str], object]] = {
    "set name": lambda request, text: request.set_header(text, "v"),
    "set value": lambda request, text: request.set_header("X", text),
    "append": lambda request, text: request.append_header("X", text),
    "trailer name": lambda request, text: request.add_trailers({text: "v"}),
    "trailer value": lambda request, text: request.add_trailers({"X": text}),
    "assigned method": lambda request, text: setattr(request, "method", text),
    "assigned path": lambda request, text: setattr(request, "path", text),
}


def sent(text: str, options: dict[str, Any], call: Callable[[Any, str], object] | None) -> bytes | None:
    """What goes out; None if it was refused, and then nothing did."""
    client = Client()
    body = options.get("method") != "CONNECT"
    try:
        request = client.request(None, **{"method": "POST", **options})
        if call is not None:
            call(request, text)
        if body:
            request.write_nowait(b"body")
        request.end_nowait()
    except LocalError:
        assert not any(pump.sent for pump in client.pumps)
        return None
    return bytes(client.connect(request).sent)


@pytest.mark.parametrize("place", [*REQUESTS, *CALLS])
def test_no_text_of_a_request_changes_its_form_SEC_21(place: str) -> None:
    went = 0
    for text in texts():
        make, call = REQUESTS.get(place), CALLS.get(place)
        wire = sent(text, {} if make is None else make(text), call)
        if wire is None:
            continue
        went += 1
        line, _, rest = wire.partition(b"\r\n")
        method, target, version = line.split(b" ")  # exactly three
        assert version == b"HTTP/1.1"
        if place.endswith("method"):
            assert method.decode() == (text.upper() or "GET")
        if place.endswith("path") or place == "tunnel":
            assert target.decode("latin-1") == (text or "/")
        try:
            read_back(REQUEST, wire)
        except ParseError:  # nobody reads something else: our own server takes fewer methods, targets and Hosts
            assert method.decode() not in METHODS or place.endswith("path") or place in ("tunnel", "Host")
            if place == "Host":
                assert f"\r\nHost: {text}\r\n" in wire.decode("latin-1")
                continue
        if place == "tunnel":
            continue
        _, fields, body, trailers = read_back(REQUEST, b"POST / HTTP/1.1\r\n" + rest)
        assert body == b"body" or place.endswith("method")
        check(place, text, fields, trailers)
    assert went > 10


def check(place: str, text: str, fields: Pairs, trailers: Pairs) -> None:
    value = text.strip(" \t")
    ours: Pairs = [pair for pair in fields if pair[0].lower() not in AUTOMATIC]
    expected: dict[str, Pairs] = {
        "name": [(text, "v")],
        "set name": [(text, "v")],
        "value": [("X", value)],
        "pair": [("X", value)],
        "set value": [("X", value)],
        "append": [("X", value)],
        "values": [("X", "v"), ("X", value)],
        "cookies": [("Cookie", f"v=w; {text}".strip(" \t"))],
        "upgrade": [("Upgrade", value)],
    }
    if place == "auth":
        assert [name for name, _ in ours] == ["Authorization"] * bool(text)
    else:
        assert ours == expected.get(place, [])
    if place == "trailer name":
        assert trailers == [(text, "v")]
    elif place == "trailer value":
        assert trailers == [("X", value)]
    else:
        assert not trailers
    if place == "Host":
        assert dict(fields)["Host"] == (value if text else "localhost")
    elif place == "host":
        assert dict(fields)["Host"] == (domain_to_ascii(text) if not text.isascii() else text or "localhost")
    assert len([name for name, _ in fields if name.lower() == "host"]) == 1


# ------------------------------------------------------------------------------------------------------------ responses

RESPONSES: dict[str, Callable[[Any, str], object]] = {
    "reason": lambda response, text: response.write_head(200, text),
    "assigned reason": lambda response, text: setattr(response, "status_message", text),
    "head name": lambda response, text: response.write_head(200, {text: "v"}),
    "head value": lambda response, text: response.write_head(200, {"X": text}),
    "head pair": lambda response, text: response.write_head(200, [("X", text)]),
    "name": lambda response, text: response.set_header(text, "v"),
    "value": lambda response, text: response.set_header("X", text),
    "values": lambda response, text: response.set_header("X", ["v", text]),
    "cookie": lambda response, text: response.set_header("Set-Cookie", ["v=w", text]),
    "append": lambda response, text: response.append_header("X", text),
    "trailer name": lambda response, text: response.add_trailers({text: "v"}),
    "trailer value": lambda response, text: response.add_trailers({"X": text}),
    "hint": lambda response, text: response.write_information_nowait(103, {"Link": text}),
    "hint name": lambda response, text: response.write_information_nowait(103, {text: "v"}),
}


@pytest.mark.parametrize("place", RESPONSES)
def test_no_text_of_a_response_changes_its_form_SEC_21(place: str) -> None:
    went = refused = 0
    for text in texts():
        seen: list[bool] = []

        def answer(_: Any, response: Any, text: str = text, seen: list[bool] = seen) -> None:
            try:
                RESPONSES[place](response, text)
                response.write_nowait(b"body")
                response.end_nowait()
                seen.append(True)
            except LocalError:
                seen.append(False)

        server = Serving(answer, watch=False)
        wire = server.feed(get())
        if seen == [False]:
            assert wire == b""
            refused += 1
            continue
        went += 1
        hints: Pairs = []
        if place.startswith("hint"):
            first, end, wire = wire.partition(b"\r\n\r\n")
            start, hints, _, _ = read_back(RESPONSE, first + end)
            assert start == (103, "Early Hints")
        (status, reason), fields, body, trailers = read_back(RESPONSE, wire, "GET")
        assert (status, body) == (200, b"body")
        assert reason == (text if place.endswith("reason") else "OK")
        value = text.strip(" \t")
        ours = [pair for pair in fields if pair[0].lower() not in AUTOMATIC]
        expected: dict[str, Pairs] = {
            "head name": [(text, "v")],
            "head value": [("X", value)],
            "head pair": [("X", value)],
            "name": [(text, "v")],
            "value": [("X", value)],
            "values": [("X", "v"), ("X", value)],
            "cookie": [("Set-Cookie", "v=w"), ("Set-Cookie", value)],
            "append": [("X", value)],
        }
        assert ours == expected.get(place, [])
        assert trailers == {"trailer name": [(text, "v")], "trailer value": [("X", value)]}.get(place, [])
        assert hints == {"hint": [("Link", value)], "hint name": [(text, "v")]}.get(place, [])
    assert went > 60
    assert refused > 60
