"""A peer that vanishes without a word ends whoever reads from it (ASK-22): the kernel's probes say so.

How to vanish on loopback: a filter on the peer's socket that drops every packet. It neither acknowledges
anything nor refuses it, from then on, and needs no privileges. What was sent before has to be
acknowledged by then, for the kernel repeats that instead of probing.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter
from anywire.core import AnywireError, TimedOut

ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's filters")

ATTACH, DETACH = 26, 27
"""SO_ATTACH_FILTER, SO_DETACH_FILTER: Python has no names for them."""

PATIENCE = 30.0


@contextmanager
def vanished(peer: socket.socket, other: socket.socket) -> Iterator[None]:
    """`peer` takes no packet of `other`'s any more."""
    for sock in (peer, other):
        while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"    "))[0]:
            pass  # the kernel does not wait for us to have it acknowledged
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # one instruction: return 0 bytes of it
    peer.setsockopt(socket.SOL_SOCKET, ATTACH, struct.pack("HP", 1, ctypes.addressof(nothing)))
    try:
        yield
    finally:
        peer.setsockopt(socket.SOL_SOCKET, DETACH, 0)


def impatient(user_socket: Any) -> socket.socket:
    """Have the kernel probe after a second of silence, and give up a second later. Our own socket."""
    user_socket.set_keep_alive(True, 1.0)
    sock: socket.socket = user_socket._pump.info("socket")
    for option in (socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
        sock.setsockopt(socket.IPPROTO_TCP, option, 1)
    return sock


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_server_that_vanished_ends_the_read_of_a_client_ASK_22(name: str) -> None:
    backend = resolve(name)
    found: list[AnywireError] = []

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            req = backend.http.get(f"http://127.0.0.1:{listener.getsockname()[1]}/", agent=False, deadline=PATIENCE)
            await settle(req.flush_headers())
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome")
                res = await settle(req.response())
                assert await settle(res.read(4)) == b"some"
                with vanished(peer, impatient(req.socket)):
                    try:
                        await settle(res.read())
                    except AnywireError as error:
                        found.append(error)

    backend.run(scenario)
    assert [(type(error), error.message) for error in found] == [(TimedOut, "read ETIMEDOUT")]


@pytest.mark.parametrize("name", ON_SOCKETS)
def test_a_client_that_vanished_ends_the_read_of_a_server_ASK_22(name: str) -> None:
    backend = resolve(name)
    found: list[AnywireError] = []

    async def scenario() -> None:
        over = backend.flag()

        async def app(req: Any, res: Any) -> None:
            assert await settle(req.read(4)) == b"some"
            with vanished(peer, impatient(req.socket)):
                try:
                    await settle(req.read())
                except AnywireError as error:
                    found.append(error)
            over.set()

        server = backend.http.create_server(backend.hook(app), request_timeout=PATIENCE)
        await settle(_enter(server))
        await settle(server.listen(0, "127.0.0.1"))
        with socket.create_connection(server.address()) as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nsome")
            await settle(over.wait())
            await settle(server.close(grace=1.0))
            await settle(leave(server))

    backend.run(scenario)
    assert [(type(error), error.message) for error in found] == [(TimedOut, "read ETIMEDOUT")]
