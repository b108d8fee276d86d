"""A backend that is none of ours passes: examples/selectors_backend, by the public entry point, with public names."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme
from core.tests.sizes import code_lines
from examples.selectors_backend import Cancelled, current_loop, http, https, run, sleep

FOLDER = Path(__file__).parents[2] / "examples" / "selectors_backend"
SOURCES = sorted(FOLDER.glob("*.py"))


@pytest.mark.slow
def test_it_passes_the_suite() -> None:
    """All of it, as a third party runs it: a command, in a folder that is not installed."""
    command = Path(sys.executable).parent / "anywire-conformance"
    done = subprocess.run(
        [command, "run", "--backend", "selectors_backend.conformance:maker"],
        cwd=FOLDER.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"selectors_backend: (\d+) cases, (\d+) runs in [\d.]+ s, 0 failed, ", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 500
    assert int(found[2]) > 800


def test_it_is_small() -> None:
    sizes = {path.name: code_lines(path) for path in SOURCES}
    assert sum(sizes.values()) < 250, sizes


def shown() -> dict[str, str]:
    """The Python of docs/write-a-backend.md, by the file name in its first line."""
    page = (FOLDER.parents[1] / "docs" / "write-a-backend.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", ["runtime.py", "http.py", "https.py", "conformance.py"])
def test_the_page_shows_it_as_it_is(name: str) -> None:
    assert shown()[name] in (FOLDER / name).read_text(encoding="utf-8")


def test_the_page_asks_of_a_loop_what_this_one_does(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    (tmp_path / "check_loop.py").write_text(shown()["check_loop.py"])
    done = subprocess.run(
        [sys.executable, "check_loop.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("the loop keeps its promises\n", "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_it_uses_public_names_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("anywire"):
            assert not any(part.startswith("_") for part in node.module.split("."))
            public = importlib.import_module(node.module).__all__
            assert {alias.name for alias in node.names} <= set(public)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("anywire") for alias in node.names)
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            assert isinstance(node.value, ast.Name)
            assert node.value.id == "self", ast.unparse(node)


# ---------------------------------------------------------------- the loop


async def hello(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    await res.end(b"hello")


async def fetch(port: int, host: str = "127.0.0.1") -> bytes:
    async with http.get(f"http://{host}:{port}/", agent=False, deadline=10.0) as res:
        return await res.read()


def serving(work: Callable[[int], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` with the port of a server that says hello."""

    async def main() -> Any:
        async with http.create_server(hello) as server:
            server.grace = 0.0
            await server.listen(0, "127.0.0.1")
            address = server.address()
            assert isinstance(address, tuple)
            return await work(address[1])

    return run(main())


def test_a_name_is_resolved_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[threading.Thread] = []
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        if host == "shop.test" and "flags" not in options:  # with flags it asks whether that is an address
            asked.append(threading.current_thread())
            host = "127.0.0.1"
        return original(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert serving(lambda port: fetch(port, "shop.test")) == b"hello"
    assert len(asked) == 1
    assert asked[0] is not threading.main_thread()


def test_a_thread_wakes_a_loop_that_sleeps() -> None:
    async def main() -> str:
        loop = current_loop()
        parking = loop.parking()
        threading.Thread(target=loop.soon_from_thread, args=(parking.wake,)).start()
        await parking
        return "woken"

    assert run(main()) == "woken"


def test_timers_strike_in_order_and_not_when_forgotten() -> None:
    struck: list[int] = []

    async def main() -> None:
        loop = current_loop()
        start = loop.now()
        loop.at(start + 0.02, lambda: struck.append(2))
        forgotten = loop.at(start + 0.01, lambda: struck.append(1))
        loop.at(start - 1.0, lambda: struck.append(0))
        loop.forget(forgotten)
        await sleep(0.03)

    run(main())
    assert struck == [0, 2]


def test_what_a_callback_raises_is_reported_and_the_loop_goes_on() -> None:
    told: list[str] = []

    async def main() -> None:
        loop = current_loop()
        loop.report = lambda message, error: told.append(repr(error))  # type: ignore[method-assign]
        loop.soon(lambda: 1 // 0)
        await sleep(0.0)

        async def fails() -> None:
            raise ValueError("alone")

        loop.spawn(fails())
        await sleep(0.0)

    run(main())
    assert told == ["ZeroDivisionError('integer division or modulo by zero')", "ValueError('alone')"]


def test_a_request_is_cancelled_and_its_place_is_free() -> None:
    """Also while it connects: nothing is left, and nothing suspends."""

    async def main() -> list[str]:
        seen: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as silent:
            async with http.Agent(keep_alive=True, max_sockets=1) as agent:
                for steps in range(1, 5):
                    request = http.get(f"http://127.0.0.1:{silent.getsockname()[1]}/", agent=agent)
                    task = current_loop().spawn(request.response())
                    for _ in range(steps):
                        await sleep(0.0)
                    task.cancel()
                    await task.join()
                    with pytest.raises(Cancelled):
                        task.result()
                    assert (agent.sockets, agent.requests, agent.free_sockets) == ({}, {}, {})
                    seen.append(str(request.destroyed))
        return seen

    assert run(main()) == ["True"] * 4


def test_a_server_says_what_it_is() -> None:
    async def main() -> list[str]:
        server = http.create_server(hello)
        said = [repr(server)]
        async with server:
            await server.listen(0, "127.0.0.1")
            said.append(re.sub(r":\d+", ":PORT", repr(server)))
        return said

    assert run(main()) == ["<Server not listening connections=0>", "<Server 127.0.0.1:PORT connections=0>"]


def test_tls() -> None:
    """https is there for nothing: TLS is a feed between the pump and its connection."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")

    async def main() -> tuple[bytes, bool]:
        key = certificate.private_key_and_cert_chain_pem.bytes()
        async with https.create_server(hello, key=key, cert=key) as server:
            server.grace = 0.0
            await server.listen(0, "127.0.0.1")
            address = server.address()
            assert isinstance(address, tuple)
            url = f"https://localhost:{address[1]}/"
            async with https.get(url, agent=False, ca=authority.cert_pem.bytes(), family=4, deadline=30.0) as res:
                return await res.read(), res.socket.authorized

    assert run(main()) == (b"hello", True)


OUT_OF_DESCRIPTORS = """
import resource, socket
from selectors_backend import current_loop, http, run, sleep

async def hello(req, res):
    await res.end(b"hello")

async def main():
    reports = []
    current_loop().report = lambda message, error: reports.append(error.errno)
    async with http.create_server(hello) as server:
        server.grace = 0.0
        await server.listen(0, "127.0.0.1")
        clients = [socket.create_connection(server.address()) for _ in range(3)]
        with socket.socket() as highest:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest.fileno(), most))
        while not reports:
            await sleep(0.01)
        print(reports)
        clients.pop().close()
        clients[0].sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\nConnection: close\\r\\n\\r\\n")
        for client in clients:
            client.setblocking(False)
        answer = b""
        while b"hello" not in answer:
            await sleep(0.01)
            try:
                answer += clients[0].recv(65536)
            except BlockingIOError:
                pass
        print(answer[:15])
        for client in clients:
            client.close()

run(main())
"""


def test_it_survives_that_there_are_no_descriptors() -> None:
    """It accepts again when there are some."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", OUT_OF_DESCRIPTORS],
        cwd=FOLDER.parent, env={**os.environ, "PYTHONPATH": "."},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\[24(, 24)*\]\nb'HTTP/1.1 200 OK'\n", done.stdout), done.stdout
