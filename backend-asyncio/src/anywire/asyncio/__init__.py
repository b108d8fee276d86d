"""anywire on asyncio: ``from anywire.asyncio import http, https``.

Works on asyncio's own event loops and on uvloop; uvloop is used if you run it
(``uvloop.run(main())``), never behind your back.
"""

from __future__ import annotations

from . import http, https

__all__ = ["http", "https"]
