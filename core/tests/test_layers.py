"""The walls of the house: layers, purity of the core, the namespace package, sizes, one version.

import-linter checks the layers too (contracts in the root pyproject.toml), on a list of what is forbidden. These
tests read the syntax tree of every shipped file, and hold the core to a list of what is allowed. Each check is a
function that returns what it found; it is run on the repository, where it must find nothing, and on small wrong
samples, where it must find the fault.
"""

from __future__ import annotations

import ast
import asyncio
import re
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from .sizes import MAX_CODE_LINES, ROOT, code_lines, sizes, table

PARTS = sorted(path.parent for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("packages/*/pyproject.toml")])
SOURCES = sorted(path for part in PARTS for path in part.glob("src/**/*.py"))
CORE_SOURCES = [path for path in SOURCES if path.is_relative_to(ROOT / "core")]
BACKENDS = [part for part in PARTS if part.name.startswith("backend-")]

MAX_LINES = 600

# All that the core may import besides itself. It is a list of what is allowed, because what does I/O, reads the clock,
# starts a thread or blocks cannot be listed in full. Not here and often asked for: `email.utils` imports socket and
# time, `logging` imports time and threading. What the allowed modules have of I/O and clock is in CORE_MAY_NOT_CALL.
CORE_MAY_IMPORT = frozenset(
    """
    __future__ abc array base64 binascii bisect codecs collections collections.abc contextlib contextvars copy
    dataclasses datetime difflib enum errno functools hashlib heapq inspect ipaddress itertools math operator re string
    struct sys types typing unicodedata urllib.parse warnings weakref
    """.split()
)
CORE_MAY_NOT_CALL = re.compile(
    r"(open|print|input|exec|eval|compile|breakpoint|__import__|codecs\.open|sys\.(stdin|stdout|stderr)\..*)"
    r"|(.*\.)?(datetime|date)\.(now|utcnow|today)"
)
# What must not be loaded by loading the core, however indirectly.
CORE_NEVER_LOADS = (
    "_asyncio _multiprocessing _posixsubprocess _socket _ssl asyncio concurrent.futures gevent http.client logging "
    "multiprocessing select selectors socket ssl subprocess threading trio"
).split()

RUNTIMES = {"asyncio": {"asyncio", "uvloop"}, "trio": {"trio"}, "gevent": {"gevent"}, "sync": set[str]()}


