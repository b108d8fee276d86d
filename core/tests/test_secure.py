"""SecureFeed over memory: two of them, joined by their ciphertext. And the sessions of agents."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trustme

from anywire.core import FOREVER, RawStream, TimedOut
from anywire.core._secure import WAITING
from anywire.core._sessions import SecurePool, Sessions, SessionSlot
from anywire.core.facade import SecureFeed


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def both(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's context and a server's."""
    asks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(asks)
    answers = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(answers)
    return asks, answers


class Pair:
    """A client's and a server's SecureFeed, each before a raw stream."""

    def __init__(
        self,
        authority: trustme.CA,
        name: str = "localhost",
        *,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
        slot: SessionSlot | None = None,
        limit: float = 0.0,
    ) -> None:
        asks, answers = self.contexts = contexts or both(authority)
        nowhere: Any = None  # no pump: bytes are carried by hand
        self.inner = RawStream(nowhere), RawStream(nowhere)
        self.client = SecureFeed(ssl, asks, self.inner[0], server_side=False, server_name=name, slot=slot)
        self.server = SecureFeed(ssl, answers, self.inner[1], server_side=True, limit=limit)

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
    losses: list[object] = []

    class Watched(RawStream):
        def receive_lost(self, error: OSError | None) -> None:
            losses.append(error)

    nowhere: Any = None
    pair.client.feed = Watched(nowhere)
    pair.client.receive_data(b"\x17\x03\x03\x00\x04junk")
    pair.client.receive_lost(None)  # now that the transport was closed: it must not look like an orderly end
    assert [type(each) for each in losses] == [ConnectionResetError]


def test_nothing_counts_behind_a_goodbye(authority: trustme.CA) -> None:
    """RFC 8446 section 6.1; and what a peer goes on to send must not pile up."""
    pair = Pair(authority).connected()
    pair.server.say_goodbye()
    late = pair.server.data_to_send()
    pair.client.receive_data(late)
    assert pair.inner[0].take() == b"" and not pair.client.truncated
    for _ in range(3):
        pair.client.receive_data(bytes(1000))
    assert not pair.client._incoming.pending
    assert pair.inner[0].error is None


def test_a_fin_without_a_goodbye_says_so(authority: trustme.CA) -> None:
    """RFC 9112 section 9.8."""
    pair = Pair(authority).connected()
    pair.inner[1].send(b"all there is")
    pair.carry()
    pair.client.receive_eof()
    assert pair.inner[0].take() == b"all there is"
    assert pair.inner[0].take() == b"" and pair.client.truncated


def test_a_reset_is_not_an_end(authority: trustme.CA) -> None:
    """What was decrypted before it is passed on, and then the loss, never an orderly end."""
    pair = Pair(authority).connected()
    pair.inner[1].send(b"part")
    pair.client.decrypt(pair.server.data_to_send())
    assert pair.client.pending and pair.inner[0].take() is None
    ends: list[str] = []

    class Watched(RawStream):
        def receive_eof(self) -> None:
            ends.append("eof")

    nowhere: Any = None
    pair.client.feed = watched = Watched(nowhere)
    pair.client.receive_lost(ConnectionResetError(104, "reset"))
    assert watched.take() == b"part"
    assert not ends and watched.error is not None


def test_what_is_held_is_not_lost(authority: trustme.CA) -> None:
    pair = Pair(authority).connected()
    pair.inner[1].send(b"last")
    pair.server.say_goodbye()
    pair.client.decrypt(pair.server.data_to_send())
    assert pair.client.pending and pair.client.ended
    assert pair.inner[0].take() is None
    pair.client.pass_on()
    assert pair.inner[0].take() == b"last"
    assert pair.inner[0].take() == b""


