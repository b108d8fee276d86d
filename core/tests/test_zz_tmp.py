from __future__ import annotations
from .harness import X
def test_x() -> None:
    assert X == 1
