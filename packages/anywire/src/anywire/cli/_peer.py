"""The other end of a tunnel: a TCP connection that is none of anywire's."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

__all__ = ["BlockingPeer", "Peer"]


class Peer:
    """A connected socket of whichever runtime. Drivers add ``send`` and ``receive``, in their colour.

    Args:
        sock: the socket.
    """

    def __init__(self, sock: Any) -> None:
        self.sock = sock

    def send_eof(self) -> None:
        """FIN."""
        self.sock.shutdown(socket.SHUT_WR)

    def break_off(self) -> None:
        """Both directions end, and whoever waits is woken."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it."""
        self.sock.close()


class BlockingPeer(Peer):
    """See :class:`blocking.Peer`."""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def receive(self) -> bytes:
        """What there is."""
        data: bytes = self.sock.recv(65536)
        return data
