"""What every test of this folder leaves behind is looked at: threads, descriptors, reports of dead threads.

(The last by pytest itself: what ``threading.excepthook`` is told is a warning, and warnings are errors.)
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

# The folder's name has a hyphen, so it cannot be a package: its helpers are found here.
sys.path.insert(0, str(Path(__file__).parent))

from sync_kit import Certificates, descriptors, until

from anywire.sync import _sleep


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    threads = set(threading.enumerate())
    gc.collect()
    before = descriptors()
    yield
    until(lambda: set(threading.enumerate()) <= threads)
    gc.collect()
    # Some sleepers are kept for the next one who sleeps.
    kept = {fd for each in _sleep._free for fd in (each.reader, each._writer)}
    assert descriptors() - before - kept == set()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority and a server's certificate by it, as PEM text."""
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    return Certificates(
        ca=authority.cert_pem.bytes().decode(),
        cert="".join(each.bytes().decode() for each in server.cert_chain_pems),
        key=server.private_key_pem.bytes().decode(),
        folder=tmp_path_factory.mktemp("tls"),
    )
