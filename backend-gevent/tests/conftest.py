"""What every gevent test leaves behind is looked at: greenlets and descriptors.

Nothing here imports gevent before a test of ``gevent_*.py`` does: the tests that run
those in children must not have a hub in their own process.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

# The folder's name has a hyphen, so it cannot be a package: its helpers are found here.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.node.path.name.startswith("gevent_"):
        yield
        return
    import gevent
    from gevent_kit import descriptors, until

    gevent.get_hub().resolver.getaddrinfo("localhost", 0)  # what gevent opens once is not a test's leak
    gc.collect()
    before = descriptors()
    yield

    def alive() -> list[Any]:
        # Not isinstance(): it asks lazy modules for their class, which imports them here and now.
        greenlets = [each for each in gc.get_objects() if issubclass(type(each), gevent.Greenlet)]
        return [each for each in greenlets if not each.dead]

    until(lambda: not alive())
    gc.collect()
    assert descriptors() - before == set()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A certificate authority and a server's certificate by it, as PEM text."""
    from gevent_kit import Certificates

    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    return Certificates(
        ca=authority.cert_pem.bytes().decode(),
        cert="".join(each.bytes().decode() for each in server.cert_chain_pems),
        key=server.private_key_pem.bytes().decode(),
        folder=tmp_path_factory.mktemp("tls"),
    )
