"""The core alone, in a program of your own: its parser over bare sockets, and its Agent as the policy of a pool.

No runtime, no facade: an HTTP/1.1 client in forty lines that keeps at most one connection and queues behind it.
"""

from __future__ import annotations

import socket
import threading

from anywire.core import ASSIGNED, OPEN, QUEUED, REQUEST, RESPONSE, Agent, Lease, Limits, Parser, parse_fields


class Connection:
    """A blocking socket, and the parser of what comes from it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.parser = Parser(RESPONSE, Limits())

    def exchange(self, path: str) -> tuple[int, bytes]:
        """Send a request, return status and body."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        while (head := self.parser.next_response("GET")) is None:  # None: it needs more bytes
            self._receive()
        body = b""
        while (piece := self.parser.next_body()) != b"":  # b"": the message is complete
            if piece is None:
                self._receive()
            else:
                body += piece
        return head[0], body

    def _receive(self) -> None:
        if data := self.socket.recv(65536):
            self.parser.receive_data(data)
        else:
            self.parser.receive_eof()  # a message that cannot be complete now is an error of the next call
            if self.parser.at_eof:
                raise ConnectionResetError("closed before an answer began")


def serve(listener: socket.socket) -> None:
    """One connection, answered until it ends; the parser in its other role."""
    sock, _ = listener.accept()
    parser = Parser(REQUEST, Limits())
    with sock:
        while data := sock.recv(65536):
            parser.receive_data(data)
            while (head := parser.next_request()) is not None:
                method, target, minor, fields, *_ = head
                text = f"{method} {target} HTTP/1.{minor} with {parse_fields(fields)}".encode()
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()

    # The Agent decides, and we carry it out: it never touches a connection, and time is what we say.
    agent: Agent[Connection, str] = Agent(keep_alive=True, max_sockets=1)
    leases: dict[str, Lease[Connection, str]] = {}
    for path in ("/first", "/second"):
        leases[path] = lease = agent.request("h:80:", path, now=0.0)
        print(path, {OPEN: "may connect", QUEUED: "waits", ASSIGNED: "has a connection"}[lease.state])
    for path, lease in leases.items():
        if lease.state == OPEN:
            agent.opened(lease, Connection(listener.getsockname()), now=1.0)
        assert lease.state == ASSIGNED and lease.connection is not None
        print(*lease.connection.exchange(path), "on a used connection" if lease.reused else "on a new connection")
        agent.freed(lease, now=2.0, persistent=True)  # hands it to who waits, if anybody does
    print("idle:", sum(map(len, agent.free_sockets.values())))

    agent.destroy()
    wake, close = agent.take_answers()
    for connection in close:
        connection.socket.close()
    print("closed:", len(close), "woken:", len(wake))
    thread.join()
    listener.close()


if __name__ == "__main__":
    main()
