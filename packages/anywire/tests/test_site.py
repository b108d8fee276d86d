"""The site: what is answered to which request (RFC 9110 sections 9.3, 13, 14, 15)."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from pathlib import Path

import pytest

from anywire.cli.static import PIECE, Answer, FileChanged, Site, Upload, content_digest, storage_answer
from anywire.cli.static._answer import OpenFile
from anywire.cli.static._ranges import ByteRange

NOW = 1_790_000_000.0
THEN = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
TEXT = b"0123456789" * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_bytes(TEXT)
    os.utime(root / "a.txt", (THEN, THEN))
    (root / "empty").write_bytes(b"")
    (root / "sub" / "index.html").write_bytes(b"<p>index")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "root-next").mkdir()
    (tmp_path / "root-next" / "secret").write_bytes(b"secret")
    return root


def ask(root: Path, target: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    with Site(root).answer(method, target, fields, NOW) as answer:
        return answer.status, dict(answer.headers), _body(answer)


def _body(answer: Answer) -> bytes:
    announced = answer.left
    body = b""
    while piece := answer.read():
        assert len(piece) <= PIECE
        body += piece
        assert answer.left == announced - len(body)
    assert answer.left == 0
    return body


# ---------------------------------------------------------------- reading


def test_a_file(root: Path) -> None:
    status, headers, body = ask(root, "/a.txt")
    assert (status, body) == (200, TEXT)
    etag = headers.pop("ETag")
    assert etag.startswith('"') and etag.endswith('"')  # strong
    assert headers == {
        "Content-Type": "text/plain; charset=utf-8",
        "Content-Length": "1000",
        "Last-Modified": DATE,
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
    }


@pytest.mark.parametrize("target", ["/a.txt", "/empty", "/sub/", "/sub", "/", "/none", "/%"])
def test_head_is_get_without_the_body(root: Path, target: str) -> None:
    # "The server SHOULD send the same header fields in response to a HEAD request" (RFC 9110 section 9.3.2)
    get, head = ask(root, target), ask(root, target, "HEAD")
    assert head == (get[0], get[1], b"")
    assert int(get[1]["Content-Length"]) == len(get[2])


def test_head_ignores_ranges(root: Path) -> None:
    # "Range ... for which range handling is defined. ... this specification ... GET" (RFC 9110 section 14.2)
    status, headers, _ = ask(root, "/a.txt", "HEAD", range="bytes=0-1")
    assert (status, headers["Content-Length"]) == (200, "1000")


def test_a_large_file_comes_in_pieces(root: Path) -> None:
    data = os.urandom(3 * PIECE + 17)
    (root / "large").write_bytes(data)
    assert ask(root, "/large")[2] == data
    assert ask(root, "/large", range=f"bytes={PIECE - 1}-{2 * PIECE + 1}")[2] == data[PIECE - 1 : 2 * PIECE + 2]


def test_folders(root: Path) -> None:
    assert ask(root, "/sub/")[2] == b"<p>index"
    status, headers, _ = ask(root, "/sub?q")
    assert (status, headers["Location"]) == (301, "/sub/?q")
    status, headers, body = ask(root, "/sub/deep/")
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert b'<a href="./a.txt">' in ask(root, "/")[2] and b'<a href="../">' in body
    assert ask(root, "/", if_none_match=ask(root, "/")[1]["ETag"])[0] == 304


@pytest.mark.parametrize("target", ["/none", "/a.txt/", "/a.txt/b", "/none/b", "/" + "n" * 300, "/%0A"])
def test_what_is_not_there(root: Path, target: str) -> None:
    assert ask(root, target)[0] == 404


@pytest.mark.parametrize(
    "target",
    ["/../secret", "/%2e%2e/secret", "/sub/../../secret", "/..%2fsecret", "/..%5csecret", "/..\\secret", "/a.txt%00"],
)
def test_no_target_leaves_the_root(root: Path, target: str) -> None:
    status, _, body = ask(root, target)
    assert status == 400 and b"secret" not in body


def test_links(root: Path) -> None:
    (root / "out").symlink_to("../secret")
    (root / "next").symlink_to("../root-next")  # begins with the same letters as the root
    (root / "up").symlink_to("..")
    (root / "absolute").symlink_to("/")
    (root / "in").symlink_to("a.txt")
    (root / "folder").symlink_to("sub")
    (root / "loop").symlink_to("loop")
    (root / "broken").symlink_to("nothing")
    for target in ("/out", "/next/secret", "/up/secret", "/next/", "/absolute/etc/passwd", "/up/"):
        assert ask(root, target)[0] == 403, target
    assert ask(root, "/in")[2] == TEXT
    assert ask(root, "/folder/")[2] == b"<p>index"
    assert ask(root, "/loop")[0] == ask(root, "/broken")[0] == 404
    page = ask(root, "/")[2]
    assert b'"./in"' in page and b'"./folder/"' in page
    for hidden in (b"out", b"next", b"up", b"absolute", b"loop", b"broken"):
        assert b'"./%b' % hidden not in page


def test_an_index_that_leads_out(root: Path) -> None:
    (root / "sub" / "index.html").unlink()
    (root / "sub" / "index.html").symlink_to("../../secret")
    assert ask(root, "/sub/")[0] == 403


def test_only_regular_files_are_opened(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo")
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opening a device can do something"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        assert ask(root, "/fifo")[0] == ask(root, "/socket")[0] == 403


def test_a_fifo_in_place_of_a_file_that_was_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(root / "fifo")
    look = os.stat
    monkeypatch.setattr(os, "stat", lambda path: look(root / "a.txt" if str(path).endswith("fifo") else path))
    assert ask(root, "/fifo")[0] == 403  # and opening it did not wait for a writer


def test_what_cannot_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "open", refuse)  # root may read everything, whatever the mode says
    assert ask(root, "/a.txt")[0] == 403


def test_other_methods(root: Path) -> None:
    # "The origin server MUST generate an Allow header field in a 405 response" (RFC 9110 section 15.5.6)
    for method in ("POST", "DELETE", "PATCH", "TRACE", "PUT"):
        status, headers, _ = ask(root, "/a.txt", method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert ask(root, "*", "OPTIONS") == (204, {"Allow": "GET, HEAD, OPTIONS"}, b"")
    assert "PUT" in dict(Site(root, upload=True).answer("OPTIONS", "/", {}, NOW).headers)["Allow"]


def test_conditions(root: Path) -> None:
    etag = ask(root, "/a.txt")[1]["ETag"]
    # "generate ... ETag", and none of the fields that describe content (RFC 9110 section 15.4.5)
    assert ask(root, "/a.txt", if_none_match=etag) == (304, {"ETag": etag}, b"")
    assert ask(root, "/a.txt", if_modified_since=DATE)[0] == 304
    assert ask(root, "/a.txt", if_match='"other"')[0] == 412
    # preconditions do not apply where the answer would not be a 2xx (RFC 9110 section 13.2.1)
    assert ask(root, "/none", if_match='"other"')[0] == 404
    assert ask(root, "/sub", if_match='"other"')[0] == 301
    # and they come before the range (section 13.2.2)
    assert ask(root, "/a.txt", if_none_match=etag, range="bytes=0-1")[0] == 304


def test_the_etag_follows_the_content(root: Path) -> None:
    def etag() -> str:
        return ask(root, "/a.txt")[1]["ETag"]

    before = etag()
    assert etag() == before
    os.utime(root / "a.txt", ns=(0, THEN * 10**9 + 1))
    touched = etag()
    (root / "a.txt").write_bytes(TEXT + b"!")
    os.utime(root / "a.txt", ns=(0, THEN * 10**9 + 1))
    assert len({before, touched, etag()}) == 3


def test_a_date_in_the_future_is_not_told(root: Path) -> None:
    # RFC 9110 section 8.8.2.1: "MUST NOT generate a Last-Modified date that is later than ... message origination"
    os.utime(root / "a.txt", (NOW + 1000, NOW + 1000))
    assert ask(root, "/a.txt")[1]["Last-Modified"] == "Mon, 21 Sep 2026 14:13:20 GMT"


def test_ranges(root: Path) -> None:
    status, headers, body = ask(root, "/a.txt", range="bytes=10-14")
    assert (status, body) == (206, b"01234")
    assert headers["Content-Range"] == "bytes 10-14/1000" and headers["Content-Length"] == "5"
    assert headers["ETag"] == ask(root, "/a.txt")[1]["ETag"]  # 15.3.7: what a 200 would have had

    status, headers, body = ask(root, "/a.txt", range="bytes=0-1,998-")
    assert status == 206 and "Content-Range" not in headers  # 15.3.7.2
    kind, _, boundary = headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges" and headers["Content-Length"] == str(len(body))
    assert body.split(b"--" + boundary.encode())[1:] == [
        b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/1000\r\n\r\n01\r\n",
        b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 998-999/1000\r\n\r\n89\r\n",
        b"--\r\n",
    ]

    status, headers, body = ask(root, "/a.txt", range="bytes=1000-")
    assert status == 416 and headers["Content-Range"] == "bytes */1000"  # 15.5.17
    assert ask(root, "/a.txt", range="lines=1-2")[0] == 200
    assert ask(root, "/empty", range="bytes=0-")[0] == 416


def test_if_range(root: Path) -> None:
    etag = ask(root, "/a.txt")[1]["ETag"]
    assert ask(root, "/a.txt", range="bytes=0-1", if_range=etag)[0] == 206
    assert ask(root, "/a.txt", range="bytes=0-1", if_range=DATE)[0] == 206
    assert ask(root, "/a.txt", range="bytes=0-1", if_range='"other"')[0] == 200
    assert ask(root, "/a.txt", range="bytes=1000-", if_range='"other"')[0] == 200


def test_a_file_that_becomes_shorter(root: Path) -> None:
    with Site(root).answer("GET", "/a.txt", {}, NOW) as answer:
        os.truncate(root / "a.txt", 10)
        assert answer.read() == TEXT[:10]
        with pytest.raises(FileChanged, match="ends at byte 10, 1000 were announced"):
            answer.read()


def test_reading_without_waiting(root: Path) -> None:
    file = OpenFile(os.open(root / "a.txt", os.O_RDONLY))
    with Answer(200, [], [b"head", ByteRange(1, 3)], file) as answer:
        pieces = []
        while (piece := answer.read_nowait()) != b"":
            pieces.append(answer.read() if piece is None else piece)
    assert b"".join(pieces) == b"head123"
    with pytest.raises(FileChanged):
        file.read(0, 1)  # closed: the number may be another file's by now


@pytest.mark.parametrize(
    ("error", "again"),
    [(BlockingIOError(errno.EAGAIN, "not in the cache"), True), (OSError(errno.EOPNOTSUPP, ""), False)],
)
def test_reading_what_would_wait(root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, again: bool) -> None:
    asked = []

    def preadv(*args: object) -> int:
        asked.append(args)
        raise error

    monkeypatch.setattr("anywire.cli.static._answer._NOWAIT", 8)
    monkeypatch.setattr(os, "preadv", preadv, raising=False)
    with Site(root).answer("GET", "/a.txt", {}, NOW) as answer:
        assert answer.read_nowait() is None
        assert answer.left == len(TEXT)
        second = answer.read_nowait()
        # A file system that does not know the flag is not asked again.
        assert (second, len(asked)) == ((None, 2) if again else (TEXT, 1))
        assert _body(answer) == (TEXT if again else b"")


def test_what_cannot_be_a_root(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Site(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        Site(tmp_path / "file")


# ---------------------------------------------------------------- writing


def put(root: Path, target: str, data: bytes, trailers: dict[str, str] | None = None, **headers: str) -> Answer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    begun = Site(root, upload=True).receive(target, fields, NOW)
    if isinstance(begun, Answer):
        return begun
    with begun as upload:
        for n in range(0, len(data), 3):
            upload.write(data[n : n + 3])
        return upload.finish(trailers or {})


def _names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_put_makes_and_replaces(root: Path) -> None:
    made = put(root, "/new/folder/b.txt", b"hello")
    # "the origin server MUST inform the user agent by sending a 201 ... 200 or 204" (RFC 9110 section 9.3.4)
    assert made.status == 201
    assert dict(made.headers)["ETag"] == ask(root, "/new/folder/b.txt")[1]["ETag"]
    assert put(root, "/new/folder/b.txt", b"world").status == 204
    assert (root / "new/folder/b.txt").read_bytes() == b"world"
    assert (root / "new/folder/b.txt").stat().st_mode & 0o777 == 0o666 & ~_umask()
    assert _names(root / "new") == ["folder", "folder/b.txt"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("where", ["head", "trailers"])
@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_digests(root: Path, where: str, algorithm: str) -> None:
    good = content_digest(hashlib.new(algorithm.replace("-", ""), b"hello").digest(), algorithm)
    for field, status, stored in ((good, 201, True), (good[:-1], 400, False)):
        answer = (
            put(root, "/b", b"hello", content_digest=field)
            if where == "head"
            else put(root, "/b", b"hello", {"content-digest": field})
        )
        assert (answer.status, (root / "b").exists()) == (status, stored)
        (root / "b").unlink(missing_ok=True)


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_wrong_digest_leaves_everything_as_it_was(root: Path, algorithm: str) -> None:
    names = _names(root)
    wrong = content_digest(hashlib.new(algorithm.replace("-", ""), b"other").digest(), algorithm)
    assert put(root, "/a.txt", b"hello", {"content-digest": wrong}).status == 422
    assert (root / "a.txt").read_bytes() == TEXT
    assert put(root, "/b", b"hello", content_digest=wrong).status == 422
    assert _names(root) == names


def test_an_upload_that_breaks_off_leaves_nothing(root: Path) -> None:
    names = _names(root)
    begun = Site(root, upload=True).receive("/a.txt", {}, NOW)
    assert isinstance(begun, Upload)
    with begun as upload:  # left as an exception would leave it
        upload.write(b"half")
        assert len(_names(root)) == len(names) + 1
    assert (_names(root), (root / "a.txt").read_bytes()) == (names, TEXT)


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/../b", {}, 400),
        ("/%2e%2e/b", {}, 400),
        ("/", {}, 409),
        ("/sub/", {}, 409),
        ("/sub", {}, 409),
        ("/a.txt/b", {}, 409),
        ("/b", {"content-range": "bytes 0-4/5"}, 400),  # RFC 9110 section 14.5
        ("/b", {"content-encoding": "gzip"}, 415),  # RFC 9110 section 8.4
        ("/a.txt", {"if-none-match": "*"}, 412),
        ("/a.txt", {"if-match": '"other"'}, 412),
        ("/b", {"if-match": "*"}, 412),
        ("/out/b", {}, 403),
    ],
)
def test_uploads_that_are_refused_before_a_byte(root: Path, target: str, headers: dict[str, str], status: int) -> None:
    (root / "out").symlink_to("..")
    names = _names(root)
    refused = Site(root, upload=True).receive(target, headers, NOW)
    assert isinstance(refused, Answer) and refused.status == status
    assert _names(root) == names
    assert not (root.parent / "b").exists()


def test_put_is_off_unless_asked_for(root: Path) -> None:
    refused = Site(root).receive("/b", {}, NOW)
    assert isinstance(refused, Answer) and refused.status == 405 and ("Allow", "GET, HEAD, OPTIONS") in refused.headers


@pytest.mark.parametrize(
    ("number", "status"),
    [(errno.ENOSPC, 507), (errno.EROFS, 403), (errno.EISDIR, 409), (errno.ENAMETOOLONG, 400), (errno.EIO, 500)],
)
def test_what_storage_says(number: int, status: int) -> None:
    assert storage_answer(OSError(number, "")).status == status
