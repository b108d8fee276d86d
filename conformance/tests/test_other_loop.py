"""close() on another event loop than the server's (a thread's with asyncio.run(), say): no case has two loops."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter
from anywire.core import StateError

WITH_LOOPS = [name for name in installed() if name not in ("anywire.conformance.sim", "anywire.sync")]


@pytest.mark.parametrize("name", WITH_LOOPS)
def test_a_server_is_closed_where_it_listens(name: str) -> None:
    """Elsewhere that is an error, before anything was done; the server goes on."""
    backend = resolve(name)
    errors: list[Any] = []

    def elsewhere(server: Any) -> None:
        other = resolve(name)

        async def close() -> None:
            try:
                await settle(server.close())
            except StateError as error:
                errors.append(error)

        other.run(close)

    async def scenario() -> tuple[bool, bool]:
        server = backend.http.create_server()
        await settle(_enter(server))
        try:
            await settle(server.listen(0, "127.0.0.1"))
            thread = threading.Thread(target=elsewhere, args=(server,))
            thread.start()
            thread.join()
            before = server.listening
            await settle(server.close())
            return before, server.listening
        finally:
            await settle(leave(server))

    assert backend.run(scenario) == (True, False)
    assert [error.code for error in errors] == ["ERR_SERVER_NOT_RUNNING"]
    assert "listens on another event loop" in str(errors[0])
