"""There is no TLS here: any name of this module says so."""

from __future__ import annotations

__all__: list[str] = []


def __getattr__(name: str) -> object:
    raise AttributeError(f"https.{name}: the sim has no TLS; use its http, or a real backend", name=name)
