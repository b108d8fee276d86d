"""Driving a TLS handshake over a pump."""

from __future__ import annotations

from typing import Any

from ..._pump import FOREVER

__all__ = ["handshake"]


async def handshake(pump: Any) -> None:
    """Shake hands over ``pump.secure``. The limit is the caller's; on failure the transport is gone.

    Raises:
        OSError: an ``ssl.SSLError`` that says why, or that the connection was lost.
    """
    secure = pump.secure
    try:
        secure.shake_hands()
        while not secure.established and secure.error is None:
            pump.flush()
            await pump.wait(FOREVER)
        pump.flush()  # the last words of a handshake, or the alert that says why not
        if secure.error is not None:
            raise secure.error
    except BaseException:
        pump.close()
        if pump.unsent:
            pump.abort()
        raise
