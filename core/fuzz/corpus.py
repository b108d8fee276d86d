"""The corpus: a file for each target, an input a line, written as in the cases of the conformance suite.

It begins with the bytes of all cases and probes (:func:`seeds`), goes on with what atheris finds, and is kept small by
libFuzzer's merge, which leaves the fewest bytes that reach the same code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from anywire.conformance.cases import load_cases
from anywire.conformance.documents import Document, escape, load_folder, read, unescape
from anywire.conformance.parsing import setup_of

from . import programs

__all__ = ["load", "pack", "save", "seeds", "unpack"]

FOLDER = Path(__file__).parent / "corpus"
CONFORMANCE = Path(__file__).parents[2] / "conformance"


def load(target: str) -> list[bytes]:
    """The committed inputs of a target."""
    path = FOLDER / f"{target}.txt"
    text = path.read_text(encoding="ascii") if path.exists() else ""
    return [unescape(line) for line in text.splitlines() if not line.startswith("# ")]


def save(target: str, inputs: Iterable[bytes]) -> None:
    """Write the inputs of a target, the shortest in front; lines of comment stay."""
    path = FOLDER / f"{target}.txt"
    comments = [line for line in path.read_text(encoding="ascii").splitlines() if line.startswith("# ")]
    ordered = sorted(set(inputs), key=lambda data: (len(data), data))
    path.write_text("\n".join([*comments, *map(escape, ordered)]) + "\n", encoding="ascii")


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    """Put each input into a file of its own, as libFuzzer wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def pack(folder: Path) -> list[bytes]:
    """The inputs in a folder."""
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def seeds(target: str) -> list[bytes]:
    """What the cases and probes of the conformance suite make a peer send, for this target."""
    match target:
        case "requests" | "responses":
            found = [made for case in _parser_cases() for made in _for_parser(case, target)]
            wire = _probes() if target == "requests" else []
            return found + [b"\0" + data for data in wire]
        case "server":
            return [bytes([mood, 0]) + data for mood in (0x08, 0x18) for data in _sent_to("server") + _probes()]
        case "client":
            return [
                bytes([0, kind, names]) + data
                for kind, names in ((0, 0), (2, 0), (0, 127))
                for data in _sent_to("client")
            ]
        case _:
            return [
                b"\0" + b"\xff".join(parts.split(b"|"))
                for parts in (
                    b"GET|/|OK",
                    b"POST|/a?b=c|Yes|X-A|b|X-C|d|X-E|f|X-G|h|X-T|v|one|two",
                    b"HEAD|/|OK|Host|a:1|Connection|close|Content-Length|3",
                    b"PUT|*||Content-Length|3|Expect|100-continue|Transfer-Encoding|chunked|Connection|close|||abc",
                    b"CONNECT|h:1||Upgrade|x|Connection|upgrade",
                )
            ]


def _parser_cases() -> Iterator[Document]:
    yield from load_folder(CONFORMANCE / "cases" / "parser")


def _for_parser(case: Document, target: str) -> list[bytes]:
    setup = setup_of(case)
    data, end = case.input()
    if setup.role != target.removesuffix("s") or len(data) >= 600:
        return []
    methods: list[str | None] = [None, "GET", "HEAD", "CONNECT"]
    method = methods.index(setup.method) if setup.method in methods else 0
    first = bytes([setup.lenient | method << 3 | end << 5 | (0xE0 if setup.take_rest else 0)])
    return [first + data] if target == "requests" else [first + names + data for names in (b"\0", b"\x7f")]


def _sent_to(role: str) -> list[bytes]:
    """What each peer of the cases of a role sends, with a cut between two sends."""
    found = []
    for case in load_cases():
        if case.role == role:
            for peer in case.peers:
                sent = [step.data for step in peer if step.verb in ("send", "packet")]
                steps = [part for data in sent for part in (data, programs.CUT)]
                if 0 < sum(map(len, sent)) < 600:
                    found.append(programs.write(b"", steps))
    return found


def _probes() -> list[bytes]:
    found = []
    for path in sorted((CONFORMANCE / "probes").glob("*.md")):
        for document in read(path):
            if "send" in document.blocks:
                data = unescape(document.blocks["send"].replace("\n", "").replace("HOST", "a"))
                if len(data) < 600:
                    found.append(programs.write(b"", [data]))
    return found