def module_name(path: Path) -> str:
    """``…/src/anywire/core/_x.py`` is ``anywire.core._x``."""
    parts = path.with_suffix("").parts
    start = len(parts) - 1 - parts[::-1].index("src") + 1
    return ".".join(parts[start:]).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that ``path`` imports, with its line, in absolute names; a from-import yields its names too."""
    package = module_name(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def within(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(module + ".") for module in modules)


def impurities(path: Path) -> list[str]:
    """What a core module must not do: import beyond the list, reach for I/O or the clock."""
    found = []
    for line, name in imports(path):
        # `from re import compile` yields re and re.compile: the name is fine when the module it is taken from is.
        if name in CORE_MAY_IMPORT or within(name, "anywire.core") or name == "anywire":
            continue
        if name.rpartition(".")[0] in CORE_MAY_IMPORT and name not in sys.stdlib_module_names:
            continue
        found.append(f"{path}:{line}: imports {name}")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and CORE_MAY_NOT_CALL.fullmatch(call := ast.unparse(node.func)):
            found.append(f"{path}:{node.lineno}: calls {call}()")
    return found


def climbs(path: Path) -> list[str]:
    """Imports against the one direction: packages -> backends -> core; conformance -> core; no backend another."""
    own = ".".join(module_name(path).split(".")[:2])
    in_packages = "packages" in path.parts
    found = []
    for line, name in imports(path):
        if within(name, "anywire") and name != "anywire":
            allowed = in_packages or within(name, "anywire.core", own)
            # Packages are what anybody could have built on the engine: public names only.
            private = in_packages and not within(name, own) and any(p.startswith("_") for p in name.split("."))
            if not allowed or private:
                found.append(f"{path}:{line}: imports {name}")
        else:
            for runtime, modules in RUNTIMES.items():
                if own != f"anywire.{runtime}" and within(name, *modules) and not in_packages:
                    found.append(f"{path}:{line}: imports {name}")
    return found


def strays(root: Path) -> list[str]:
    """What breaks the namespace: an ``anywire/__init__.py``, tests within sources, a package without ``py.typed``."""
    found = []
    for src in [*root.glob("*/src"), *root.glob("packages/*/src")]:
        found += [f"{path}: not a package" for path in src.glob("anywire/*.py*")]
        found += [f"{path}: only anywire here" for path in src.glob("[!._]*") if path.name != "anywire"]
        found += [f"{path}: a test among the sources" for path in [*src.rglob("test_*.py"), *src.rglob("conftest.py")]]
        found += [
            f"{path}: no py.typed"
            for path in src.glob("anywire/*")
            if (path / "__init__.py").is_file() and not (path / "py.typed").is_file()
        ]
    return found


def effects(path: Path) -> list[str]:
    """Assertions with which `python -O` would take away more than a word to the type checker (SEC-36).

    Left are those that a name or an attribute is not None: the line that follows would raise without them, too.
    """
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assert):
            facts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
            found += [f"{path}:{node.lineno}: asserts {ast.unparse(fact)}" for fact in facts if not narrows(fact)]
        elif isinstance(node, ast.Name) and node.id == "__debug__":
            found.append(f"{path}:{node.lineno}: __debug__")
    return found


def narrows(fact: ast.expr) -> bool:
    if not isinstance(fact, ast.Compare) or not all(isinstance(each, ast.IsNot) for each in fact.ops):
        return False
    plain = all(isinstance(each, ast.Name | ast.Attribute | ast.expr_context) for each in ast.walk(fact.left))
    return plain and all(isinstance(each, ast.Constant) and each.value is None for each in fact.comparators)


def ident(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- the repository --------------------------------------------------------------------------------------------------


def test_there_is_something_to_check() -> None:
    packages = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    assert {"anywire.core", "anywire.asyncio", "anywire.cli", "anywire.conformance"} <= packages
    assert {"anywire.core._errors", "anywire.core._connection"} <= {module_name(path) for path in CORE_SOURCES}
    assert [part.name for part in BACKENDS if part.name == "backend-asyncio"]


@pytest.mark.parametrize("path", CORE_SOURCES, ids=ident)
def test_core_is_pure(path: Path) -> None:
    assert impurities(path) == []


@pytest.mark.parametrize("path", SOURCES, ids=ident)
def test_imports_run_one_way(path: Path) -> None:
    assert climbs(path) == []


@pytest.mark.parametrize("path", SOURCES, ids=ident)
def test_no_assertion_has_an_effect(path: Path) -> None:
    assert effects(path) == []


def test_loading_the_core_loads_no_io() -> None:
    # -S and -I: nothing of the environment is loaded first that could hide what the core loads.
    names = [module_name(path) for path in CORE_SOURCES]
    program = (
        "import importlib, sys\n"
        f"sys.path.append({str(ROOT / 'core' / 'src')!r})\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {CORE_NEVER_LOADS!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=ident)
def test_modules_stay_small(path: Path) -> None:
    assert code_lines(path) <= MAX_CODE_LINES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_nothing_outgrows_its_limit() -> None:
    """Each backend and the sim's, each facade, each module of the core (``make lines`` shows them)."""
    found = sizes()
    assert [each for each in found if not 0 < each.lines <= each.limit] == []
    counted = [each.what for each in found]
    assert {part.name for part in BACKENDS} <= set(counted)
    assert {"the sim's backend", "the awaiting facade", "the blocking facade", "facade/_server.py"} <= set(counted)
    core = ROOT / "core/src/anywire/core"
    assert len([what for what in counted if (core / what).is_file()]) == len(CORE_SOURCES)


