"""nginx and HAProxy before an anywire server, on every runtime.

Not cases: these peers speak for themselves, and what is asked is that both sides agree. For smuggling the question is
not what the front forwards but that both see the same requests in it.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from anywire.conformance.probing import Probe, ask, load_probes

from .peers.real import RUNTIMES, Recorder, front, recorder

FRONTS = ("nginx", "haproxy")


@pytest.fixture(scope="module", params=[f"{kind}-{runtime}" for kind in FRONTS for runtime in RUNTIMES])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Recorder]]:
    """Port of the front, and the server behind it."""
    kind, _, runtime = request.param.partition("-")
    folder = tmp_path_factory.mktemp(request.param)
    with recorder(runtime, folder) as back, front(kind, back.port, folder) as port:
        yield port, back


def exchange(port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers, encode_chunked="Transfer-Encoding" in headers)  # type: ignore[arg-type]
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_front_reuses_connections(pair: tuple[int, Recorder]) -> None:
    port, back = pair
    before = len(back.seen())
    for number in range(30):
        status, body = exchange(port, "GET", f"/{number}")
        assert status == 200 and f'"/{number}"'.encode() in body
    seen = back.seen()[before:]
    assert [each["url"] for each in seen] == [f"/{number}" for number in range(30)]
    assert len({each["on"] for each in seen}) < 10


@pytest.mark.parametrize("path", ["/buffered", "/unbuffered"])
@pytest.mark.parametrize("chunked", [False, True])
def test_uploads(pair: tuple[int, Recorder], path: str, chunked: bool) -> None:
    port, back = pair
    pieces = [bytes([number % 256]) * 4096 for number in range(256)]
    if chunked:
        status, _ = exchange(port, "POST", path, iter(pieces), **{"Transfer-Encoding": "chunked"})
    else:
        status, _ = exchange(port, "POST", path, b"".join(pieces))
    assert status == 200
    assert back.seen()[-1] | {"on": 0} == {
        "method": "POST", "url": path, "host": f"127.0.0.1:{port}", "body": 1 << 20, "on": 0,
    }  # fmt: skip


def test_heads_and_refusals(pair: tuple[int, Recorder]) -> None:
    port, _ = pair
    assert exchange(port, "HEAD", "/") == (200, b"")
    assert exchange(port, "POST", "/refuse", b"x" * 100_000) == (413, b"too much\n")
    assert exchange(port, "GET", "/trailers") == (200, b"with trailers\n")
    assert exchange(port, "GET", "/")[0] == 200


def test_health(pair: tuple[int, Recorder], request: pytest.FixtureRequest) -> None:
    """HAProxy asks, nginx learns from what fails; what a dead server cannot have goes to the other."""
    port, back = pair
    assert [exchange(port, "GET", f"/two/{number}")[0] for number in range(10)] == [200] * 10
    if "haproxy" in request.node.name:
        due = time.monotonic() + 20
        while not (checks := [each for each in back.checks() if each["host"] == "health.example"]):
            assert time.monotonic() < due
            time.sleep(0.02)  # it asks on its own
        assert (checks[0]["method"], checks[0]["body"]) == ("GET", 0)
        assert exchange(port, "GET", "/after")[0] == 200  # and is content with the answer


# Who half-closes is not answered by nginx, so the answers tell nothing then.
PROBES = [each for each in load_probes() if each.document.path.stem == "framing" and not each.eof]


@pytest.mark.parametrize("whole", [True, False])
def test_both_see_the_same_requests(pair: tuple[int, Recorder], whole: bool) -> None:
    """Whatever the front forwards: no request reaches us that it did not answer as one, and none out of a body."""
    port, back = pair
    before = len(back.seen())

    def answers(question: Probe) -> int:
        return len(ask(("127.0.0.1", port), question, patience=5.0, whole=whole).answers)

    with ThreadPoolExecutor(16) as pool:  # most of it is waiting for more answers than there are
        given = sum(pool.map(answers, PROBES))
    seen = back.seen()[before:]
    assert 10 < len(seen) <= given
    assert not [each for each in seen if each["host"] == "h.example"]
