"""anywire on threads: ``from anywire.sync import http, https``.

Calls block, and one Agent may be shared by all threads of a process.
"""

from __future__ import annotations

from . import http, https

__all__ = ["http", "https"]
