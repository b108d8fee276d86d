from __future__ import annotations

import sys
from pathlib import Path

# `examples` and `core.tests` are found here.
sys.path.append(str(Path(__file__).parents[2]))
