"""The one place for the process-wide settings of MOD-9 and MOD-10.

The core does not read the environment; a backend that is imported first hands it in.
"""

from __future__ import annotations

from collections.abc import Mapping

from ._server_options import ProcessSettings, process_settings

__all__ = ["SETTINGS", "configure"]

SETTINGS = ProcessSettings()
"""Defaults for every server and request that does not say otherwise."""


def configure(environ: Mapping[str, str]) -> None:
    """Take the settings from environment variables; see :func:`process_settings`."""
    made = process_settings(environ)
    SETTINGS.max_header_size = made.max_header_size
    SETTINGS.insecure_http_parser = made.insecure_http_parser
    SETTINGS._warned = False
