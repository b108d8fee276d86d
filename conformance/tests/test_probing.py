"""Probes find what is wrong with a server: scripted ones, each wrong in one way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from anywire.conformance.__main__ import main
from anywire.conformance.documents import DocumentError
from anywire.conformance.probing import Probe, load_probes, probe, tally

OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = OK.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
BAD = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[tuple[str, int]]:
    """A server that handles one connection after the other with `answer`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                if stopped.is_set():
                    sock.close()
                    return
                with sock:
                    answer(sock)

        stopped = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        address = listener.getsockname()
        try:
            yield address
        finally:
            stopped.set()
            socket.create_connection(address).close()
            thread.join()


def head_of(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n") and (piece := sock.recv(1)):
        data += piece
    return data


def once(data: bytes) -> Callable[[socket.socket], object]:
    """Answer the head with `data`, then close."""

    def answer(sock: socket.socket) -> None:
        head_of(sock)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass

    return answer


def persistent(sock: socket.socket) -> None:
    while head_of(sock):
        sock.sendall(OK)


def titled(title: str) -> Probe:
    return next(each for each in load_probes() if each.document.title == title)


def verdict(title: str, answer: Callable[[socket.socket], object]) -> str:
    with serving(answer) as address:
        return probe(address, titled(title), patience=5.0).verdict


@pytest.mark.parametrize(
    ("title", "good", "wrong", "said"),
    [
        ("A plain request", once(OK), once(BAD), "fail"),
        ("A plain request", persistent, once(b"what?\r\n\r\n"), "fail"),
        ("A plain request", persistent, once(OK[:-1]), "fail"),
        ("An answer has a date", once(OK), once(BAD), "fail"),
        ("No Host", once(BAD), once(OK), "fail"),
        ("A folded field", once(BAD), once(OK), "differs"),
        ("A line without a colon", once(b""), persistent, "weak"),
        ("Nothing is answered after Connection: close", once(OK), persistent, "fail"),
        ("A request within the body of a GET", once(OK), persistent, "fail"),
        ("A chunk size that is none", once(OK + BAD), once(OK + OK), "fail"),
        ("A connection persists", persistent, once(OK), "weak"),
        ("HEAD has no body", once(OK[:-2]), once(OK), "fail"),
        ("HTTP/1.0 cannot expect", once(OK), once(b"HTTP/1.1 100 Continue\r\n\r\n" + OK), "fail"),
        ("Three requests at once are answered in order", persistent, once(OK), "fail"),
        ("HTTP/1.0 is not answered in chunks", once(OK), once(CHUNKED), "fail"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_found(
    title: str, good: Callable[[socket.socket], object], wrong: Callable[[socket.socket], object], said: str
) -> None:
    assert verdict(title, good) == "pass"
    assert verdict(title, wrong) == said


def test_a_must_that_fails_is_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(once(OK)) as (host, port):
        assert main(["probe", f"{host}:{port}", "--only", "RFC 9112 section 3.2"]) == 1
        assert main(["probe", f"{host}:{port}", "--only", "RFC 9110 section 6.6.1"]) == 0
    shown = capsys.readouterr().out
    assert "No Host" in shown and "expected: refused 400" in shown and "must: 1 of 1" in shown


@pytest.mark.parametrize("where", ["nowhere", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "192.0.2.1:80", "[::1]:1"])
def test_nothing_is_asked_elsewhere(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", where]) == 2
    assert capsys.readouterr().err.startswith("anywire-conformance: ")


def test_documents_are_checked(tmp_path: Path) -> None:
    text = "## A\n\nShows: SEC-4\nLevel: must\nExpect: nonsense\n\n```send\nx\n```\n"
    for wrong in (text, text.replace("must", "perhaps"), text.replace("nonsense", "closes").replace("send", "sent")):
        (tmp_path / "a.md").write_text(wrong, encoding="utf-8")
        with pytest.raises(DocumentError):
            load_probes(tmp_path)


def test_every_level_is_there() -> None:
    probes = load_probes()
    assert len({each.name for each in probes}) == len(probes) > 90
    assert {each.level for each in probes} == {"must", "should", "may"} == tally([]).keys()
