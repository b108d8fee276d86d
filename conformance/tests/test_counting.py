"""``get_connections()`` is what the system would say (ASK-46): no case can ask the system."""

from __future__ import annotations

import random
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conformance.tests.closing_load import ON_SOCKETS, PEM, connected

from anywire.conformance.backends import leave, resolve, settle
from anywire.conformance.running import _enter

CERTIFICATES = Path(__file__).parents[1] / "certificates"
AUTHORITY = str(CERTIFICATES / "authority.pem")
PATIENCE = 20.0
OPEN = 3
LOOKS = 5000
"""Exchanges after which what is not equal will never be."""

TURNS = 100
"""Turns of a loop (uvloop's) in which descriptors are closed that were given up."""


def accepted(port: int) -> int:
    """Connected sockets of this process that were accepted on `port`."""
    return connected().count(port)


class Peer:
    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname="localhost")

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def get(self, target: str = "/", more: str = "") -> None:
        self.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n{more}\r\n".encode())

    def answer(self) -> None:
        data = b""
        while not data.endswith(b"\r\n\r\nok"):
            piece = self.sock.recv(4096)
            assert piece, data
            data += piece

    def rest(self) -> None:
        with suppress(ConnectionResetError):
            while self.sock.recv(4096):
                pass

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def idle_and_close(peer: Peer) -> None:
    peer.get()
    peer.answer()


def close_at_once(peer: Peer) -> None:
    """Nothing is sent."""


def reset_at_once(peer: Peer) -> None:
    peer.reset()


def reset_in_the_head(peer: Peer) -> None:
    peer.send(b"GET / HT")
    peer.reset()


def close_while_the_handler_works(peer: Peer) -> None:
    peer.get("/wait")


def reset_while_the_handler_works(peer: Peer) -> None:
    peer.get("/wait")
    peer.reset()


def close_in_the_body(peer: Peer) -> None:
    peer.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx")


def half_close(peer: Peer) -> None:
    peer.get()
    peer.sock.shutdown(socket.SHUT_WR)
    peer.rest()


def be_told_that_it_is_the_last(peer: Peer) -> None:
    peer.get(more="Connection: close\r\n")
    peer.rest()


def be_destroyed(peer: Peer) -> None:
    peer.get("/destroy")
    peer.rest()


def talk_nonsense(peer: Peer) -> None:
    peer.send(b"nonsense\r\n\r\n")
    peer.rest()


WAYS: list[Callable[[Peer], None]] = [
    idle_and_close, close_at_once, reset_at_once, reset_in_the_head, close_while_the_handler_works, half_close,
    reset_while_the_handler_works, close_in_the_body, be_told_that_it_is_the_last, be_destroyed, talk_nonsense,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ON_SOCKETS)
def test_after_any_mix_of_closes_the_count_is_the_systems_ASK_46(name: str, secure: bool) -> None:
    backend = resolve(name)
    context = ssl.create_default_context(cafile=AUTHORITY) if secure else None
    errors: list[BaseException] = []
    seen: list[tuple[int, int]] = []
    mix = WAYS * 4
    random.Random(46).shuffle(mix)

    async def scenario() -> None:
        done = backend.flag()

        async def app(req: Any, res: Any) -> None:
            if req.url == "/destroy":
                res.destroy()
                return
            if req.url == "/wait":
                gone = backend.flag()
                req.on("aborted", gone.set)
                await settle(gone.wait())
                return
            await settle(req.read())
            await settle(res.end("ok"))

        def clients(port: int) -> None:
            try:
                kept = [Peer(port, context) for _ in range(OPEN)]
                for way in mix:
                    peer = Peer(port, context)
                    way(peer)
                    peer.sock.close()
                for _ in range(LOOKS):
                    for each in kept:
                        each.get()
                        each.answer()
                    seen[:] = [(server.get_connections(), accepted(port))]
                    if seen == [(OPEN, OPEN)]:
                        break
                for each in kept:
                    each.sock.close()
            except BaseException as error:
                errors.append(error)
            done.set()

        module = backend.https if secure else backend.http
        server = module.create_server(backend.hook(app), **({"cert": PEM, "key": PEM} if secure else {}))
        await settle(_enter(server))
        await settle(server.listen(0, "127.0.0.1"))
        port = server.address()[1]
        thread = threading.Thread(target=clients, args=(port,), daemon=True)
        thread.start()
        await settle(done.wait())
        thread.join()
        await settle(server.close(grace=3.0))
        for _ in range(TURNS):
            if not accepted(port):
                break
            turn = backend.flag()
            turn.set()
            await settle(turn.wait())
        seen.append((server.get_connections(), accepted(port)))
        await settle(leave(server))

    backend.run(scenario)
    if errors:
        raise errors[0]
    assert seen == [(OPEN, OPEN), (0, 0)]
