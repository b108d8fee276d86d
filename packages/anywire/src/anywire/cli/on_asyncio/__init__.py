"""The command line on asyncio: see :class:`anywire.cli._backends.Driver`."""

from __future__ import annotations

from ._demo_client import run_demo
from ._demo_server import serve_demo
from ._serve import serve

__all__ = ["run_demo", "serve", "serve_demo"]
