"""How much a peer may send before we stop listening to it.

Every limit is on by default, is counted in raw bytes as received (WIR-97
decision), and strikes at the same byte however the input was cut into pieces
(SEC-29). Precedents stand next to each number.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(slots=True)
class Limits:
    """Limits of one connection, both directions of use (server reading requests, client reading responses).

    The values are read when the connection is made; later changes affect new connections (SRV-43).
    """

    max_header_size: int = 16384
    """Bytes of one message head: leading empty lines, start line, fields, separators, final empty line (MOD-7, WIR-95).
    More is ``HPE_HEADER_OVERFLOW``, 431."""

    max_headers_count: int = 2000
    """Fields of one head, and again of one trailer section; 0 or less = no limit (SRV-41, CLI-30; 2000 is what Node's
    page promises). More is ``HPE_HEADER_OVERFLOW``, never a silent drop."""

    max_trailer_size: int = 16384
    """Bytes of one trailer section, final empty line included (WIR-100). More is ``HPE_HEADER_OVERFLOW``, 431."""

    max_chunk_extension_size: int = 16384
    """Bytes between chunk size and line end, summed over one message (WIR-72, SEC-10; Node 18 has the same number).
    More is ``HPE_CHUNK_EXTENSIONS_OVERFLOW``, 413."""

    max_buffered: int = 65536
    """Bytes read ahead of what the application took before reading pauses (MSG-27, SRV-14): one usual socket read."""

    max_drain: int = 262144
    """Bytes of an unread request body read and thrown away after the response ended, so that the connection can be
    used again; a longer rest closes it (MSG-28, MSG-29; nginx's lingering close and Go's 256 KiB)."""

    max_informational: int = 100
    """1xx responses before the final one of an exchange (SEC-24; CPython's http.client has the same number)."""
