"""Bare sockets that send and receive large bodies, for clients: ``floor_bulk.py PORT``.

``GET /down?size=N`` is answered with N bytes, anything else is read by its Content-Length and answered with that.
"""

from __future__ import annotations

import re
import socket
import sys
import threading

PIECE = bytes(1 << 18)


def serve(sock: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    with sock:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(65536)
            if not piece:
                return
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        if wanted := re.search(rb"\?size=(\d+)", head):
            size = int(wanted[1])
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
            for _ in range(size // len(PIECE)):
                sock.sendall(PIECE)
        elif announced := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
            size = int(announced[1])
            left = size - len(rest)
            while left > 0 and (count := sock.recv_into(buffer)):
                left -= count
            text = b"%d" % (size - left)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(text), text))
        sock.shutdown(socket.SHUT_WR)


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
