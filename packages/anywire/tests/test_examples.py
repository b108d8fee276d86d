"""Every program in examples/ runs, ends by itself, leaves nothing open, and prints what it is there to show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str) -> None:
    if name == "secure":
        pytest.importorskip("trustme")
    command = [sys.executable, "-X", "dev", "-W", "error", str(EXAMPLES / f"{name}.py")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=LIMIT)
    # The debug mode of asyncio tells of callbacks that took more than 0.1 s; a busy machine makes some.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, errors) == (0, []), done.stderr
    printed, expected = done.stdout.splitlines(), EXPECTED[name]
    if name in UNORDERED:  # every pattern has one line
        printed = [line for pattern in expected for line in printed if re.fullmatch(pattern, line)]
        assert sorted(printed) == sorted(done.stdout.splitlines())
    assert len(printed) == len(expected), done.stdout
    for line, pattern in zip(printed, expected, strict=True):
        assert re.fullmatch(pattern, line), done.stdout


def test_each_is_run_and_described() -> None:
    programs = {path.stem for path in EXAMPLES.glob("*.py")}
    assert programs == set(EXPECTED)
    described = re.findall(r"^\| \[(\w+)\.py\]\(\1\.py\) \|", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(described) == sorted(programs)
