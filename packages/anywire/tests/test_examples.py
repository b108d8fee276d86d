"""Every program in examples/ runs, ends by itself, leaves nothing open, and prints what it is there to show."""

from __future__ import annotations

import ast
import random
import re
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from anywire.cli._backends import installed

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[3] / "examples"
LIMIT = 60.0
"""Seconds after which a program hangs: a failure, not a way to synchronise."""

EXPECTED = {
    # The body comes back, and the second request takes the first one's connection.
    "echo": [
        r"GET  200 text/plain b''",
        r"POST 200 b'hello, world' on the same connection: True",
    ],
    # 256 pieces of 16384 bytes; a digest of anything else is refused.
    "upload_digest": ["201 4194304 bytes stored", "422 not what was sent"],
    # RFC 9110 section 10.1.1: 100 and then the body, or the final answer and no body.
    "expect_continue": [
        r"may I send 500 bytes\?",
        "  100: sending 500 bytes",
        "  200 500 bytes came",
        r"may I send 5000 bytes\?",
        "  413 at most 1000 bytes",
    ],
    # One connection for two requests: the second waits for the first one's (AGT-20, AGT-50).
    "embed_core": [
        "/first may connect",
        "/second waits",
        r"""200 b"GET /first HTTP/1.1 with \['Host', 'h'\]" on a new connection""",
        r"""200 b"GET /second HTTP/1.1 with \['Host', 'h'\]" on a used connection""",
        "idle: 1",
        "closed: 1 woken: 1",
    ],
    "early_hints": [
        "103 Early Hints </style.css>; rel=preload; as=style",
        "200 OK b'<link rel=stylesheet href=/style.css>'",
    ],
    "upgrade": ["101 echo", r"echo: b'one\\n'", r"echo: b'two\\n'", "the server's end: b''", "200 b'not upgraded'"],
    # One tunnel by hand, one for both requests of the Agent.
    "connect_proxy": [
        "CONNECT 200 anywire",
        r"HTTP/1.1 200 OK … okay, /by/hand",
        "CONNECT 200 anywire",
        "200 okay, /one",
        "200 okay, /two",
    ],
    # Without keep-alive the request says so (AGT-38); 10 requests on 2 sockets leave 8 waiting (AGT-4).
    "agents": [
        "b'hello /alone' connection: close",
        "under way: 2, waiting: 8",
        "b'hello /0' to b'hello /9'",
        "opened: 2, reused: 8, idle now: 2",
        r"after leaving: idle: 0, closed: \{'destroyed': 2\}",
    ],
    # Which of the codes depends on what the system trusts.
    "secure": [
        r"client: 200 b'hello over TLSv1\.[23]' verified: True",
        r"client: (UNABLE_TO_\w+|SELF_SIGNED_CERT_IN_CHAIN)",
        "server: TLSError",
    ],
    "unix_socket": ["listening: True", "200 b'hello /status'", "ENOENT True"],
    "graceful_shutdown": [
        "client: b'first half, '",
        "server: SIGTERM",
        "client: b'second half'",
        "client: connect ECONNREFUSED",
        "server: every connection is gone",
    ],
    # On a slow machine what limits all of it may strike earlier than the body.
    "timeouts": [
        r"\{'deadline': 10.0\} -> 200 b'fine'",
        r"\{'head_timeout': 0.1\} -> ETIMEDOUT in phase head",
        r"\{'idle_timeout': 0.1\} -> ETIMEDOUT in phase body",
        r"\{'deadline': 0.2\} -> ETIMEDOUT in phase (connect|head|body)",
        r"\{'timeout': 0.1\} -> ETIMEDOUT in phase (connect|head)",
        "listener -> given up",
        r"\{'connect_timeout': 5.0\} -> ECONNREFUSED in phase connect",
    ],
    "cancel": [
        "client: b'a moment, please'",
        "client: cancelled; active: 0, idle: 0",
        "server: the client left, aborted: True",
        "client: 200 b'here you are'",
    ],
}

UNORDERED = {"secure", "graceful_shutdown"}
"""Here client and server both print, and which of them hears of an end first is for the kernel to decide."""


def run(*arguments: str | Path) -> str:
    """Run a program; what it printed."""
    command = [sys.executable, "-X", "dev", "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)
    # The debug mode of asyncio tells of callbacks that took more than 0.1 s; a busy machine makes some.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, []), f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    if name == "secure":
        pytest.importorskip("trustme")
    out = run(EXAMPLES / f"{name}.py")
    printed, expected = out.splitlines(), EXPECTED[name]
    if name in UNORDERED:  # every pattern has one line
        printed = [line for pattern in expected for line in printed if re.fullmatch(pattern, line)]
        assert sorted(printed) == sorted(out.splitlines())
    assert len(printed) == len(expected), out
    for line, pattern in zip(printed, expected, strict=True):
        assert re.fullmatch(pattern, line), out


def test_each_is_run_and_described() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py")}
    assert programs == set(EXPECTED)
    page = (EXAMPLES / "README.md").read_text("utf-8")
    assert sorted(re.findall(r"^\| \[(\w+)\.py\]\(\1\.py\) \|", page, re.MULTILINE)) == sorted(programs)
    both = re.findall(
        r"^\| (\w+): \[await\]\(node/awaiting/\1\.py\), \[block\]\(node/blocking/\1\.py\) \|", page, re.MULTILINE
    )
    assert sorted(both) == sorted(ORIGINALS)


# ---------------------------------------------------------------- Node's page

NODE = EXAMPLES / "node"
ORIGINALS = {path.stem: path for path in (NODE / "awaiting").glob("*.py") if not path.stem.startswith("net_")}


def two_free_ports() -> int:
    """The first of two that nobody listens on, and that no client is given by chance (they begin at 32768)."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            pass


@pytest.fixture(scope="module", params=installed())
def printed(request: pytest.FixtureRequest) -> tuple[int, dict[str, str]]:
    """Run all on one backend, in one process; the port they used, and what each printed."""
    port = two_free_ports()
    out = run(NODE / "on.py", request.param, "--all", "--port", str(port))
    parts = re.split(r"^== (\w+)\n", out, flags=re.MULTILINE)
    assert parts[0] == ""
    return port, dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", ORIGINALS)
def test_of_nodes_page(printed: tuple[int, dict[str, str]], name: str) -> None:
    port, outputs = printed
    told = str(ast.get_docstring(ast.parse(ORIGINALS[name].read_text("utf-8"))))
    expected = textwrap.dedent(told.partition("\nPrints:\n")[2])
    assert expected, "its docstring says what it prints"
    pattern = re.escape(expected.replace("8000", str(port)).replace("8080", str(port + 1))).replace(r"\.\.\.", ".*")
    assert re.fullmatch(pattern, outputs[name].rstrip("\n")), outputs[name]


def test_they_can_be_shown_on_each_backend() -> None:
    on_trio = run(NODE / "on.py", "trio", "connect", "--show")
    assert "from anywire.trio import http" in on_trio and "trio.run(main)" in on_trio and "asyncio" not in on_trio
    on_gevent = run(NODE / "on.py", "gevent", "connect", "--show")
    assert "from anywire.gevent import http" in on_gevent and "\n    main()\n" in on_gevent
    assert not re.search("sync|async|await", on_gevent.partition("\n")[2])
