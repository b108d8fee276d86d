"""The command line on any runtime of the awaiting colour: what waits, and nothing else."""

from __future__ import annotations

from ._demo_client import run_demo
from ._demo_server import serve_demo
from ._runtime import Peer, Runtime, Work
from ._serve import serve

__all__ = ["Peer", "Runtime", "Work", "run_demo", "serve", "serve_demo"]
