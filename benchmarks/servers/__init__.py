"""Servers to measure and to probe: the same five resources on anywire, its peers, and the bare sockets of each runtime.

========================== ==========================================================
``GET /``                  14 bytes, ``Hello, World!`` and a line end
``GET /chunks``            10 chunks of 1 KiB
``GET /down?size=N``       N bytes with Content-Length, in pieces of 64 KiB
``POST /echo``             the body that was sent, with its Content-Length
``POST /up``               the number of bytes that were sent, in decimal
========================== ==========================================================

Each program takes the port as its last argument. They are as short as their framework lets
them be: what is measured is the framework.
"""

from __future__ import annotations
