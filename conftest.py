"""Settings for every test of the repository."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A deadline per example would make a slow machine fail a correct test; a failure prints what replays it.
settings.register_profile("anywire", deadline=None, print_blob=True)
settings.load_profile("anywire")

# What a shell without job control starts in the background ignores SIGINT, and so do its children: tests send them it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _light_heap() -> Iterator[None]:
    """Tests that look for leaks collect garbage after each test; what other modules left alive need not be walked."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
