"""Many clients at a server with ``at_max_connections="pause"`` (ASK-44): cases have few, and one listening socket."""

from __future__ import annotations

import importlib
import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance.backends import installed, leave, resolve, settle
from anywire.conformance.running import _enter

ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]
CERTIFICATES = Path(__file__).parents[1] / "certificates"
PEM = (CERTIFICATES / "localhost.pem").read_text()
PATIENCE = 30.0
HOSTS = ["127.0.0.1", "127.0.0.2"]
LIMIT = 3
CLIENTS = 60
EACH = 2
"""Requests of a client; behind the last one it goes, in one of three ways."""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a second loopback address")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ON_SOCKETS)
def test_all_are_served_and_never_more_than_the_limit_at_once_ASK_44(
    name: str, secure: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two listening sockets, which share one limit."""
    resolved = socket.getaddrinfo

    def both(host: Any, port: Any, *args: Any, **keywords: Any) -> Any:
        names = HOSTS if host == "two.test" else [host]
        return [each for name in names for each in resolved(name, port, *args, **keywords)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    if "gevent" in name:  # it has a socket module of its own
        monkeypatch.setattr(importlib.import_module("anywire.gevent._native").native, "getaddrinfo", both)
    backend = resolve(name)
    context = ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem")) if secure else None
    counts: list[int] = []
    dropped: list[object] = []
    errors: list[BaseException] = []
    served: list[int] = []

    def client(number: int, port: int) -> None:
        try:
            with socket.create_connection((HOSTS[number % 2], port), PATIENCE) as plain:
                peer = plain if context is None else context.wrap_socket(plain, server_hostname="localhost")
                for each in range(EACH):
                    last = number % 3 == 0 and each == EACH - 1
                    peer.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % (b"Connection: close\r\n" * last))
                    data = b""
                    while not data.endswith(b"\r\n\r\nok"):
                        piece = peer.recv(4096)
                        assert piece, data
                        data += piece
                if number % 3 == 1:
                    peer.shutdown(socket.SHUT_WR)
                peer.close()
            served.append(number)
        except BaseException as error:
            errors.append(error)

    async def scenario() -> None:
        over = backend.flag()

        async def app(req: Any, res: Any) -> None:
            counts.append(server.get_connections())
            await settle(res.end("ok"))
            counts.append(server.get_connections())

        tls = {"cert": PEM, "key": PEM} if secure else {}
        module = backend.https if secure else backend.http
        server = module.create_server(backend.hook(app), max_connections=LIMIT, at_max_connections="pause", **tls)
        server.on("drop", dropped.append)
        await settle(_enter(server))
        await settle(server.listen(0, "two.test"))
        threads = [threading.Thread(target=client, args=(each, server.address()[1])) for each in range(CLIENTS)]

        def watch() -> None:
            for thread in threads:
                thread.join()
            over.set()

        for thread in threads:
            thread.start()
        threading.Thread(target=watch).start()
        await settle(over.wait())
        await settle(server.close(grace=5.0))
        await settle(leave(server))

    backend.run(scenario)
    assert errors == []
    assert sorted(served) == list(range(CLIENTS))
    assert len(counts) == 2 * EACH * CLIENTS
    assert max(counts) <= LIMIT
    assert dropped == []
    assert backend.reports == []
