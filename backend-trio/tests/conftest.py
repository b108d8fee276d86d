"""Runs ``async def`` tests in trio, and looks at what they leave behind.

After every such test: no task but trio's own and our one timer, no descriptor that was not open
before, nothing logged by the backend (unless the test takes the ``reports`` fixture), and no
ResourceWarning from the garbage (``filterwarnings=error`` makes one an error).

A test that takes the fixture ``clock`` runs on it: time stands still unless it is told to jump.
"""

from __future__ import annotations

import gc
import inspect
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme

# The folder's name has a hyphen, so it cannot be a package: its helpers are found here.
sys.path.insert(0, str(Path(__file__).parent))

from trio_peers import Certificates, quiet

from anywire.trio._runtime import current_runtime

PATIENCE = 30.0
"""Seconds after which a test that hangs is ended; no test relies on it."""


class _Reports(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def reports() -> list[logging.LogRecord]:
    """What the backend logged; a test that takes this expects something there."""
    return []


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Time that moves when the test says so."""
    return trio.testing.MockClock()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    given: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    handler = _Reports()
    handler.records = given.get("reports", [])
    log = logging.getLogger("anywire.trio")
    log.addHandler(handler)
    log.propagate = False
    gc.freeze()  # what exists already is not looked at again by the collection below
    try:
        before = descriptors()
        trio.run(_guarded, pyfuncitem.obj, given, clock=given.get("clock"))
        gc.collect()
        left = descriptors() - before
        assert not left, f"descriptors left open: {[_target(fd) for fd in left]}"
    finally:
        gc.unfreeze()
        log.removeHandler(handler)
    if "reports" not in given:
        assert not handler.records, [record.exc_info for record in handler.records]
    return True


async def _guarded(test: Callable[..., Any], given: dict[str, Any]) -> None:
    current_runtime()
    await quiet()
    before = trio.lowlevel.current_statistics().tasks_living
    if "clock" in given:
        await test(**given)
    else:
        with trio.fail_after(PATIENCE):
            await test(**given)
    await quiet()
    assert trio.lowlevel.current_statistics().tasks_living == before, "tasks left"


def descriptors() -> set[int]:
    """Open file descriptors of this process."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the one listdir() itself used
        found.add(int(name))
    return found


def _target(fd: int) -> str:
    try:
        return f"{fd} -> {os.readlink(f'/proc/self/fd/{fd}')}"
    except OSError:
        return str(fd)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority and a server's certificate by it, as PEM text."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    return Certificates(
        ca=authority.cert_pem.bytes().decode(),
        cert="".join(each.bytes().decode() for each in server.cert_chain_pems),
        key=server.private_key_pem.bytes().decode(),
        folder=tmp_path_factory.mktemp("tls"),
    )
