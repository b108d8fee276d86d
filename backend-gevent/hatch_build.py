"""One version for all parts: the build hook of every distribution of this repository.

A part says in its pyproject.toml which other parts it needs; this hook sets its version from the VERSION file above the
part and pins the other parts to that same version, since they share private names. A source distribution carries the
result in PKG-INFO; then nothing is dynamic any more and it builds anywhere.

The parts cannot share one copy (a build may not reach outside its folder for code), so a test keeps the copies equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class OneVersion(MetadataHookInterface):
    """Sets ``version``, and ``dependencies`` if the table has ``parts``: those pinned, ``requires`` as written."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill in the dynamic fields of ``metadata`` in place.

        Raises:
            FileNotFoundError: no folder above the part has a VERSION file (the part was copied out of the repository).
        """
        home = next((folder for folder in Path(self.root).parents if (folder / "VERSION").is_file()), None)
        if home is None:
            raise FileNotFoundError(f"no VERSION file above {self.root}: build from a full checkout or from an sdist")
        version = (home / "VERSION").read_text(encoding="utf-8").strip()
        metadata["version"] = version
        parts = [f"{name}=={version}" for name in self.config.get("parts", [])]
        if parts:
            metadata["dependencies"] = [*parts, *self.config.get("requires", [])]
