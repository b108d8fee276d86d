"""Runs ``async def`` tests, each on asyncio's own loop and on uvloop, and looks at what they leave behind.

After every such test: no task but the test's own, no descriptor that was not open before, nothing
reported to the loop's exception handler (unless the test takes the ``reports`` fixture), and no
ResourceWarning from the garbage (``filterwarnings=error`` makes one an error).
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

# The folder's name has a hyphen, so it cannot be a package: its helpers are found here.
sys.path.insert(0, str(Path(__file__).parent))

from asyncio_peers import Certificates

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop
except ImportError:  # not on every platform
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop

for _make in LOOPS.values():
    # What a kind of loop opens once per process (libuv's signal pipe) is not a test's leak.
    with asyncio.Runner(loop_factory=_make) as _runner:
        _runner.run(asyncio.sleep(0))

PATIENCE = 30.0
"""Seconds after which a test that hangs is ended; no test relies on it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if inspect.iscoroutinefunction(metafunc.function):
        metafunc.fixturenames.append("loop_name")
        only = metafunc.definition.get_closest_marker("only_asyncio") is not None
        metafunc.parametrize("loop_name", ["asyncio"] if only else list(LOOPS))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only_asyncio: looks inside asyncio's own loop, which uvloop does not have")


@pytest.fixture
def reports() -> list[dict[str, Any]]:
    """What was reported to the loop's exception handler; a test that takes this expects something there."""
    return []


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    callspec: Any = pyfuncitem.callspec
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames if name != "loop_name"}
    reported: Any = given.get("reports", [])
    gc.freeze()  # what exists already is not looked at again by the collection below
    try:
        before = descriptors()
        with asyncio.Runner(loop_factory=LOOPS[callspec.params["loop_name"]]) as runner:
            runner.get_loop().set_exception_handler(lambda loop, context: reported.append(context))
            runner.run(_guarded(pyfuncitem.obj, given))
        gc.collect()
        left = descriptors() - before
        assert not left, f"descriptors left open: {[_target(fd) for fd in left]}"
    finally:
        gc.unfreeze()
    if "reports" not in given:
        assert not reported, f"reported to the loop: {reported}"
    return True


async def _guarded(test: Callable[..., Any], given: dict[str, Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        await test(**given)
    # Transports and tasks that end on their own do so within a few turns of the loop.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for _ in range(50):
        if not others:
            break
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"tasks left: {others}"
    for _ in range(5):
        await asyncio.sleep(0)


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
    """A certificate authority, a server's and a client's certificate by it, as PEM text."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    client = authority.issue_cert("client@example.org")
    return Certificates(
        ca=authority.cert_pem.bytes().decode(),
        cert="".join(each.bytes().decode() for each in server.cert_chain_pems),
        key=server.private_key_pem.bytes().decode(),
        client_cert="".join(each.bytes().decode() for each in client.cert_chain_pems),
        client_key=client.private_key_pem.bytes().decode(),
        folder=tmp_path_factory.mktemp("tls"),
    )
