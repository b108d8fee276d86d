"""Driving a client's TLS handshake over a pump."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._errors import tls_error
from ..._pump import FOREVER
from ..._secure import shaken

if TYPE_CHECKING:
    from ..._secure import SecureFeed

__all__ = ["handshake"]


async def handshake(pump: Any, secure: SecureFeed, host: str) -> None:
    """Shake hands with `host`. The limit is the caller's; on failure the transport is gone.

    Raises:
        TLSError: with an ``ssl.SSLError`` that says why as its cause; or the connection was lost.
    """
    secure.attach(pump)
    try:
        secure.shake_hands()
        while secure.shaking:
            await pump.wait(FOREVER)
    except BaseException:
        pump.abort()
        raise
    if error := shaken(pump, secure):
        raise tls_error(error, host) from error
