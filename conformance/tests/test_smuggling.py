"""Pairs: nginx and HAProxy before a server on every runtime, and ours on every runtime before Node's.

They are sent what two parsers in a row may disagree about.

The front gives each request that it forwards a number. A tap between the two knows the bytes that it forwarded, its
log what it took them for, and the server says what it saw. What must come of it: on each connection the server sees
the requests that the front meant, one for one and in order, with the same method, target and body, up to where it
refuses one; and none without a number, which would be one that the front never saw.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .peers.ambiguous import AFTER, ambiguous
from .peers.logging_fronts import KINDS, Forwarded, logging_front, read_log
from .peers.real import HERE, RUNTIMES, child, free_port, node, recorder
from .peers.tap import Tap, tap

NUMBER = re.compile(rb"\r\n(?i:x-front-id): ([-0-9A-Fa-f]+)(?=\r\n)")


@dataclass
class Seen:
    """What one pair made of all of them.

    Attributes:
        meant: by the front, by number.
        wires: by connection: the numbers in the bytes that went over it, in order.
        server: by connection: the requests that the server saw, in order.
    """

    meant: dict[str, Forwarded]
    wires: dict[int, list[str]]
    server: dict[int, list[dict[str, object]]]


def send(port: int, data: bytes) -> None:
    """Send it, and read until there is no more to read."""
    with socket.create_connection(("127.0.0.1", port), 15) as sock:
        try:
            sock.sendall(data + AFTER)
            while sock.recv(65536):
                pass
        except ConnectionError:
            pass


def pairs(kind: str, folder: Path) -> dict[str, Seen]:
    """Send all to the front before each runtime."""
    with ExitStack() as stack:
        servers, taps = {}, {}
        for runtime in RUNTIMES:
            (folder / runtime).mkdir()
            servers[runtime] = stack.enter_context(recorder(runtime, folder / runtime))
            taps[runtime] = stack.enter_context(tap(servers[runtime].port))
        with logging_front(kind, {name: each.port for name, each in taps.items()}, folder) as ports:
            with ThreadPoolExecutor(24) as pool:
                jobs = [pool.submit(send, port, data) for _, data in ambiguous() for port in ports.values()]
            for job in jobs:
                job.result()
    found = {}
    for runtime, server in servers.items():
        found[runtime] = Seen(read_log(kind, runtime, folder), *on_connections(server.seen(), taps[runtime]))
    return found


def pairs_of_ours(folder: Path) -> dict[str, Seen]:
    """Send all to a front of ours on each runtime, before Node."""
    binary = node("any")
    found = {}
    for runtime in RUNTIMES:
        log, seen = folder / f"{runtime}.front", folder / f"{runtime}.back"
        port, back = free_port(), free_port()
        with ExitStack() as stack:
            server = [binary, str(HERE / "node_recorder.js"), str(back)]
            stack.enter_context(child(server, back, stack.enter_context(seen.open("wb"))))
            wire = stack.enter_context(tap(back))
            front = [sys.executable, str(HERE / "our_front.py"), runtime, str(port), str(wire.port)]
            stack.enter_context(child(front, port, stack.enter_context(log.open("wb"))))
            with ThreadPoolExecutor(24) as pool:
                for job in [pool.submit(send, port, data) for _, data in ambiguous()]:
                    job.result()
        meant = {}
        for each in map(json.loads, log.read_text().splitlines()):
            meant[each["id"]] = Forwarded(each["method"], each["url"], each["body"].encode("latin-1"), each["status"])
        found[runtime] = Seen(meant, *on_connections(map(json.loads, seen.read_text().splitlines()), wire))
    return found


def on_connections(
    seen: Iterable[dict[str, object]], wire: Tap
) -> tuple[dict[int, list[str]], dict[int, list[dict[str, object]]]]:
    """What the tap and the server saw, by connection."""
    by_connection: dict[int, list[dict[str, object]]] = {}
    for each in seen:
        by_connection.setdefault(int(str(each.get("from", 0))), []).append(each)
    return {port: [n.decode() for n in NUMBER.findall(sent)] for port, sent in wire.sent.items()}, by_connection


LONG = [pytest.param(each, marks=pytest.mark.long) for each in (*KINDS[1:], "anywire")]


@pytest.fixture(scope="module", params=[KINDS[0], *LONG])
def all_pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Seen]:
    folder = tmp_path_factory.mktemp("pairs")
    return pairs_of_ours(folder) if request.param == "anywire" else pairs(request.param, folder)


@pytest.fixture(params=RUNTIMES)
def pair(all_pairs: dict[str, Seen], request: pytest.FixtureRequest) -> Seen:
    return all_pairs[request.param]


def test_there_is_something_to_compare() -> None:
    assert len(list(ambiguous())) > 500


@pytest.mark.slow
def test_the_server_sees_the_requests_that_the_front_meant(pair: Seen) -> None:
    assert len(pair.meant) > 100
    for connection, requests in pair.server.items():
        numbers = [str(each.get("id")) for each in requests]
        forwarded = pair.wires.get(connection, [])
        assert numbers == [each for each in forwarded if each in numbers]
        # Between two that it saw there may be one that it answered itself: an expectation that nobody knows.
        until = forwarded.index(numbers[-1])
        assert {pair.meant[each].status for each in set(forwarded[:until]) - set(numbers)} <= {417}


@pytest.mark.slow
def test_each_as_the_front_took_it(pair: Seen) -> None:
    for each in (each for requests in pair.server.values() for each in requests):
        meant = pair.meant[str(each["id"])]
        assert (each["method"], each["url"]) == (meant.method, meant.url)
        if meant.body is not None:
            assert str(each["text"]).encode("latin-1") == meant.body


@pytest.mark.slow
def test_what_the_server_did_not_see_the_client_was_told(pair: Seen) -> None:
    """It refused it, or it refused one before it on the connection, or the body never came whole."""
    seen = {each["id"] for requests in pair.server.values() for each in requests}
    missing = {number: meant for number, meant in pair.meant.items() if number not in seen}
    assert [meant for meant in missing.values() if meant.status < 400] == []
    assert len(missing) < len(seen)
