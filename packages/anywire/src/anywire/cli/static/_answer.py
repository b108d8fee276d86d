"""What is answered to a request, and its body in pieces.

Reading a file may wait for a disk, and then everything that runs on an event loop waits with it. A thread for every
read would cost more than the read as long as the file is in the page cache, which is nearly always. So there are two
ways to the next piece: :meth:`Answer.read_nowait` asks the kernel for what it has in memory (``RWF_NOWAIT``, Linux)
and says None if that would wait; :meth:`Answer.read` waits. An event loop calls the first, and the second in a
thread; a thread of its own just calls the second. Where the kernel cannot be asked, the first is the second.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Self

from ._ranges import ByteRange

__all__ = ["PIECE", "Answer", "FileChanged", "OpenFile", "plain_answer"]

PIECE = 65536
"""Most bytes of a file in memory at a time."""

_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class FileChanged(OSError):
    """A file became shorter while it was sent: its announced length cannot be kept, so the transfer has to break."""


class OpenFile:
    """A file that is read by position."""

    __slots__ = ("_fd", "_lock", "_nowait")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._nowait = bool(_NOWAIT)
        # A read may still run in a thread when its request is cancelled; the number must not be another file's by then.
        self._lock = threading.Lock()

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end of the file."""
        with self._lock:
            if self._fd < 0:
                raise FileChanged("the file was closed")
            if hasattr(os, "pread"):
                return os.pread(self._fd, size, offset)
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, size)

    def read_nowait(self, offset: int, size: int) -> bytes | None:
        """Like :meth:`read`, or None if that would wait for the disk."""
        if not self._nowait:
            return self.read(offset, size)
        buffer = bytearray(size)
        try:
            count = os.preadv(self._fd, [buffer], offset, _NOWAIT)
        except BlockingIOError:
            return None
        except OSError:  # not every file system knows the flag
            self._nowait = False
            return None
        return bytes(memoryview(buffer)[:count])

    def close(self) -> None:
        """Close it, once no read is under way. Idempotent."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


class Answer:
    """A response that can be sent as it is. A context manager: leaving it closes its file.

    Attributes:
        status: the status code.
        headers: name and value pairs, ``Content-Length`` among them.
        left: bytes of the body that were not read yet.
    """

    __slots__ = ("_file", "_offset", "_pieces", "headers", "left", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]],
        pieces: Sequence[bytes | ByteRange] = (),
        file: OpenFile | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.left = sum(piece.length if isinstance(piece, ByteRange) else len(piece) for piece in pieces)
        self._pieces = list(reversed(pieces))
        self._file = file
        self._offset = 0

    def read_nowait(self) -> bytes | None:
        """The next piece of the body; ``b""`` at its end; None if :meth:`read` may have to wait for it.

        Raises:
            FileChanged: the file does not have the bytes that were announced.
            OSError: it cannot be read.
        """
        return self._next(wait=False)

    def read(self) -> bytes:
        """Like :meth:`read_nowait`, but it waits."""
        piece = self._next(wait=True)
        assert piece is not None, "only a read that must not wait says None"
        return piece

    def _next(self, *, wait: bool) -> bytes | None:
        if not self._pieces:
            return b""
        piece = self._pieces[-1]
        if not isinstance(piece, ByteRange):
            self._pieces.pop()
            self.left -= len(piece)
            return piece
        file = self._file
        assert file is not None, "a range is of a file"
        offset = piece.first + self._offset
        size = min(PIECE, piece.last + 1 - offset)
        data = file.read(offset, size) if wait else file.read_nowait(offset, size)
        if data is None:
            return None
        if not data:
            raise FileChanged(f"the file ends at byte {offset}, {piece.last + 1} were announced")
        self._offset += len(data)
        if self._offset == piece.length:
            self._pieces.pop()
            self._offset = 0
        self.left -= len(data)
        return data

    def without_body(self) -> Self:
        """Forget the body and keep the fields: the answer to HEAD."""
        self.close()
        self._pieces = []
        self.left = 0
        return self

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def plain_answer(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line of text."""
    body = f"{text}\n".encode()
    fields = [*headers, ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return Answer(status, fields, [body])
