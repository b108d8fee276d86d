"""The two calls that most programs wait in: a request, and ``serve_forever()``."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncio_peers import pool, port_of

from anywire.asyncio import http


async def app(req: http.IncomingMessage, res: http.ServerResponse) -> None:
    res.write_head(200, {"Content-Type": "text/plain"})
    async for chunk in req:
        await res.write(chunk)
    await res.end()


async def test_awaiting_a_request_is_waiting_for_its_response() -> None:
    async with http.create_server(app) as server:
        await server.listen(0, "127.0.0.1")
        async with pool() as agent:
            res = await http.get(f"http://127.0.0.1:{port_of(server)}/", agent=agent)
            assert (res.status_code, await res.read()) == (200, b"")


async def test_cancelling_serve_forever_closes_the_server() -> None:
    """SRV-87: leaving the context closes, also on the way out of a cancelled task."""
    listening = asyncio.Event()
    servers: list[Any] = []

    async def main() -> None:
        async with http.create_server(app) as server:
            servers.append(server)
            await server.listen(0, "127.0.0.1", callback=listening.set)
            await server.serve_forever()

    task = asyncio.ensure_future(main())
    await listening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not servers[0].listening
    assert servers[0].address() is None


async def test_cancellation_inside_the_context_still_answers_what_is_in_flight() -> None:
    """ASK-47: close() drains within ``grace``; a cancelled main task is the usual way to get there."""
    entered, proceed = asyncio.Event(), asyncio.Event()
    ports: list[int] = []

    async def slow(req: http.IncomingMessage, res: http.ServerResponse) -> None:
        entered.set()
        await proceed.wait()
        await res.end("late")

    async def main() -> None:
        async with http.create_server(slow) as server:
            await server.listen(0, "127.0.0.1")
            ports.append(port_of(server))
            entered.set()
            await server.serve_forever()

    task = asyncio.ensure_future(main())
    await entered.wait()
    entered.clear()
    async with pool() as agent:
        req = http.get(f"http://127.0.0.1:{ports[0]}/", agent=agent)
        answer = asyncio.ensure_future(req.response())
        await entered.wait()
        task.cancel()
        await asyncio.sleep(0)
        proceed.set()
        res = await answer
        assert res.headers["connection"] == "close"
        assert await res.read() == b"late"
    with pytest.raises(asyncio.CancelledError):
        await task
