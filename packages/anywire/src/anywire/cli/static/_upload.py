"""A request body that becomes a file: whole and verified, or not at all.

The bytes go to a temporary file beside the target, which takes the target's place in one step when the body is
complete and its digest, if one was sent, is right. So nobody ever sees half a file, and a client that goes away
leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from ._answer import Answer, plain_answer
from ._digest import ALGORITHMS, parse_digest

__all__ = ["Receiver", "Upload", "storage_answer"]

_CHUNK = 1 << 20


class Receiver(ABC):
    """What takes a request body. A context manager: leaving it without :meth:`finish` leaves no trace."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Take a piece of the body.

        Raises:
            OSError: it cannot be stored; :func:`storage_answer` says what to answer.
        """

    @abstractmethod
    def finish(self, trailers: Mapping[str, Any]) -> Answer:
        """The body is complete.

        Args:
            trailers: of the request, names in lower case.

        Raises:
            OSError: as :meth:`write`.
        """

    def abort(self) -> None:  # noqa: B027  # nothing to do unless there is a trace
        """Leave no trace. Harmless after :meth:`finish`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()


class Upload(Receiver):
    """One body on its way into a file.

    Args:
        path: the file to be; its folder exists.
        headers: of the request, names in lower case.
        stored: makes the answer when the file is in place; gets whether it is new.

    Raises:
        OSError: the temporary file cannot be made.
    """

    def __init__(self, path: Path, headers: Mapping[str, Any], stored: Callable[[bool], Answer]) -> None:
        self._path = path
        self._headers = headers
        self._stored = stored
        self._hash = hashlib.sha256()
        self._temporary = path.with_name(f".anywire-{secrets.token_hex(8)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._fd = os.open(self._temporary, flags, 0o666)

    def write(self, data: bytes) -> None:
        """Take a piece of the body. Errors as :meth:`Receiver.write`."""
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def finish(self, trailers: Mapping[str, Any]) -> Answer:
        """The body is complete: check it and put the file in place.

        Args:
            trailers: of the request, names in lower case. A ``Content-Digest`` there counts as one in the head does.

        Returns:
            201 or 204; 400 for a digest field that is malformed; 422 for a digest that is not that of the content.

        Raises:
            OSError: the file cannot be put in place.
        """
        for fields in (self._headers, trailers):
            field = fields.get("content-digest")
            if field is None:
                continue
            wanted = parse_digest(field)
            if wanted is None:
                return plain_answer(400, "Content-Digest is malformed (RFC 9530)")
            for name, digest in wanted.items():
                if self._digest(name) != digest:
                    return plain_answer(422, f"The content is not what its {name} digest says; nothing was stored")
        os.close(self._fd)
        self._fd = -1
        created = not self._path.exists()
        os.replace(self._temporary, self._path)
        return self._stored(created)

    def _digest(self, name: str) -> bytes:
        if name == "sha-256":
            return self._hash.digest()
        digest = hashlib.new(ALGORITHMS[name])
        with open(self._temporary, "rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
        return digest.digest()

    def abort(self) -> None:
        """Remove the temporary file, unless :meth:`finish` has made it the target."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._temporary.unlink(missing_ok=True)


def storage_answer(error: OSError) -> Answer:
    """What to answer when a file could not be stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return plain_answer(507, "No space left")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return plain_answer(403, "Not allowed to write here")
    if error.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
        return plain_answer(409, "A file or folder is in the way")
    if error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ELOOP):
        return plain_answer(400, "Not a name for a file")
    return plain_answer(500, "The file could not be stored")
