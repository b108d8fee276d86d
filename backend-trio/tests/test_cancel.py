"""Cancellation against a peer that never answers. (At every suspension: conformance/tests/test_cancel_sweep.py.)"""

from __future__ import annotations

import trio
from trio_peers import Certificates, counts

from anywire.trio import https


async def test_a_mute_tls_peer_does_not_hold_up_a_cancelled_request(certificates: Certificates) -> None:
    """ASK-17: the handshake of a peer that never answers ends with its request, in no time."""
    listening = trio.socket.socket()
    await listening.bind(("127.0.0.1", 0))
    listening.listen()
    agent = https.Agent(keep_alive=True, ca=certificates.ca)
    with listening:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                await https.get(f"https://127.0.0.1:{listening.getsockname()[1]}/", agent=agent)

            nursery.start_soon(ask)
            mute, _ = await listening.accept()
            await trio.testing.wait_all_tasks_blocked()
            assert counts(agent) == (0, 1, 0, 0)
            nursery.cancel_scope.cancel()
        assert counts(agent) == (0, 0, 0, 0)
        with mute:
            while await mute.recv(65536):
                pass
