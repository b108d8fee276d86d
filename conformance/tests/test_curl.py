"""curl's options that touch HTTP/1.1, against a server and against `anywire serve` on every runtime."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

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


# ---------------------------------------------------------------- what curl can also do


def fails(server: Recorder, path: str, *options: str) -> tuple[int, str]:
    """Its exit status, and what it printed."""
    command = ["curl", "--silent", "--max-time", "20", "--noproxy", "*", *options]
    done = subprocess.run([*command, f"http://127.0.0.1:{server.port}{path}"], capture_output=True, check=False)
    return done.returncode, done.stdout.decode()


def test_a_proxy_line_is_refused(server: Recorder) -> None:
    before = len(server.seen())
    assert curl(server, "/", "--haproxy-protocol", "--include").startswith("HTTP/1.1 400 Bad Request\r\n")
    assert len(server.seen()) == before


def test_a_tunnel(server: Recorder) -> None:
    """What comes out of this one is no HTTP; curl takes it for HTTP/0.9, if it may."""
    tunnel = ("--proxytunnel", "--proxy", f"http://127.0.0.1:{server.port}", "--noproxy", "")
    assert curl(server, "/", *tunnel, "--http0.9") == "hello tunnel"
    assert fails(server, "/", *tunnel) == (1, "")
    assert server.seen()[-1] | {"on": 0, "host": ""} == {
        "method": "CONNECT", "url": f"127.0.0.1:{server.port}", "host": "", "body": 0, "on": 0,
    }  # fmt: skip


def test_another_address(server: Recorder) -> None:
    text = subprocess.run(
        ["curl", "--silent", "--noproxy", "*", "--connect-to", f"h.example:80:127.0.0.1:{server.port}", "http://h.example/to"],
        capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    assert (seen(text)["host"], seen(text)["url"]) == ("h.example", "/to")


def test_codings_that_are_offered(server: Recorder) -> None:
    text = curl(server, "/coded", "--compressed", "--tr-encoding", "--include")
    assert "Content-Encoding" not in text and seen(text)["url"] == "/coded"


def test_many_at_once_and_one_after_another(server: Recorder) -> None:
    numbers = [str(seen(line)["url"]) for line in curl(server, "/[1-50]", "-Z", "--parallel-max", "8").splitlines()]
    assert sorted(numbers, key=lambda url: int(url[1:])) == [f"/{number}" for number in range(1, 51)]
    again = ("--data", "b=1", "--next", "--silent", "--noproxy", "*", "--keepalive-time", "1", "--head")
    other = f"http://127.0.0.1:{server.port}/other"
    text = curl(server, "/then", "--write-out", "%{num_connects}\n", other, *again, "--write-out", "%{num_connects}\n")
    assert text.count("HTTP/1.1 200 OK") == 1 and text.endswith("\r\n\r\n0\n")
    assert [seen(line)["url"] for line in text.splitlines()[:1]] == ["/other"]


def test_a_slow_upload(server: Recorder) -> None:
    text = curl(server, "/slow", "--limit-rate", "300K", "--data-binary", "@-", data=bytes(400_000))
    assert seen(text)["body"] == 400_000


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_unix_socket(runtime: str, tmp_path: Path) -> None:
    tool("curl")
    path = tmp_path / "socket"
    with recorder(runtime, tmp_path, path) as server:
        text = curl(server, "/unix", "--unix-socket", str(path), "--data-binary", "@-", data=bytes(100_000))
    assert (seen(text)["url"], seen(text)["body"]) == ("/unix", 100_000)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_tls(runtime: str, tmp_path: Path) -> None:
    """With a certificate of the client's, and not without; in both versions."""
    tool("curl")
    authority = trustme.CA()
    for name, host in (("server", "localhost"), ("client", "client.example")):
        authority.issue_cert(host).private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    authority.cert_pem.write_to_path(ca := tmp_path / "ca.pem")
    pem = (tmp_path / "server.pem").read_text()
    with recorder(runtime, tmp_path, key=pem, cert=pem, ca=ca.read_text(), request_cert=True) as server:

        def ask(*options: str) -> subprocess.CompletedProcess[bytes]:
            command = ["curl", "--silent", "--max-time", "20", "--noproxy", "*", "--ipv4", *options]
            return subprocess.run([*command, f"https://localhost:{server.port}/tls"], capture_output=True, check=False)

        ours = ("--cacert", str(ca), "--cert", str(tmp_path / "client.pem"))
        for version in ("--tlsv1.3", "--tlsv1.2"):
            limit = ("--tls-max", version[-3:])
            done = ask(*ours, version, *limit, "--data-binary", "x" * 50_000)
            assert seen(done.stdout.decode())["body"] == 50_000, done.stderr
        assert ask(*ours, "--http1.0", "--include").stdout.startswith(b"HTTP/1.1 200 OK\r\n")
        assert ask("--cert", str(tmp_path / "client.pem")).returncode == 60  # nobody it knows signed ours
        assert ask("--cacert", str(ca)).returncode in (35, 52, 56)  # it has none to show
        assert len(server.seen()) == 3