def test_tls_answers_for_itself(authority: trustme.CA) -> None:
    """RFC 8446 section 4.6.2: a server may ask for a certificate at any time; nobody else has anything to say then."""
    asks, answers = both(authority)
    authority.configure_trust(answers)
    authority.issue_cert("client").configure_cert(asks)
    answers.verify_mode = ssl.CERT_OPTIONAL
    asks.post_handshake_auth = answers.post_handshake_auth = True
    pair = Pair(authority, contexts=(asks, answers)).connected()

    class Pump:
        flushes = 0
        feed = pair.inner[0]

        def flush(self) -> None:
            self.flushes += 1
            pair.server.receive_data(pair.client.data_to_send())

    pump = Pump()
    pair.client.attach(pump)
    assert not pair.server.ssl_object.getpeercert()
    pair.server.ssl_object.verify_client_post_handshake()
    pair.server.ssl_object.do_handshake()
    pair.client.receive_data(pair.server.data_to_send())
    assert pump.flushes == 1
    assert pair.server.ssl_object.getpeercert()
    assert pair.inner[0].take() is None and pair.inner[1].take() is None


def test_tls_within_tls(authority: trustme.CA) -> None:
    """An https origin through an https proxy: both goodbyes are said, the inner one first."""
    outer = Pair(authority).connected()
    inner = Pair(authority)
    outer.client.feed, outer.server.feed = inner.client, inner.server
    inner.client.shake_hands()
    outer.carry(5)
    assert inner.client.established and inner.server.established
    inner.inner[0].send(b"through")
    outer.client.say_goodbye()
    outer.carry()
    assert inner.inner[1].take() == b"through"
    assert inner.inner[1].take() == b""
    assert inner.server.ended and outer.server.ended


def test_the_clock_of_a_handshake(authority: trustme.CA) -> None:
    """It runs from the first look; afterwards the feed's clock counts."""
    pair = Pair(authority, limit=60.0)
    assert pair.client.next_deadline(5.0) == FOREVER
    assert pair.server.next_deadline(5.0) == 65.0
    assert pair.server.next_deadline(20.0) == 65.0
    pair.server.handle_deadline(64.9)
    assert pair.server.shaking
    pair.server.handle_deadline(65.0)
    assert isinstance(pair.server.error, TimedOut)
    done = Pair(authority, limit=60.0)
    done.server.next_deadline(0.0)
    done.connected()
    done.server.handle_deadline(100.0)
    assert done.server.error is None and done.server.next_deadline(100.0) == FOREVER


# ---------------------------------------------------------------- sessions


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_is_kept_offered_and_dropped(authority: trustme.CA, version: str) -> None:
    """MOD-72, MOD-73."""
    contexts = both(authority)
    contexts[1].maximum_version = getattr(ssl.TLSVersion, version)
    sessions = Sessions(10)

    def connect(name: str, contexts: tuple[ssl.SSLContext, ssl.SSLContext] = contexts) -> Pair:
        pair = Pair(authority, contexts=contexts, slot=SessionSlot(sessions, name)).connected()
        pair.inner[1].send(b"hello")
        pair.carry()
        assert pair.inner[0].take() == b"hello"
        return pair

    assert not connect("a").client.ssl_object.session_reused
    assert len(sessions) == 1
    pair = connect("a")
    assert pair.client.ssl_object.session_reused
    assert not connect("b").client.ssl_object.session_reused
    assert not connect(
        "a", both(authority)
    ).client.ssl_object.session_reused  # another context: it may verify otherwise
    connect("a").client.receive_lost(ConnectionResetError(104, "reset"))
    assert not connect("a").client.ssl_object.session_reused


def test_a_failed_handshake_drops_the_session(authority: trustme.CA) -> None:
    contexts = both(authority)
    sessions = Sessions(10)
    sessions.keep("a", contexts[0], None)
    pair = Pair(authority, "elsewhere", contexts=contexts, slot=SessionSlot(sessions, "a"))
    pair.client.shake_hands()
    pair.carry()
    assert pair.client.error is not None
    assert len(sessions) == 0


