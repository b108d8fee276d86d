"""SecureFeed: TLS between a pump and the feed behind it, without a socket.

To the pump it is the feed: ciphertext in, ciphertext out. To what stands behind it, it
is the kernel: plaintext, FIN, loss. So no pump knows of TLS, and TLS behaves like TCP on
every backend: one send per small message, half-close (``close_notify``, then FIN),
lingering, the rescue of an early answer, and TLS within TLS, none of which the runtimes'
own TLS transports offer.

The ssl module is handed in, as the core imports none. Everything that arrives is
decrypted at once, so nothing is hidden in the TLS object while its reader pauses; the
bound on reading ahead is exceeded by one read of the pump's at most.

**The handshake** is driven by what arrives and by the clock, like everything else here:
whoever wants it waits on the pump while :attr:`SecureFeed.shaking`, then calls
:func:`shaken`.

**Renegotiation** (TLS 1.2). Contexts that are made here refuse it; one of the user's may not. While the peer
shakes hands again nothing can be written, so plaintext is kept, in bounds, until it has.

**The end.** Reading stops at ``close_notify``; what comes behind it is thrown away. A FIN
without it is a FIN too, and :attr:`SecureFeed.truncated` says so: a body that only the
end of the connection delimits counts as cut short then (RFC 9112 section 9.8).
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ._errors import TimedOut
from ._pump import FOREVER

if TYPE_CHECKING:
    from ._pump import Feed
    from ._sessions import SessionSlot

__all__ = ["SecureFeed", "hand_over", "shaken"]

READ: Final = 65536
"""Bytes of one read of plaintext."""

WAITING: Final = 1 << 20
"""Bytes of plaintext kept while the peer is in the middle of another handshake; more, and it is given up."""


class SecureFeed:
    """See the module docstring; the methods are those of ``anywire.core.Feed``.

    Args:
        ssl: the ssl module.
        context: an ``SSLContext``.
        feed: who gets the plaintext.
        server_side: we accept.
        server_name: whom a client wants to speak with.
        limit: seconds that the handshake may take; 0 is no limit.
        slot: of a client: where its session is kept.

    Attributes:
        feed: may be replaced.
        ssl_object: the ``ssl.SSLObject``.
        established: the handshake is done.
        error: why it failed, an ``ssl.SSLError`` or other OSError; or what failed later; or None.
        truncated: the peer's FIN came without its ``close_notify``.
    """

    __slots__ = (
        "_due",
        "_begun",
        "_ended",
        "_incoming",
        "_kept",
        "_limit",
        "_lost",
        "_outgoing",
        "_pieces",
        "_plain",
        "_pump",
        "_said_goodbye",
        "_slot",
        "_ssl",
        "_told",
        "_whole",
        "error",
        "established",
        "feed",
        "ssl_object",
        "truncated",
    )

    def __init__(
        self,
        ssl: Any,
        context: Any,
        feed: Feed,
        *,
        server_side: bool,
        server_name: str | None = None,
        limit: float = 0.0,
        slot: SessionSlot | None = None,
    ) -> None:
        self._ssl = ssl
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._slot = slot
        self.ssl_object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_name,
            session=None if slot is None else slot.find(context),
        )
        self.feed = feed
        self._pump: Any = None
        self._limit = self._whole = limit
        self._due = FOREVER
        self.established = False
        self.error: OSError | None = None
        self.truncated = False
        self._pieces: list[bytes] = []
        self._plain = b""
        self._ended = self._told = self._lost = self._begun = False
        self._kept = self._said_goodbye = False

    def attach(self, pump: Any) -> None:
        """Stand between `pump` and the feed from here on; within the TLS that is there, if there is."""
        self._pump = pump
        hand_over(pump, self)

    # ---------------------------------------------------------------- the handshake

    @property
    def shaking(self) -> bool:
        """The handshake is neither done nor has it failed."""
        return not self.established and self.error is None

    def shake_hands(self) -> None:
        """Do as much of the handshake as what has arrived allows. A client calls it to begin."""
        if not self.shaking:
            return
        try:
            self.ssl_object.do_handshake()
        except (self._ssl.SSLWantReadError, self._ssl.SSLWantWriteError):
            if self._ended:
                self._failed(self._closed_early())
        except OSError as error:
            self._failed(error)
        else:
            self.established = True
            if self._slot is not None and self.ssl_object.version() != "TLSv1.3":
                self._keep_session(self._slot)
        self._answer()

    def _closed_early(self) -> OSError:
        """Node's words, on either side."""
        client = "Client network socket disconnected before secure TLS connection was established"
        return ConnectionResetError(errno.ECONNRESET, "socket hang up" if self.ssl_object.server_side else client)

    def _failed(self, error: OSError) -> None:
        self.error = error
        if self._slot is not None:
            self._slot.drop()

    def _keep_session(self, slot: SessionSlot) -> None:
        """TLS 1.3 servers give them when they like, most do with their first words; others with the handshake."""
        session = self.ssl_object.session
        if session is not None and (session.has_ticket or session.id):
            self._kept = True
            slot.keep(self.ssl_object.context, session)

    def _answer(self) -> None:
        """TLS may have something to say by itself: its handshake, an alert, new keys."""
        if (self._outgoing.pending or self._plain) and self._pump is not None:
            self._pump.flush()

    # ---------------------------------------------------------------- in

    def receive_data(self, data: bytes) -> None:
        """Take in ciphertext."""
        self.decrypt(data)
        self.pass_on()

    def decrypt(self, data: bytes) -> None:
        """Take in ciphertext, and keep what it says until :meth:`pass_on`."""
        if self._ended or self.error is not None:
            return
        self._incoming.write(data)
        if not self._begun:
            self._begin()
        if not self.established:
            self.shake_hands()
        if self.established:
            self._read()
            self._answer()

    def _read(self) -> None:
        read = self.ssl_object.read
        try:
            while piece := read(READ):
                self._pieces.append(piece)
            self._ended = True
        except self._ssl.SSLWantReadError:
            pass
        except self._ssl.SSLZeroReturnError:
            self._ended = True
        except OSError as error:
            failure = ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error}")
            failure.__cause__ = error
            self._failed(failure)
        if self._slot is not None and not self._kept and self.ssl_object.session.has_ticket:
            self._keep_session(self._slot)

    def pass_on(self) -> None:
        """Feed what was decrypted."""
        if pieces := self._pieces:
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self.feed.receive_data(data)
        if self._told:
            return
        if self.error is not None and self.established:
            self._told = self._lost = True
            self.feed.receive_lost(self.error)
        elif self._ended:
            self._told = True
            self.feed.receive_eof()

    @property
    def pending(self) -> bool:
        """:meth:`pass_on` has bytes to feed."""
        return bool(self._pieces)

    @property
    def ended(self) -> bool:
        """The peer will say no more."""
        return self._ended

    def receive_eof(self) -> None:
        """The peer's FIN arrived."""
        if not self._ended:
            self._ended = self.truncated = True
            self.shake_hands()
        self.pass_on()

    def receive_lost(self, error: OSError | None) -> None:
        """The transport is gone."""
        self._ended = self._told = True
        if self.shaking:
            self._failed(error or self._closed_early())
        elif error is not None and self._slot is not None:
            self._slot.drop()
        self.pass_on()
        if not self._lost:
            self._lost = True
            self.feed.receive_lost(error)

    def notice(self) -> None:
        """Pass it on."""
        self.feed.notice()

    def flushed(self) -> None:
        """Pass it on."""
        self.feed.flushed()

    # ---------------------------------------------------------------- out

    def data_to_send(self) -> bytes:
        """Ciphertext of everything that is queued, once. Plaintext waits until the handshake is done."""
        if self.established and self.error is None and not self._said_goodbye:
            self._encrypt()
        data: bytes = self._outgoing.read()
        return data

    def _encrypt(self) -> None:
        data = self.feed.data_to_send()
        if self._plain:
            data, self._plain = self._plain + data, b""
        view = memoryview(data)
        try:
            while view:
                view = view[self.ssl_object.write(view) :]
        except self._ssl.SSLWantReadError as error:
            if len(view) <= WAITING:
                self._plain = bytes(view)
            else:
                self._cannot_write(error)
        except OSError as error:
            self._cannot_write(error)

    def _cannot_write(self, error: OSError) -> None:
        failure = ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error}")
        failure.__cause__ = error
        self._failed(failure)
        if self._pump is not None:
            self._pump.abort()

    def say_goodbye(self) -> None:
        """Queue ``close_notify``; nothing can be sent behind it."""
        if self.established and self.error is None and not self._said_goodbye:
            self.feed.say_goodbye()  # of TLS within TLS
            self._encrypt()
            self._said_goodbye = True
            if self._plain:
                return  # so that nobody takes what was sent for all of it
            with suppress(OSError):  # the peer has not said its own yet; we do not wait for it
                self.ssl_object.unwrap()

    # ---------------------------------------------------------------- the rest

    @property
    def want_read(self) -> bool:
        """A handshake always reads on."""
        return not self.established or self.feed.want_read

    def next_deadline(self, now: float) -> float:
        """That of the handshake, counted from the first call; then the feed's."""
        if self.established:
            return self.feed.next_deadline(now)
        if self._limit and self._due == FOREVER:
            self._due = now + self._limit
        return self._due

    def hurry(self, seconds: float) -> None:
        """Who has said nothing yet is to begin within so many seconds."""
        if not self._begun:
            self._limit, self._due = seconds, FOREVER

    def _begin(self) -> None:
        self._begun = True
        if self._limit != self._whole:
            self._limit, self._due = self._whole, FOREVER

    def handle_deadline(self, now: float) -> None:
        """The handshake took too long; or pass it on."""
        if self.established:
            self.feed.handle_deadline(now)
            return
        if self.shaking and not self._begun and self._pump is not None and now >= self.next_deadline(now):
            self._pump.usable()  # what has come by now was in time
        if self.shaking and now >= self.next_deadline(now):
            self.error = TimedOut("TLS handshake took too long", phase="tls")


def shaken(pump: Any, secure: SecureFeed) -> OSError | None:
    """The handshake over `pump` is over: why it failed, and then the transport is gone; or None."""
    if secure.error is not None:
        pump.abort()  # the alert that says why is out
    return secure.error


def hand_over(pump: Any, feed: Feed) -> Feed:
    """Feed `feed` from here on, through whatever TLS there is. Returns what was fed before."""
    while isinstance(pump.feed, SecureFeed):
        pump = pump.feed
    before: Feed = pump.feed
    pump.feed = feed
    return before
