"""anywire on trio: ``from anywire.trio import http, https``.

Structured as trio is: a server's tasks live in its ``async with`` block, a request has no
task of its own, and cancelling any call leaves nothing behind.
"""

from __future__ import annotations

from . import http, https

__all__ = ["http", "https"]
