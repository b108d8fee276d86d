"""What the examples need of Node's ``net``: TCP connections that know nothing of HTTP."""

from __future__ import annotations

import socket
import threading
from typing import Any, Self


class Socket:
    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.send = sock.sendall

    def receive(self) -> bytes:
        return bytes(self._sock.recv(65536))

    def send_eof(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()


def connect(port: int, host: str) -> Socket:
    return Socket(socket.create_connection((host, port)))


def join(one: Any, other: Any) -> None:
    """Carry bytes both ways, until both have ended."""
    back = threading.Thread(target=_carry, args=(other, one))
    back.start()
    _carry(one, other)
    back.join()


def _carry(source: Any, target: Any) -> None:
    while data := source.receive():
        target.send(data)
    target.send_eof()