# ---------------------------------------------------------------- anywire serve


@pytest.fixture(scope="module", params=RUNTIMES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Recorder, Path]]:
    """`anywire serve`, and what it serves."""
    tool("curl")
    root = tmp_path_factory.mktemp(f"served-{request.param}")
    (root / "digits.txt").write_text("0123456789" * 1000)
    command = [str(Path(sys.executable).parent / "anywire"), "serve", str(root), "--port", "0", "--upload"]
    with subprocess.Popen([*command, "--grace", "0", "--backend", request.param], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield Recorder(int(process.stdout.readline().split(b":")[-1].rstrip(b"/\n")), root), root
        finally:
            process.terminate()


def test_ranges(folder: tuple[Recorder, Path]) -> None:
    server, _ = folder
    assert curl(server, "/digits.txt", "--range", "5-14") == "5678901234"
    assert curl(server, "/digits.txt", "--range", "-3") == "789"
    text = curl(server, "/digits.txt", "--range", "0-1,9990-9991", "--include")
    assert text.startswith("HTTP/1.1 206 Partial Content\r\n") and "multipart/byteranges" in text
    assert fails(server, "/digits.txt", "--range", "20000-", "--fail")[0] == 22


def test_a_download_is_taken_up_again(folder: tuple[Recorder, Path], tmp_path: Path) -> None:
    server, _ = folder
    part = tmp_path / "part"
    part.write_text("0123456789" * 300 + "0123")
    curl(server, "/digits.txt", "--continue-at", "-", "--output", str(part))
    assert part.read_text() == "0123456789" * 1000


def test_conditions(folder: tuple[Recorder, Path], tmp_path: Path) -> None:
    server, root = folder
    tag = tmp_path / "tag"
    assert len(curl(server, "/digits.txt", "--etag-save", str(tag))) == 10_000
    assert curl(server, "/digits.txt", "--etag-compare", str(tag), "--write-out", "%{http_code}") == "304"
    assert curl(server, "/digits.txt", "--time-cond", str(root / "digits.txt"), "--write-out", "%{http_code}") == "304"


@pytest.mark.parametrize(
    "options", [(), ("--header", "Expect: 100-continue"), ("--header", "Transfer-Encoding: chunked")]
)
def test_a_file_is_put(folder: tuple[Recorder, Path], options: tuple[str, ...]) -> None:
    server, root = folder
    curl(server, "/up/file.bin", "--upload-file", "-", "--fail", *options, data=b"abc" * 100_000)
    assert (root / "up" / "file.bin").read_bytes() == b"abc" * 100_000


def test_methods_and_paths(folder: tuple[Recorder, Path]) -> None:
    server, _ = folder
    assert curl(server, "/digits.txt", "--head").startswith("HTTP/1.1 200 OK\r\n")
    allowed = curl(server, "/", "--request", "OPTIONS", "--request-target", "*", "--include")
    assert allowed.split("\r\n")[0].split()[1] in ("200", "204") and "Allow: " in allowed
    assert curl(server, "/../../etc/passwd", "--path-as-is", "--write-out", "%{http_code}", "--output", "-").endswith(
        "400"
    )
    assert curl(server, "/digits.txt", "--http1.0") == "0123456789" * 1000
    assert curl(server, "/digits.txt", "--compressed", "--limit-rate", "100K") == "0123456789" * 1000
