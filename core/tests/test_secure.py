"""SecureFeed over memory: two of them, joined by their ciphertext."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from anywire.core import RawStream
from anywire.core.facade import SecureFeed


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Pair:
    """A client's and a server's SecureFeed, each before a raw stream."""

    def __init__(self, authority: trustme.CA, name: str = "localhost") -> None:
        asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(asks)
        answers = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(answers)
        nowhere: Any = None  # no pump: bytes are carried by hand
        self.inner = RawStream(nowhere), RawStream(nowhere)
        self.client = SecureFeed(ssl, asks, self.inner[0], server_side=False, server_name=name)
        self.server = SecureFeed(ssl, answers, self.inner[1], server_side=True)

    def carry(self, piece: int = 65536) -> None:
        """Ciphertext to and fro, `piece` bytes at a time, until nothing is left."""
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((self.client, self.server), (self.server, self.client)):
                data = sender.data_to_send()
                for start in range(0, len(data), piece):
                    receiver.receive_data(data[start : start + piece])
                moved = moved or bool(data)

    def connected(self, piece: int = 65536) -> Pair:
        self.client.shake_hands()
        self.carry(piece)
        assert self.client.established and self.server.established
        return self


@pytest.mark.parametrize("piece", [1, 7, 65536])
def test_both_ways_in_any_pieces(authority: trustme.CA, piece: int) -> None:
    pair = Pair(authority).connected(piece)
    left, right = pair.inner
    left.send(b"ping" * 10_000)
    right.send(b"pong")
    pair.carry(piece)
    assert right.take(1 << 20) == b"ping" * 10_000
    assert left.take() == b"pong"


def test_plaintext_waits_for_the_handshake(authority: trustme.CA) -> None:
    pair = Pair(authority)
    pair.inner[0].send(b"early")
    pair.connected()
    pair.carry()
    assert pair.inner[1].take() == b"early"


def test_goodbye_goes_behind_what_is_queued_and_is_an_end(authority: trustme.CA) -> None:
    """RFC 8446 section 6.1: close_notify ends what the sender has to say, and nothing of it is lost."""
    pair = Pair(authority).connected()
    left, right = pair.inner
    left.send(b"last words")
    pair.client.say_goodbye()
    left.send(b"too late")
    pair.carry()
    assert right.take() == b"last words"
    assert right.take() == b""
    right.send(b"heard")
    pair.carry()
    assert left.take() == b"heard"


def test_a_wrong_name_fails_the_client_and_tells_the_server(authority: trustme.CA) -> None:
    pair = Pair(authority, "elsewhere")
    pair.client.shake_hands()
    pair.carry()
    assert isinstance(pair.client.error, ssl.SSLCertVerificationError)
    assert not pair.client.established
    assert isinstance(pair.server.error, ssl.SSLError)  # the alert arrived


def test_garbage_instead_of_a_handshake(authority: trustme.CA) -> None:
    pair = Pair(authority)
    pair.server.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(pair.server.error, ssl.SSLError)


def test_a_connection_that_ends_in_the_handshake(authority: trustme.CA) -> None:
    pair = Pair(authority)
    pair.server.receive_eof()
    assert isinstance(pair.server.error, ConnectionResetError)


def test_garbage_after_the_handshake_is_a_loss(authority: trustme.CA) -> None:
    pair = Pair(authority).connected()
    pair.client.receive_data(b"\x17\x03\x03\x00\x04junk")
    assert pair.inner[0].eof and pair.inner[0].error is not None