def test_anywire_is_a_namespace() -> None:
    assert strays(ROOT) == []


def test_asyncio_is_the_standard_librarys() -> None:
    # With src/anywire itself on sys.path, our asyncio would stand in for it.
    assert Path(asyncio.__file__).parent == Path(sysconfig.get_path("stdlib")) / "asyncio"
    assert [entry for entry in sys.path if Path(entry or ".").resolve().name == "anywire" and "src" in entry] == []


def test_one_version_one_licence_one_hook() -> None:
    version = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|(a|b|rc)\d+)?", version)
    for part in PARTS:
        project = tomllib.loads((part / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert "version" in project["dynamic"], part
        assert project["requires-python"] == ">=3.11", part
        assert (part / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
        assert (part / "hatch_build.py").read_bytes() == (ROOT / "core" / "hatch_build.py").read_bytes()


def test_the_tools_know_every_part() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    packages = {f"anywire.{path.name}" for part in PARTS for path in part.glob("src/anywire/[!_]*")}
    assert set(settings["importlinter"]["root_packages"]) == packages
    layers = next(c["layers"] for c in settings["importlinter"]["contracts"] if c["type"] == "layers")
    assert {name.strip() for layer in layers for name in re.split(r"[|:]", layer)} == packages
    assert {ident(part / "src") for part in PARTS} <= set(settings["mypy"]["mypy_path"].split(":"))


# ---- the checks themselves -------------------------------------------------------------------------------------------


def sample(tmp_path: Path, where: str, text: str) -> Path:
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "import os.path",
        "import time as clock",
        "from asyncio import Future",
        "from concurrent import futures",
        "from collections import abc\nfrom email.utils import formatdate",
        "def f():\n    import threading",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import ssl",
        "import anywire.asyncio",
        "from anywire import sync",
        "from .. import trio",
        "from ..gevent import http",
        "from urllib import request",
        "import urllib.request",
        "import h11",
        "def f(): return open('x')",
        "import datetime\nNOW = datetime.datetime.now()",
        "from datetime import date\ndef f(): return date.today()",
        "import sys\nsys.stderr.write('x')",
        "import codecs\ncodecs.open('x')",
        "x = __import__('time')",
    ],
)
def test_impurities_are_found(tmp_path: Path, text: str) -> None:
    assert impurities(sample(tmp_path, "core/src/anywire/core/_x.py", text))


@pytest.mark.parametrize(
    "text",
    [
        "from __future__ import annotations",
        "import collections.abc\nfrom collections import deque\nfrom collections.abc import Mapping",
        "import re\nTOKEN = re.compile(b'x')",
        "from ._y import z\nfrom . import _y\nfrom anywire.core._y import z",
        "from urllib.parse import urlsplit",
        "'import socket'  # import socket",
        "def f(now): return now + 1",
        "def f(self): return self.pump.now(), self.plan.open()",
    ],
)
def test_purity_is_not_refused(tmp_path: Path, text: str) -> None:
    assert impurities(sample(tmp_path, "core/src/anywire/core/_x.py", text)) == []


@pytest.mark.parametrize(
    "text",
    ["assert x", "assert x == 1", "assert x() is not None", "assert x is not None and y", "def f():\n    assert False",
     "assert x is not y", "assert (x := y) is not None", "if __debug__:\n    x = 1"],
)  # fmt: skip
def test_assertions_with_an_effect_are_found(tmp_path: Path, text: str) -> None:
    assert effects(sample(tmp_path, "core/src/anywire/core/_x.py", text))


def test_assertions_for_the_type_checker_are_not_refused(tmp_path: Path) -> None:
    text = "assert x is not None, 'opened'\nassert self.x is not None and self.y.z is not None"
    assert effects(sample(tmp_path, "core/src/anywire/core/_x.py", text)) == []


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("core/src/anywire/core/facade/_x.py", "from ...asyncio import http"),
        ("core/src/anywire/core/_x.py", "import anywire.cli"),
        ("backend-asyncio/src/anywire/asyncio/_x.py", "import anywire.trio"),
        ("backend-asyncio/src/anywire/asyncio/_x.py", "from .. import sync"),
        ("backend-asyncio/src/anywire/asyncio/_x.py", "def f():\n    import trio"),
        ("backend-asyncio/src/anywire/asyncio/_x.py", "from anywire.cli import main"),
        ("backend-trio/src/anywire/trio/_x.py", "import asyncio"),
        ("backend-trio/src/anywire/trio/_x.py", "from anywire.conformance import run"),
        ("conformance/src/anywire/conformance/_x.py", "from anywire.asyncio import http"),
        ("packages/anywire/src/anywire/cli/_x.py", "from anywire.core._parser import Parser"),
        ("packages/anywire/src/anywire/cli/_x.py", "from anywire.asyncio import _pump"),
    ],
)
def test_climbing_is_found(tmp_path: Path, where: str, text: str) -> None:
    assert climbs(sample(tmp_path, where, text))


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "backend-asyncio/src/anywire/asyncio/_x.py",
            "import asyncio\nfrom anywire.core import A\nfrom . import _y",
        ),
        ("backend-asyncio/src/anywire/asyncio/_x.py", "from anywire.core._plans import connect"),
        ("backend-trio/src/anywire/trio/_x.py", "import trio\nimport socket"),
        ("conformance/src/anywire/conformance/_x.py", "from anywire.core import ServerConnection\nfrom ._y import z"),
        (
            "packages/anywire/src/anywire/cli/_x.py",
            "import os\nfrom anywire.asyncio import http\nfrom ._y import z",
        ),
    ],
)
def test_the_right_direction_is_not_refused(tmp_path: Path, where: str, text: str) -> None:
    assert climbs(sample(tmp_path, where, text)) == []


