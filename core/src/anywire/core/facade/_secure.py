"""SecureFeed: TLS between a pump and the feed behind it, without a socket.

To the pump it is the feed: ciphertext in, ciphertext out. To what stands behind it, it
is the kernel: plaintext, FIN, loss. So TLS behaves like TCP on every backend that uses
it: one send per small message, half-close (``close_notify``, then FIN), lingering, and
the rescue of an early answer, none of which the runtimes' own TLS transports offer.

The ssl module is handed in, as the core imports none. Everything that arrives is
decrypted at once, so nothing is hidden in the TLS object while its reader pauses; the
bound on reading ahead is exceeded by one read of the pump's at most.

Reading stops at ``close_notify``. A FIN without it is a FIN: messages know their own
length, and many servers close that way (RFC 9112 section 9.8 wants a body that only the
end of the connection delimits to count as cut short then; Node does not, nor do we yet).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from .._pump import FOREVER

if TYPE_CHECKING:
    from .._pump import Feed

__all__ = ["SecureFeed"]

READ: int = 65536


class SecureFeed:
    """See the module docstring; the methods are those of ``anywire.core.Feed``.

    Attributes:
        feed: who gets the plaintext; may be replaced.
        ssl_object: the ``ssl.SSLObject``.
        established: the handshake is done.
        error: why it failed, an ``ssl.SSLError`` or other OSError; or None.
    """

    __slots__ = (
        "_ended",
        "_incoming",
        "_outgoing",
        "_said_goodbye",
        "_ssl",
        "error",
        "established",
        "feed",
        "ssl_object",
    )

    def __init__(
        self, ssl: Any, context: Any, feed: Feed, *, server_side: bool, server_name: str | None = None
    ) -> None:
        self._ssl = ssl
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_name
        )
        self.feed = feed
        self.established = False
        self.error: OSError | None = None
        self._ended = False
        self._said_goodbye = False

    def shake_hands(self) -> None:
        """Do as much of the handshake as what has arrived allows."""
        if self.established or self.error is not None:
            return
        try:
            self.ssl_object.do_handshake()
        except (self._ssl.SSLWantReadError, self._ssl.SSLWantWriteError):
            if self._ended:
                self.error = ConnectionResetError(errno.ECONNRESET, "connection closed in the TLS handshake")
        except OSError as error:
            self.error = error
        else:
            self.established = True

    def receive_data(self, data: bytes) -> None:
        """Take in ciphertext."""
        self._incoming.write(data)
        if not self.established:
            self.shake_hands()
            if not self.established:
                return
        self._decrypt()

    def _decrypt(self) -> None:
        pieces = []
        ended = False
        failure: OSError | None = None
        read = self.ssl_object.read
        try:
            while piece := read(READ):
                pieces.append(piece)
            ended = True
        except self._ssl.SSLWantReadError:
            pass
        except (self._ssl.SSLZeroReturnError, self._ssl.SSLEOFError):
            ended = True
        except OSError as error:
            failure = ConnectionResetError(errno.ECONNRESET, f"TLS failed: {error}")
            failure.__cause__ = error
        if pieces:
            self.feed.receive_data(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if failure is not None:
            self.error = failure
            self.feed.receive_lost(failure)
        elif ended and not self._ended:
            self._ended = True
            self.feed.receive_eof()

    def receive_eof(self) -> None:
        """The peer's FIN arrived."""
        if not self._ended:
            self._ended = True
            if not self.established:
                self.shake_hands()
            self.feed.receive_eof()

    def receive_lost(self, error: OSError | None) -> None:
        """The transport is gone."""
        self._ended = True
        if not self.established and self.error is None:
            self.error = error or ConnectionResetError(errno.ECONNRESET, "connection closed in the TLS handshake")
        self.feed.receive_lost(error)

    def notice(self) -> None:
        """Pass it on."""
        self.feed.notice()

    def flushed(self) -> None:
        """Pass it on."""
        self.feed.flushed()

    def data_to_send(self) -> bytes:
        """Ciphertext of everything that is queued, once. Plaintext waits until the handshake is done."""
        if self.established and self.error is None and not self._said_goodbye:
            self._encrypt()
        return self._outgoing.read()  # type: ignore[no-any-return]

    def say_goodbye(self) -> None:
        """Queue ``close_notify``; nothing can be sent behind it. Called before a FIN."""
        if self.established and self.error is None and not self._said_goodbye:
            self._encrypt()
            self._said_goodbye = True
            try:
                self.ssl_object.unwrap()
            except OSError:
                pass  # the peer has not said its own yet; we do not wait for it

    def _encrypt(self) -> None:
        view = memoryview(self.feed.data_to_send())
        while view:
            view = view[self.ssl_object.write(view) :]

    @property
    def want_read(self) -> bool:
        """A handshake always reads on."""
        return not self.established or self.feed.want_read

    def next_deadline(self, now: float) -> float:
        """The handshake's limit is whoever's who waits for it."""
        return self.feed.next_deadline(now) if self.established else FOREVER

    def handle_deadline(self, now: float) -> None:
        """Pass it on."""
        if self.established:
            self.feed.handle_deadline(now)
