"""Node's client against our server on every runtime, and our client on every runtime against Node's server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .peers.real import RUNTIMES, Recorder, child, free_port, node, recorder

HERE = Path(__file__).parent / "peers"


@pytest.fixture(scope="module", params=["13.14.0", "any"])
def binary(request: pytest.FixtureRequest) -> str:
    return node(request.param)


@pytest.fixture(scope="module", params=RUNTIMES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with recorder(request.param, tmp_path_factory.mktemp(request.param), upgrades=True) as made:
        yield made


def test_the_client_of_node(server: Recorder, binary: str) -> None:
    command = [binary, str(HERE / "node_client.js"), str(server.port)]
    text = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    many, reused, trailers, hints, expected, put, head, *rest = map(json.loads, text.splitlines())
    assert many == {"many": [200] * 40, "right": True}
    assert reused == {"connections": 4, "plain": True}
    assert trailers["trailers"] == {"x-sum": "42"} and trailers["text"] == "with trailers\n"
    assert hints["informed"] == [103] and hints["status"] == 200
    assert expected["continued"] is True and '"body": 5' in expected["text"]
    assert put["complete"] is True and '"body": 1048576' in put["text"]
    assert (head["status"], head["text"]) == (200, "")
    sockets, tunnel, upgrade, pipelined = rest
    assert (tunnel, upgrade) == ([200, "hello tunnel"], [101, "echo: hi"])
    assert pipelined == ["/one", "/two", "/three", "/four"]
    assert sockets == 4


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_server_of_node(runtime: str, binary: str) -> None:
    port = free_port()
    with child([binary, str(HERE / "node_server.js"), str(port)], port):
        command = [sys.executable, str(HERE / "our_client.py"), runtime, str(port)]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "get": [200, "GET / 0"],
        "many": True,
        "sockets": 4,
        "chunks": [200, "onetwo", {"x-sum": "42"}],
        "post": [200, "POST /body 1048576 {\"x-after\":\"yes\"}"],
        "continue": [True, 200, "POST /body 5 {}"],
        "close": [200, "GET /close 0"],
        "hints": [[103], 200],
        "head": [200, ""],
        "refused": [413, "too much"],
        "tunnel": "hello tunnel",
        "upgrade": "echo: hi",
    }  # fmt: skip
