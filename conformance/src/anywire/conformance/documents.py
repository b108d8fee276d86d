r"""Cases are documents: Markdown files that a person reads and a program runs.

A file holds one case per second-level heading. A case has a title, lines of
``Key: value``, and fenced blocks named by their language::

    ## Space before the colon is refused

    Shows: WIR-52, SEC-14
    Role: request

    ```input
    GET / HTTP/1.1\r\n
    Host : a\r\n
    \r\n
    ```

    ```log
    error HPE_INVALID_HEADER_TOKEN at 20, 400, head: Invalid header token
    ```

    Free text in between is for the reader.

In an ``input`` block the line ends of the document mean nothing: every byte of
the input is written down, with the escapes of :func:`unescape`. A last line
``<EOF>`` says that the peer then ends the connection.

This module only reads documents. It knows nothing of what the keys mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Document", "DocumentError", "escape", "load", "load_folder", "read", "unescape"]

_KEY = re.compile(r"([A-Z][A-Za-z-]*): +(.+)")
_ID = re.compile(r"(?:[A-Z]{3}-L?\d+|RFC \d+ section [\d.]+)")
_REPEAT = re.compile(r"\{\{(.+?)\*(\d+)\}\}")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|([rnt0\\]))|\{\{(.+?)\*(\d+)\}\}")
_NEEDS_ESCAPE = re.compile(rb"[^ -~]|\\|\{(?=\{)| \Z")
_ESCAPES = {b"\r": b"\\r", b"\n": b"\\n", b"\t": b"\\t", b"\0": b"\\0", b"\\": b"\\\\"}
_RUN = re.compile(rb"([A-Za-z0-9 .-])\1{39,}")
_PLAIN = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


class DocumentError(ValueError):
    """A document is not written as it should be; the message says where."""


@dataclass(slots=True)
class Document:
    """One case as written.

    Attributes:
        title: the heading.
        path: the file.
        line: line of the heading, counted from 1.
        keys: the ``Key: value`` lines; a key given twice has both values, one a line.
        blocks: language of a fenced block to its text, without the last line end.
    """

    title: str
    path: Path
    line: int
    keys: dict[str, str] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Short and unique within a folder: file, line and title."""
        return f"{self.path.stem}:{self.line} {self.title}"

    @property
    def shows(self) -> tuple[str, ...]:
        """The IDs and sections that the case demonstrates (key ``Shows``)."""
        return tuple(part.strip() for part in self.keys.get("Shows", "").split(",") if part.strip())

    def input(self, block: str = "input") -> tuple[bytes, bool]:
        """Return the bytes of a block, and whether the peer ends the connection after them."""
        text = self.blocks[block]
        end = text.endswith("<EOF>")
        return unescape(text.removesuffix("<EOF>").replace("\n", "")), end

    def lines(self, block: str = "log") -> list[str]:
        """Return the lines of a block, ``{{text*100}}`` written out."""
        return [_REPEAT.sub(lambda match: match[1] * int(match[2]), line) for line in self.blocks[block].splitlines()]


def unescape(text: str) -> bytes:
    r"""Return the bytes that `text` stands for.

    ASCII stands for itself, ``\r \n \t \0 \\`` and ``\xNN`` for what they do in Python,
    ``{{text*100}}`` for a hundred times `text`.

    Raises:
        DocumentError: a character outside ASCII or an unknown escape.
    """
    out: list[bytes] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        out.append(_literal(text[at : match.start()]))
        at = match.end()
        if match[1]:
            out.append(bytes.fromhex(match[1]))
        elif match[2]:
            out.append(_PLAIN[match[2]])
        else:
            out.append(unescape(match[3]) * int(match[4]))
    out.append(_literal(text[at:]))
    return b"".join(out)


def _literal(text: str) -> bytes:
    if "\\" in text or not text.isascii():
        raise DocumentError(f"neither ASCII nor a known escape: {text!r}")
    return text.encode()


def escape(data: bytes) -> str:
    """Return a text of one line that :func:`unescape` makes `data` from."""
    text = _NEEDS_ESCAPE.sub(lambda match: _ESCAPES.get(match[0]) or b"\\x%02x" % match[0][0], data)
    return _RUN.sub(lambda match: b"{{%b*%d}}" % (match[1], len(match[0])), text).decode("ascii")


def load(path: Path) -> list[Document]:
    """Return the cases of one file.

    Raises:
        DocumentError: a case without IDs, an unknown form of ID, a block that does not end.
    """
    documents = read(path)
    for document in documents:
        if not document.shows or not all(map(_ID.fullmatch, document.shows)):
            raise DocumentError(f"{path}:{document.line}: Shows: needs IDs, not {document.keys.get('Shows')!r}")
    return documents


def read(path: Path) -> list[Document]:
    """Return the sections of one file, whatever their keys.

    Raises:
        DocumentError: a block that does not end.
    """
    documents: list[Document] = []
    block: str | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        current = documents[-1] if documents else None
        if block is not None:
            if line == "```":
                if current is not None:
                    current.blocks[block] = "\n".join(lines)
                block, lines = None, []
            else:
                lines.append(line)
        elif line.startswith("## "):
            documents.append(Document(line[3:].strip(), path, number))
        elif line.startswith("```"):
            block = line[3:].strip()
        elif current is not None and (match := _KEY.fullmatch(line)):
            before = current.keys.get(match[1])
            current.keys[match[1]] = match[2] if before is None else f"{before}\n{match[2]}"
    if block is not None:
        raise DocumentError(f"{path}: the last block does not end")
    return documents


def load_folder(folder: Path) -> Iterator[Document]:
    """Yield the cases of all Markdown files in `folder`, in the order of their names."""
    for path in sorted(folder.glob("*.md")):
        yield from load(path)
