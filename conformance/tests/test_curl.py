"""curl's options that touch HTTP/1.1, against a server on every runtime."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from .peers.real import RUNTIMES, Recorder, recorder, tool


@pytest.fixture(scope="module", params=RUNTIMES)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    tool("curl")
    with recorder(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def curl(server: Recorder, path: str, *options: str, data: bytes = b"") -> str:
    """What it prints; it must succeed."""
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", *options]
    address = f"http://127.0.0.1:{server.port}{path}"
    return subprocess.run([*command, address], input=data, capture_output=True, check=True).stdout.decode()


def seen(text: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(text.splitlines()[-1])
    return found


def test_plain(server: Recorder) -> None:
    text = curl(server, "/a?b=%20", "--include")
    assert text.startswith("HTTP/1.1 200 OK\r\n") and "\r\nConnection: keep-alive\r\n" in text
    assert seen(text)["url"] == "/a?b=%20"


def test_http_1_0_ends_with_the_connection(server: Recorder) -> None:
    text = curl(server, "/", "--include", "--http1.0")
    assert "\r\nConnection: close\r\n" in text and "Transfer-Encoding" not in text
    assert seen(text)["method"] == "GET"


def test_head(server: Recorder) -> None:
    assert curl(server, "/", "--head").endswith("\r\n\r\n")


@pytest.mark.parametrize("options", [(), ("--http1.0",), ("--header", "Expect:"), ("--header", "Expect: 100-continue")])
def test_an_upload_with_a_length(server: Recorder, options: tuple[str, ...]) -> None:
    text = curl(server, "/", "--data-binary", "@-", *options, data=b"x" * 2_000_000)
    assert seen(text) | {"on": 0, "host": ""} == {"method": "POST", "url": "/", "body": 2_000_000, "on": 0, "host": ""}


def test_an_upload_in_chunks(server: Recorder) -> None:
    assert seen(curl(server, "/up", "--upload-file", "-", data=b"y" * 1_000_000))["body"] == 1_000_000


def test_100_continue_is_waited_for(server: Recorder) -> None:
    # With this much patience curl hangs unless it is told.
    text = curl(server, "/", "--upload-file", "-", "--include", "--expect100-timeout", "19", data=b"z" * 100_000)
    assert text.startswith("HTTP/1.1 100 Continue\r\n\r\n") and seen(text)["body"] == 100_000


def test_a_refusal_is_heard_before_the_upload_is_over(server: Recorder) -> None:
    text = curl(server, "/refuse", "--upload-file", "-", "--write-out", "%{http_code}", data=b"z" * 30_000_000)
    assert text == "too much\n413"


def test_trailers_and_chunks_as_they_are(server: Recorder) -> None:
    assert curl(server, "/trailers", "--raw") == "e\r\nwith trailers\n\r\n0\r\nX-Sum: 42\r\n\r\n"
    assert curl(server, "/trailers", "--include").endswith("\r\n\r\nwith trailers\nX-Sum: 42\r\n")


def test_early_hints(server: Recorder) -> None:
    text = curl(server, "/hints", "--include")
    assert text.startswith("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_one_connection_for_all(server: Recorder) -> None:
    text = curl(server, "/[1-20]", "--write-out", "%{num_connects}\n")
    lines = text.splitlines()
    assert [seen(line)["url"] for line in lines[::2]] == [f"/{number}" for number in range(1, 21)]
    assert lines[1::2] == ["1"] + ["0"] * 19


def test_targets_as_they_are(server: Recorder) -> None:
    assert seen(curl(server, "/a/../b/./c", "--path-as-is"))["url"] == "/a/../b/./c"
    assert seen(curl(server, "/", "--request-target", "*", "--request", "OPTIONS"))["url"] == "*"
    absolute = seen(curl(server, "/x", "--proxy", f"http://127.0.0.1:{server.port}", "--noproxy", ""))
    assert absolute["url"] == f"http://127.0.0.1:{server.port}/x"


def test_a_declined_upgrade_is_an_ordinary_request(server: Recorder) -> None:
    options = ("--http2", "--data-binary", "@-")  # offers h2c
    assert seen(curl(server, "/h2", *options, data=b"hello"))["body"] == 5
