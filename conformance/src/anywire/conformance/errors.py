"""What can go wrong with the suite itself, as opposed to what it tests."""

from __future__ import annotations

__all__ = ["ScenarioError", "UsageError"]


class ScenarioError(Exception):
    """A scenario cannot be carried out as it is written, or did not come to its end."""


class UsageError(Exception):
    """The command or the library was asked for something that is not there; the message says what is."""
