"""anywire on gevent: ``from anywire.gevent import http, https``.

Nothing is patched, and nothing has to be: it works with ``gevent.monkey`` and without.
"""

from __future__ import annotations

from . import http, https

__all__ = ["http", "https"]
