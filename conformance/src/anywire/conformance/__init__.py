"""One suite for every backend of anywire, as a library: no pytest needed."""

from __future__ import annotations
