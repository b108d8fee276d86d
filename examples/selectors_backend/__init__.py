"""A backend that is none of ours: anywire on an event loop of ``selectors``. docs/write-a-backend.md explains it.

from selectors_backend import http, run

async def main():
    async with http.get("http://127.0.0.1:8080/") as response:
        print(await response.read())

run(main())
"""

from __future__ import annotations

from . import http, https
from .loop import Cancelled, current_loop, run, sleep

__all__ = ["Cancelled", "current_loop", "http", "https", "run", "sleep"]
