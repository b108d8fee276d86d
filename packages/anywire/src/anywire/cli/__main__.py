"""``python -m anywire.cli``."""

from __future__ import annotations

import sys

from anywire.cli import main

sys.exit(main())
