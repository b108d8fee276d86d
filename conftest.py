"""Settings for every test of the repository."""

from __future__ import annotations

from hypothesis import settings

# A deadline per example would make a slow machine fail a correct test; a failure prints what replays it.
settings.register_profile("anywire", deadline=None, print_blob=True)
settings.load_profile("anywire")
