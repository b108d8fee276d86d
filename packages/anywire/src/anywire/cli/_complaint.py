"""What cannot be done, said in one line."""

from __future__ import annotations

__all__ = ["FAILED", "INTERRUPTED", "OK", "USAGE", "Complaint"]

OK = 0
FAILED = 1
"""It was tried and did not work."""
USAGE = 2
"""It was not tried: the arguments cannot be meant."""
INTERRUPTED = 130
"""Ctrl-C before the work was done."""


class Complaint(Exception):
    """Ends the command with one line on stderr and no traceback.

    Args:
        text: what is wrong and what to do about it.
        status: exit status.
    """

    def __init__(self, text: str, status: int = FAILED) -> None:
        super().__init__(text)
        self.status = status
