"""Driving a client's TLS handshake over a pump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._errors import tls_error
from ..._secure import shaken

if TYPE_CHECKING:
    from ..._secure import SecureFeed
    from ._client import Connecting

__all__ = ["handshake"]


def handshake(pump: Any, secure: SecureFeed, host: str, connecting: Connecting) -> None:
    """Shake hands with `host`, for as long as `connecting` may go on; on failure the transport is gone.

    Raises:
        CutShort: see :class:`Connecting`.
        TLSError: with an ``ssl.SSLError`` that says why as its cause; or the connection was lost.
    """
    secure.attach(pump)
    connecting.pump = pump
    try:
        connecting.check()
        secure.shake_hands()
        while secure.shaking:
            pump.wait(connecting.due)
            connecting.check()
    except BaseException:
        pump.abort()
        raise
    finally:
        connecting.pump = None
    connecting.check()
    if error := shaken(pump, secure):
        raise tls_error(error, host) from error
