"""How fast anywire is beside its peers: ``make bench``, or ``python -m bench`` with this folder's parent on the path.

:mod:`bench.work` says what a measurement is, :mod:`bench.bars` what is to be reached, :mod:`bench.report` writes both
down; none of them measures. :mod:`bench.catalogue` knows the servers, :mod:`bench.workers` the programs that do
something when asked, and one module for each group of measurements uses them.
"""

from __future__ import annotations
