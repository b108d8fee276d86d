"""A relay that remembers what went through it: what a front really forwards."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

__all__ = ["Tap", "tap"]


class Tap:
    """What went through.

    Attributes:
        port: where it listens.
        sent: port of the connection it opened → what the front sent on it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.sent: dict[int, bytearray] = {}


@contextlib.contextmanager
def tap(back: int) -> Iterator[Tap]:
    """Relay to port `back` of 127.0.0.1 until the end of the block."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        made = Tap(listener.getsockname()[1])

        def carry(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    if kept is not None:
                        kept += data
                    target.sendall(data)
            for each, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    each.shutdown(how)

        def relay(front: socket.socket) -> None:
            with front, socket.create_connection(("127.0.0.1", back)) as server:
                kept = made.sent.setdefault(server.getsockname()[1], bytearray())
                answers = threading.Thread(target=carry, args=(server, front, None))
                answers.start()
                carry(front, server, kept)
                answers.join()

        def accept() -> None:
            while True:
                try:
                    front, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=relay, args=(front,)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(10)
