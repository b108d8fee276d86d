"""docs/api.txt is the public API: what is removed or renamed shows here, and a version later breaks nobody (ASK-61)."""

from __future__ import annotations

import difflib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "make_api.py"


def imported(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_api = imported(TOOL, "make_api")


def changes(old: str, new: str) -> list[str]:
    """Lines that went and came, each under the module and class it belongs to."""
    found = difflib.unified_diff(located(old), located(new), "docs/api.txt", "the code", n=0, lineterm="")
    return [line for line in found if not line.startswith("@@")]


def located(text: str) -> list[str]:
    """The lines with where they stand, which a diff of bare lines would not tell."""
    lines, above = [], ["", ""]
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 4
        if depth < 2:
            above[depth:] = [line.strip(), ""][: 2 - depth]
        lines.append(" | ".join([*filter(None, above[:depth]), line.strip()]))
    return lines


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_public_api_is_what_is_written_down(seed: str) -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--print"],
        env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=120,
    )  # fmt: skip
    found = changes((ROOT / "docs" / "api.txt").read_text("utf-8"), done.stdout.decode())
    assert found == [], "\n".join(["the public API has changed; if it is meant, say `make api`", *found])


BEFORE = '''
from __future__ import annotations

__all__ = ["LIMIT", "Base", "Thing", "get"]

LIMIT = 5


class Hidden:
    """Not offered, but what it has is."""

    def given(self) -> None: ...


class Base:
    """Offered."""

    def old(self, a: int, /, b: str = "", *args: int, c: float | None = None, **options: object) -> int:
        return 0


class Thing(Base, Hidden, ValueError):
    """A class."""

    __slots__ = ("slot",)

    SIZE = 3
    hint: int

    def __init__(self, size: int = 0) -> None:
        self.size, self._private = size, 0

    @property
    def fixed(self) -> str:
        return ""

    @property
    def loose(self) -> str:
        return ""

    @loose.setter
    def loose(self, value: str) -> None: ...

    @classmethod
    def made(cls) -> None: ...

    async def wait(self, *, due: float) -> None: ...

    def _hidden(self) -> None: ...


def get(url: object = None, callback: object = None, /, **options: object) -> None: ...
'''

WRITTEN = """\
anywire_sample
    class Base
        old(self, a: int, /, b: str = ..., *args: int, c: float | None = ..., **options: object) -> int
    LIMIT: int
    class Thing(anywire_sample.Base, ValueError)
        SIZE: int
        __init__(self, size: int = ...) -> None
        fixed: str (property)
        given(self) -> None
        hint: int
        loose: str (property, may be assigned)
        classmethod made(cls) -> None
        size
        slot
        async wait(self, *, due: float) -> None
    get(url: object = ..., callback: object = ..., /, **options: object) -> None
"""


def sample(folder: Path, text: str, name: str = "anywire_sample") -> ModuleType:
    path = folder / f"{name}_{abs(hash(text))}.py"
    path.write_text(text)
    module: ModuleType = imported(path, name)
    return module


def test_a_module_is_written_down(tmp_path: Path) -> None:
    assert make_api.listing([sample(tmp_path, BEFORE)]).split("\n\n")[-1] == WRITTEN


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"Base", ', "", "-anywire_sample | class Base | old("),
        (", c: float", ", see: float", "-anywire_sample | class Base | old(self"),
        (", /, b", ", b", "-anywire_sample | class Base | old(self"),
        ('b: str = ""', "b: str", "-anywire_sample | class Base | old(self"),
        ("float | None = None", "int | None = None", "-anywire_sample | class Base | old(self"),
        ("-> int:", "-> str:", "-anywire_sample | class Base | old(self"),
        ('"slot"', '"slots"', "-anywire_sample | class Thing(anywire_sample.Base, ValueError) | slot"),
        ("self.size,", "self.sizes,", "-anywire_sample | class Thing(anywire_sample.Base, ValueError) | size"),
        ("hint: int", "hints: int", "-anywire_sample | class Thing(anywire_sample.Base, ValueError) | hint: int"),
        ("def given", "def _given", "-anywire_sample | class Thing(anywire_sample.Base, ValueError) | given(self)"),
        ("async def wait", "def wait", "+anywire_sample | class Thing(anywire_sample.Base, ValueError) | wait(self"),
        ("    @loose.setter\n", "", "-anywire_sample | class Thing(anywire_sample.Base, ValueError) | loose: str"),
        (", ValueError)", ", TypeError)", "-anywire_sample | class Thing(anywire_sample.Base, ValueError)"),
        ('"LIMIT", ', "", "-anywire_sample | LIMIT: int"),
        ("**options: object) -> None: ...", "**more: object) -> None: ...", "-anywire_sample | get("),
    ],
)
def test_what_is_taken_away_is_seen(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in BEFORE
    before, after = (make_api.listing([sample(tmp_path, text)]) for text in (BEFORE, BEFORE.replace(old, new)))
    assert any(line.startswith(says) for line in changes(before, after))


def test_what_is_private_is_not_seen(tmp_path: Path) -> None:
    text = (
        BEFORE.replace("_hidden", "_gone").replace("_private", "_secret").replace("= 5", "= 6").replace('= ""', '= "x"')
    )
    assert changes(make_api.listing([sample(tmp_path, BEFORE)]), make_api.listing([sample(tmp_path, text)])) == []


def test_what_others_offer_too_is_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And modules that offer the same are written down once."""
    first = sample(tmp_path, BEFORE)
    monkeypatch.setitem(sys.modules, "anywire_sample", first)
    text = "from __future__ import annotations\nfrom anywire_sample import Thing, get\n__all__ = ['Thing', 'get']\n"
    others = [sample(tmp_path, text, name) for name in ("anywire_b", "anywire_c")]
    assert make_api.listing([first, *others]).endswith(
        "\n\nanywire_b\nanywire_c\n    Thing = anywire_sample.Thing\n    get = anywire_sample.get\n"
    )
