"""A folder as a site: what to answer to each request.

The order of decisions is that of RFC 9110: method, target, file, preconditions (section 13.2.2), range (section
14.2). Fields are used as :attr:`IncomingMessage.headers` has them: joined, names in lower case.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from anywire.core import http_date

from ._answer import Answer, OpenFile, plain_answer
from ._conditions import Validators, if_range, precondition
from ._listing import Entry, render_listing
from ._ranges import ByteRange, multipart, select_ranges
from ._target import BadTarget, Target, split_target
from ._types import content_type
from ._upload import Receiver, Upload, storage_answer

__all__ = ["Answering", "Site"]

_INDEX = "index.html"
_NOSNIFF = ("X-Content-Type-Options", "nosniff")
_POLICY = ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
# Opening must not wait for a peer if a FIFO took the file's place between the look and the opening.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Answering(Protocol):
    """What is served: it decides, a driver moves the bytes."""

    def answer(self, method: str, target: str, headers: Mapping[str, Any], now: float) -> Answer:
        """See :meth:`Site.answer`."""

    def receive(self, target: str, headers: Mapping[str, Any], now: float) -> Receiver | Answer:
        """See :meth:`Site.receive`."""


class Site:
    """The files under one folder.

    Symbolic links are followed as long as they stay under the folder. Names that begin with a dot are files like
    others.

    Args:
        root: the folder.
        upload: take PUT requests.

    Raises:
        OSError: `root` is not a folder that can be read.
    """

    def __init__(self, root: str | Path, *, upload: bool = False) -> None:
        self.root = os.path.realpath(root, strict=True)
        self.upload = upload
        with os.scandir(self.root):  # tells right away if it cannot be read
            pass
        self._prefix = self.root if self.root.endswith(os.sep) else self.root + os.sep
        self._allow = ("Allow", "GET, HEAD, OPTIONS, PUT" if upload else "GET, HEAD, OPTIONS")

    # ---------------------------------------------------------------- reading

    def answer(self, method: str, target: str, headers: Mapping[str, Any], now: float) -> Answer:
        """Answer a request that is not an upload.

        Args:
            method: the request method.
            target: the request target, as received.
            headers: joined request fields, names in lower case.
            now: seconds since the epoch.

        Returns:
            What to send. It may hold an open file: close it.
        """
        if method == "OPTIONS":
            return Answer(204, [self._allow])
        if method not in ("GET", "HEAD"):
            return plain_answer(405, f"{method} is not possible here", self._allow)
        try:
            made = self._get(method, split_target(target), headers, now)
        except BadTarget as error:
            made = plain_answer(400, f"Bad target: {error}")
        except OSError as error:
            made = _reading_answer(error)
        return made.without_body() if method == "HEAD" else made

    def _get(self, method: str, target: Target, headers: Mapping[str, Any], now: float) -> Answer:
        path = self._resolve(target)
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            if not target.slash:
                location = target.location()
                return plain_answer(301, f"See {location}", ("Location", location))
            try:
                index = self._inside(os.path.join(path, _INDEX))
                if stat.S_ISREG(os.stat(index).st_mode):
                    return self._file(method, index, headers, now)
            except FileNotFoundError:
                pass
            return self._directory(method, path, target, headers, now)
        if not stat.S_ISREG(info.st_mode):
            raise PermissionError(errno.EACCES, "not a regular file")  # merely opening a device can do something
        if target.slash:
            raise FileNotFoundError(errno.ENOENT, "a file is no folder")
        return self._file(method, path, headers, now)

    def _resolve(self, target: Target) -> str:
        path = self.root
        for name in target.segments:
            path = os.path.join(path, name)
            if os.path.islink(path):
                return self._inside(os.path.join(self.root, *target.segments))
        return path  # the root is free of links, and so are these names: it leads nowhere else

    def _inside(self, path: str) -> str:
        """What `path` is, links followed; the second wall against leaving the root.

        Raises:
            PermissionError: it is not under the root.
        """
        real = os.path.realpath(path)
        if real != self.root and not real.startswith(self._prefix):
            raise PermissionError(errno.EACCES, "leads out of the root")
        return real

    def _file(self, method: str, path: str, headers: Mapping[str, Any], now: float) -> Answer:
        file = OpenFile(fd := os.open(path, _FLAGS))
        try:
            info = os.fstat(fd)
            if not stat.S_ISREG(info.st_mode):
                raise PermissionError(errno.EACCES, "not a regular file")
            return _file_answer(method, os.path.basename(path), file, info, headers, now)
        except BaseException:
            file.close()
            raise

    def _directory(self, method: str, path: str, target: Target, headers: Mapping[str, Any], now: float) -> Answer:
        entries = []
        with os.scandir(path) as found:
            for item in found:
                try:
                    if item.is_symlink():
                        self._inside(item.path)
                    info = item.stat()
                except OSError:
                    continue  # it could not be asked for either
                entries.append(Entry(item.name, stat.S_ISDIR(info.st_mode), info.st_size, info.st_mtime))
        body = render_listing(target.segments, entries)
        current = Validators(f'"{hashlib.sha256(body).hexdigest()[:32]}"', None)
        if status := precondition(method, headers, current, now):
            return _conditional_answer(status, current)
        fields = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("ETag", str(current.etag)),
            _POLICY,
            _NOSNIFF,
        ]
        return Answer(200, fields, [body])

    # ---------------------------------------------------------------- writing

    def receive(self, target: str, headers: Mapping[str, Any], now: float) -> Upload | Answer:
        """Begin a PUT.

        Args:
            target: the request target, as received.
            headers: joined request fields, names in lower case.
            now: seconds since the epoch.

        Returns:
            Where to put the body, or, before a byte of it was needed, the answer that refuses it.
        """
        if not self.upload:
            return plain_answer(405, "PUT is not possible here", self._allow)
        # A part put as if it were the whole would destroy the file (RFC 9110 section 14.5).
        if "content-range" in headers:
            return plain_answer(400, "PUT of a range is not possible")
        if "content-encoding" in headers:
            return plain_answer(415, "Content-Encoding is not undone here")
        try:
            where = split_target(target)
            if where.slash or not where.segments:
                return plain_answer(409, "PUT needs the name of a file")
            path = self._resolve(where)
            current = Validators(None, None)
            try:
                info = os.stat(path)
            except FileNotFoundError:
                pass
            else:
                if not stat.S_ISREG(info.st_mode):
                    return plain_answer(409, "A folder is in the way")
                current = _validators(info)
            if status := precondition("PUT", headers, current, now):
                return _conditional_answer(status, current)
            self._make_folders(os.path.dirname(path))
            return Upload(Path(path), headers, lambda created: _stored_answer(created, path))
        except BadTarget as error:
            return plain_answer(400, f"Bad target: {error}")
        except OSError as error:
            return storage_answer(error)

    def _make_folders(self, path: str) -> None:
        # Not makedirs(): it calls itself for each folder, and a client says how many there are.
        folder = self.root
        for name in os.path.relpath(path, self.root).split(os.sep):
            folder = os.path.join(folder, name)
            if not os.path.isdir(folder):
                with suppress(FileExistsError):  # made meanwhile; or no folder, as the next step tells
                    os.mkdir(folder)


def _validators(info: os.stat_result) -> Validators:
    # Nanoseconds and size: what a file system can tell about two states of a file.
    return Validators(f'"{info.st_mtime_ns:x}-{info.st_size:x}"', int(info.st_mtime))


def _file_answer(
    method: str, name: str, file: OpenFile, info: os.stat_result, headers: Mapping[str, Any], now: float
) -> Answer:
    current = _validators(info)
    if status := precondition(method, headers, current, now):
        file.close()
        return _conditional_answer(status, current)
    size = info.st_size
    kind = content_type(name)
    # Dates in the future are those of a wrong clock (RFC 9110 section 8.8.2.1).
    modified = ("Last-Modified", http_date(math.floor(min(info.st_mtime, now))))
    fields = [("ETag", str(current.etag)), modified, ("Accept-Ranges", "bytes"), _NOSNIFF]
    ranges = None
    if method == "GET" and "range" in headers and if_range(headers, current, now):
        ranges = select_ranges(headers["range"], size)
    if ranges is None:
        whole = [ByteRange(0, size - 1)] if size else []
        return Answer(200, [("Content-Type", kind), ("Content-Length", str(size)), *fields], whole, file)
    if not ranges:
        file.close()
        return plain_answer(416, f"The file has {size} bytes", ("Content-Range", f"bytes */{size}"), *fields)
    if len(ranges) == 1:
        [one] = ranges
        fields.append(("Content-Range", f"bytes {one.first}-{one.last}/{size}"))
        return Answer(206, [("Content-Type", kind), ("Content-Length", str(one.length)), *fields], ranges, file)
    boundary = secrets.token_hex(16)
    pieces, length = multipart(ranges, size, kind, boundary)
    kind = f"multipart/byteranges; boundary={boundary}"
    return Answer(206, [("Content-Type", kind), ("Content-Length", str(length)), *fields], pieces, file)


def _conditional_answer(status: int, current: Validators) -> Answer:
    fields = [("ETag", current.etag)] if current.etag else []
    if status == 304:
        return Answer(304, fields)
    return plain_answer(status, "It is not as the If- fields of the request say", *fields)


def _stored_answer(created: bool, path: str) -> Answer:
    fields = [("ETag", str(_validators(os.stat(path)).etag))]
    return plain_answer(201, "Created", *fields) if created else Answer(204, fields)


def _reading_answer(error: OSError) -> Answer:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EILSEQ):
        return plain_answer(404, "Not found")
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENXIO):
        return plain_answer(403, "Forbidden")
    return plain_answer(500, "The file cannot be read")