def test_sessions_are_bounded() -> None:
    """MOD-73: the name that came first goes first."""
    sessions = Sessions(2)
    context = object()
    for name in ("a", "b", "a", "c"):
        sessions.keep(name, context, name)
    assert [sessions.find(name, context) for name in "abc"] == [None, "b", "c"]
    nothing = Sessions(0)
    nothing.keep("a", context, "a")
    assert len(nothing) == 0


def test_the_limit_can_be_changed() -> None:
    """MOD-68."""

    class Plain:
        def __init__(self, **options: Any) -> None:
            self.options = options

    class Pool(SecurePool, Plain):
        options: dict[str, Any]

    pool = Pool(max_cached_sessions=1)
    assert pool.options == {"default_port": 443, "protocol": "https:"}
    assert pool.session_slot("a") is not None
    pool.max_cached_sessions = 0
    assert pool.session_slot("a") is None
    with pytest.raises(ValueError, match="max_cached_sessions"):
        pool.max_cached_sessions = -1
    assert Pool().max_cached_sessions == 100


class Renegotiating:
    """An ``SSLObject`` whose peer has begun another handshake, as OpenSSL lets it in TLS 1.2: nothing can be written.

    Python's ssl cannot ask for one, so this stands in for a peer that did.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.busy = False
        self.after = 1 << 30

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: Any) -> int:
        if self.busy:
            raise ssl.SSLWantReadError
        taken: int = self._inner.write(data[: self.after])
        self.busy = taken == self.after
        return taken


class Aborted:
    """A pump that notes what is asked of it."""

    def __init__(self, secure: SecureFeed) -> None:
        self.feed: Any = secure
        self.flushes = self.aborts = 0

    def flush(self) -> None:
        self.flushes += 1

    def abort(self) -> None:
        self.aborts += 1


def test_what_is_sent_during_another_handshake_goes_out_after_it(authority: trustme.CA) -> None:
    pair = Pair(authority).connected()
    left, right = pair.inner
    pair.client.ssl_object = object = Renegotiating(pair.client.ssl_object)
    pump = pair.client._pump = Aborted(pair.client)
    object.after = 1000
    left.send(b"one" * 1000)
    pair.carry()
    assert right.take(1 << 20) == (b"one" * 1000)[:1000]
    left.send(b"two")
    pair.carry()
    assert right.take() is None
    object.busy, object.after = False, 1 << 30
    right.send(b"the last of the handshake")  # whatever arrives makes it look again
    pair.server._pump = None
    pair.client.receive_data(pair.server.data_to_send())
    assert pump.flushes == 1
    pair.carry()
    assert right.take(1 << 20) == (b"one" * 1000)[1000:] + b"two"
    assert not pump.aborts


def test_a_handshake_that_is_not_finished_keeps_so_much_and_no_more(authority: trustme.CA) -> None:
    pair = Pair(authority).connected()
    pair.client.ssl_object = object = Renegotiating(pair.client.ssl_object)
    pump = pair.client._pump = Aborted(pair.client)
    object.busy = True
    for _ in range(WAITING // 65536):
        pair.inner[0].send(b"x" * 65536)
        assert pair.client.data_to_send() == b""
        assert not pump.aborts
    pair.inner[0].send(b"x")
    assert pair.client.data_to_send() == b""
    assert pump.aborts == 1
    assert isinstance(pair.client.error, ConnectionResetError)


def test_no_goodbye_where_something_was_not_sent(authority: trustme.CA) -> None:
    """The peer must not take it for whole."""
    pair = Pair(authority).connected()
    pair.client.ssl_object = object = Renegotiating(pair.client.ssl_object)
    object.busy = True
    pair.inner[0].send(b"lost")
    pair.client.say_goodbye()
    pair.carry()
    assert not pair.server.ended
    pair.server.receive_eof()
    assert pair.server.truncated
