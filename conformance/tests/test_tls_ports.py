"""Another port is another connection and another TLS session (ASK-39): a case has one port."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from anywire.conformance.backends import installed, resolve, settle

ON_SOCKETS = [name for name in installed() if name != "anywire.conformance.sim"]
CERTIFICATES = Path(__file__).parents[1] / "certificates"
AUTHORITY = (CERTIFICATES / "authority.pem").read_text()
PATIENCE = 20.0


def served(context: ssl.SSLContext, listener: socket.socket, seen: list[bool]) -> None:
    """Answer every request on every connection; note of each connection whether it took up a session."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        plain.settimeout(PATIENCE)
        with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=True) as sock:
            seen.append(bool(sock.session_reused))
            data = b""
            try:
                while piece := sock.recv(4096):
                    data += piece
                    if data.endswith(b"\r\n\r\n"):
                        sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                        if b"Connection: close" in data:
                            break
                        data = b""
            except OSError:
                pass


@pytest.mark.parametrize("pooled", [True, False], ids=["connections", "sessions"])
@pytest.mark.parametrize("name", ON_SOCKETS)
def test_neither_a_connection_nor_a_session_of_another_port_ASK_39(name: str, pooled: bool) -> None:
    backend = resolve(name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # one, so that each port knows the sessions of the other
    context.load_cert_chain(CERTIFICATES / "localhost.pem")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    seen: tuple[list[bool], list[bool]] = [], []
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in seen]
    threads = [threading.Thread(target=served, args=(context, *each)) for each in zip(listeners, seen, strict=True)]
    for thread in threads:
        thread.start()

    async def scenario() -> None:
        agent: Any = backend.https.Agent(keep_alive=pooled, ca=AUTHORITY)
        for which in (0, 1, 0, 1):
            url = f"https://127.0.0.1:{listeners[which].getsockname()[1]}/"
            res = await settle(backend.https.get(url, agent=agent, deadline=PATIENCE).response())
            await settle(res.read())
        agent.destroy()

    try:
        backend.run(scenario)
    finally:
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in threads:
            thread.join(PATIENCE)
    # The second time the port has its own connection, or session: so the other port had one, the first time.
    assert seen == (([False], [False]) if pooled else ([False, True], [False, True]))