def test_code_lines_are_counted(tmp_path: Path) -> None:
    text = '''"""Docstring
over lines."""

from __future__ import annotations  # 1


# a comment
class A:  # 2
    """Docstring."""

    x = 1  # 3

    def f(self) -> str:  # 4
        """Docstring.

        More.
        """
        # a comment
        return """5
        6"""

    def g(self) -> int: return (  # 7
        1  # 8

    )  # 9
'''
    assert code_lines(sample(tmp_path, "src/x.py", text)) == 9


def test_what_is_counted_together_is_added_up(tmp_path: Path) -> None:
    sample(tmp_path, "backend-x/src/anywire/x/_pump.py", "a = 1\nb = 2\n")
    (tmp_path / "backend-x/src/anywire/x/http.py").write_text("# c\nc = 3\n")
    sample(tmp_path, "backend-x/tests/test_x.py", "a = 1\n")
    for name in ("_pump", "_runtime", "http", "https"):
        path = tmp_path / f"conformance/src/anywire/conformance/sim/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a = 1\n")
    sample(tmp_path, "core/src/anywire/core/facade/blocking/_client.py", "a = 1\n" * 601)
    (tmp_path / "core/src/anywire/core/facade/blocking/_crew.py").write_text("a = 1\n")
    found = {size.what: size.lines for size in sizes(tmp_path)}
    assert found == {
        "backend-x": 3,
        "the sim's backend": 4,
        "the awaiting facade": 0,
        "the blocking facade": 601,
        "facade/blocking/_client.py": 601,
        "facade/blocking/_crew.py": 1,
    }
    assert table(sizes(tmp_path)).splitlines()[3] == "  601 of 600  the blocking facade"


@pytest.mark.parametrize(
    "where",
    [
        "core/src/anywire/__init__.py",
        "packages/anywire/src/anywire/__init__.pyi",
        "backend-trio/src/anywire/trio/test_x.py",
        "backend-trio/src/anywire/trio/__init__.py",
        "backend-trio/src/other/__init__.py",
    ],
)
def test_strays_are_found(tmp_path: Path, where: str) -> None:
    sample(tmp_path, where, "")
    assert strays(tmp_path)
