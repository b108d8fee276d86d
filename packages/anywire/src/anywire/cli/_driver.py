"""What a backend brings to the command line, and what is made of it.

A *runtime* is a module ``on_<backend>`` beside this file with a class ``Runtime``: running, running side by side,
waiting for a signal, and little else. Its *colour* is a package, ``awaiting`` or ``blocking``, with all that is
written in terms of these, once for both backends of that colour. The blocking one is made from the awaiting one by
``tools/make_blocking.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ._options import ServeOptions
from .demo import Job, OriginOptions, Reporter, Result

__all__ = ["Driver"]


class Driver:
    """The command line on one backend.

    Args:
        runtime: see ``awaiting.Runtime`` and ``blocking.Runtime``.
    """

    def __init__(self, runtime: Any) -> None:
        self._runtime = runtime

    def serve(self, options: ServeOptions) -> None:
        """Serve ``options.site`` until SIGINT or SIGTERM, then close gracefully.

        Raises:
            Complaint: it cannot listen.
        """
        self._run(self._runtime.colour.serve, options.uvloop, options)

    def serve_demo(self, options: OriginOptions, ready: Callable[[int], None]) -> None:
        """The demo's server: call `ready` with the port, serve until SIGINT or SIGTERM, close."""
        self._run(self._runtime.colour.serve_demo, options.uvloop, options, ready)

    def run_demo(self, job: Job, result: Result, reporter: Reporter) -> None:
        """The demo's client: every exchange of the job, against a server in another process.

        What goes wrong in an exchange goes into ``result.errors``.
        """
        self._run(self._runtime.colour.run_demo, job.uvloop, job, result, reporter)

    def _run(self, work: Callable[..., Any], uvloop: bool, *arguments: Any) -> None:
        self._runtime.run(partial(work, self._runtime, *arguments), uvloop=uvloop)
