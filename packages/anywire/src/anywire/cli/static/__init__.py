"""A static file site, without a runtime: what to answer to a request, decided by plain calls.

:class:`Site` takes the parts of a request and gives an :class:`Answer` (status, fields, a body to be read piece by
piece) or an :class:`Upload` (a body to be written piece by piece). It reads the file system, and nothing else: no
sockets, no clock, no tasks, no threads. Whoever serves it, on whatever runtime, only moves bytes:

* ``_target``      request target → path segments, or a refusal
* ``_conditions``  validators, dates, ``If-*`` fields
* ``_ranges``      ``Range`` → byte positions, multipart bodies
* ``_digest``      ``Content-Digest`` fields
* ``_types``       file name → ``Content-Type``
* ``_listing``     a directory as a page
* ``_answer``      the body of an answer, in pieces
* ``_upload``      a body that becomes a file, whole or not at all
* ``_site``        all of it together
"""

from __future__ import annotations

from ._answer import PIECE, Answer, FileChanged, plain_answer
from ._digest import content_digest
from ._site import Answering, Site
from ._target import BadTarget, quote_path, split_target
from ._upload import Receiver, Upload, storage_answer

__all__ = [
    "PIECE",
    "Answer",
    "Answering",
    "BadTarget",
    "FileChanged",
    "Receiver",
    "Site",
    "Upload",
    "content_digest",
    "plain_answer",
    "quote_path",
    "split_target",
    "storage_answer",
]
