"""What the README shows works as it stands there, but for the port; and the Python in docs/ is Python."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from anywire.asyncio import http

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LIMIT = 30.0
"""Seconds after which something hangs: a failure, not a way to synchronise."""


def blocks(page: Path) -> list[str]:
    """The Python code of a page."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def compiled(code: str) -> Any:
    """Code as typed into a shell that can await."""
    return compile(code, "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_a_page_compiles(page: Path) -> None:
    for code in blocks(page):
        compiled(code)


def test_server_and_client_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    found = blocks(ROOT / "README.md")
    (server_code,) = (code for code in found if "asyncio.run(" in code and "create_server" in code)
    (client_code,) = (code for code in found if "http.get(" in code and "asyncio.run(" not in code)
    program, dot, run = server_code.rpartition("asyncio.run(main())")
    assert dot and not run.strip(), "the server's last line starts it"
    assert "8080" in program and "127.0.0.1:8080" in client_code

    async def both() -> None:
        loop = asyncio.get_running_loop()
        listening: asyncio.Future[http.Server] = loop.create_future()
        create_server = http.create_server

        def create(*args: Any, **options: Any) -> http.Server:
            server = create_server(*args, **options)
            return server.once("listening", lambda: listening.set_result(server))

        monkeypatch.setattr(http, "create_server", create)
        names: dict[str, Any] = {}
        exec(compiled(program.replace("8080", "0")), names)
        serving = asyncio.create_task(names["main"]())
        await asyncio.wait({listening, serving}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()  # raises what went wrong
        server = await listening
        address = server.address()
        assert isinstance(address, tuple)

        printed: list[tuple[object, ...]] = []
        shell = {"http": http, "print": lambda *what: printed.append(what)}
        running = eval(compiled(client_code.replace("8080", str(address[1]))), shell)
        assert inspect.iscoroutine(running), "the client awaits"
        await running
        # An empty body has no pieces; what was written in two parts comes back whole.
        assert printed == [(200, b"part onepart two")]

        await server.close(grace=10.0)
        await serving

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await both()

    asyncio.run(limited())
