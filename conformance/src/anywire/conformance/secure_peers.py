"""TLS for peers: the standard library's ssl over the stream of any world, without a line of anywire.

What travels below is not compared; what a script sends and expects is the plaintext. A peer that is asked to send a
packet byte by byte makes each a record of its own, and sends records, those of the handshake too, in small pieces.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any, Final

from .backends import settle
from .folders import certificate, certificate_path

__all__ = ["Contexts", "RaggedEnd", "SecureStream"]

PIECE: Final = 16
"""Bytes of ciphertext at a time, where the variant is *bytes*. One at a time takes half a second for a handshake."""

_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


class RaggedEnd(ConnectionError):
    """A FIN came without close_notify."""


class Contexts:
    """The contexts of one run. Peers with the same options share one, so that sessions can be taken up again."""

    def __init__(self) -> None:
        self._made: dict[tuple[bool, str], ssl.SSLContext] = {}
        self.names: dict[int, str | None] = {}
        """Server names that clients asked for, by id of the ``SSLObject``."""

    def wrap(self, stream: Any, options: Mapping[str, Any], *, server_side: bool, in_bytes: bool) -> SecureStream:
        """TLS on top of `stream`."""
        key = server_side, json.dumps({name: value for name, value in options.items() if name != "name"})
        context = self._made.get(key)
        if context is None:
            context = self._made[key] = self._make(options, server_side)
        name = None if server_side else options.get("name", "localhost")
        return SecureStream(self, stream, context, name, server_side=server_side, in_bytes=in_bytes)

    def _make(self, options: Mapping[str, Any], server_side: bool) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
        if server_side:
            context.sni_callback = self._named
            if "ask" in options:
                context.verify_mode = ssl.CERT_OPTIONAL
                context.load_verify_locations(cadata=certificate(options["ask"]))
                context.post_handshake_auth = bool(options.get("later"))
        else:
            context.check_hostname = bool(options.get("name", "localhost"))
            context.load_verify_locations(cadata=certificate("authority"))
        if shown := options.get("certificate", "localhost" if server_side else None):
            context.load_cert_chain(certificate_path(shown))
        if "alpn" in options:
            context.set_alpn_protocols(options["alpn"])
        if "version" in options:
            context.minimum_version = context.maximum_version = _VERSIONS[options["version"]]
        return context

    def _named(self, ssl_object: Any, name: str | None, context: ssl.SSLContext) -> None:
        self.names[id(ssl_object)] = name


class SecureStream:
    """A stream as those in :mod:`.peers`, with TLS on it."""

    def __init__(
        self,
        contexts: Contexts,
        stream: Any,
        context: ssl.SSLContext,
        name: str | None,
        *,
        server_side: bool,
        in_bytes: bool,
    ) -> None:
        self._contexts = contexts
        self._stream = stream
        self._in_bytes = in_bytes
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)

    async def _flush(self) -> bool:
        data = self._outgoing.read()
        size = PIECE if self._in_bytes else len(data)
        for at in range(0, len(data), size or 1):
            if not await settle(self._stream.send(data[at : at + size])):
                return False
        return True

    async def _step(self, call: Any) -> Any:
        """Carry out a call of the TLS object that may want input. None if no input comes."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError:
                await self._flush()  # the alert
                raise
            data = await settle(self._stream.receive(65536))
            if data is None:
                return None
            if not data:
                raise RaggedEnd("a FIN came without close_notify")
            self._incoming.write(data)

    async def shake(self) -> bool:
        """Shake hands; False if nothing comes. Raises OSError."""

        def shake() -> bool:
            self._tls.do_handshake()
            return True

        done = bool(await self._step(shake))
        return done and await self._flush()

    async def ask(self) -> None:
        """Ask for the client's certificate, after the handshake."""
        self._tls.verify_client_post_handshake()
        self._tls.do_handshake()
        await self._flush()

    def agreed(self, what: str) -> Any:
        """What was agreed upon: ``alpn``, ``resumed``, ``server_name``, ``version``, ``client`` (whose certificate)."""
        if what == "alpn":
            return self._tls.selected_alpn_protocol()
        if what == "resumed":
            return bool(self._tls.session_reused)
        if what == "server_name":
            return self._contexts.names.get(id(self._tls))
        if what == "version":
            return self._tls.version()
        if what == "client":
            subject: Any = (self._tls.getpeercert() or {}).get("subject", ())
            return dict(pair[0] for pair in subject).get("commonName")
        raise ValueError(f"nothing of TLS is called {what!r}")

    async def send(self, data: bytes) -> bool:
        """Send it all; False if the other side is gone."""
        try:
            self._tls.write(data)
        except ssl.SSLError:
            return False
        return await self._flush()

    async def receive(self, most: int) -> bytes | None:
        """Some bytes; ``b""`` after close_notify and FIN; None if nothing comes. Raises OSError, RaggedEnd."""
        try:
            data: bytes | None = await self._step(lambda: self._tls.read(most))
        except ssl.SSLZeroReturnError:
            data = b""
        if data == b"":
            data = await settle(self._stream.receive(1))
        return data

    def drain(self) -> bytes:
        """What else has come, for the report of a failure."""
        try:
            return self._tls.read(65536)
        except ssl.SSLError:
            return b""

    async def goodbye(self) -> None:
        """Send close_notify."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # the answer is of no interest
        await self._flush()

    async def send_eof(self) -> None:
        """close_notify, then FIN."""
        await self.goodbye()
        await settle(self._stream.send_eof())

    @property
    def _bottom(self) -> Any:
        below = self._stream
        while isinstance(below, SecureStream):
            below = below._stream
        return below

    async def send_fin(self) -> None:
        """FIN, without close_notify."""
        await settle(self._bottom.send_eof())

    async def send_raw(self, data: bytes) -> None:
        """Send what is no TLS."""
        await settle(self._bottom.send(data))

    async def reset(self) -> None:
        """RST."""
        await settle(self._stream.reset())

    async def close(self) -> None:
        """close_notify, then close. Idempotent."""
        await self.goodbye()
        await settle(self._stream.close())
