"""Clients of others that block: ``client_peers_blocking.py KIND PORT``.

KIND is http.client, urllib3, requests (on threads) or geventhttpclient.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from asking import AT_ONCE, answer, crowd_of
from crowds import measured

kind, port = sys.argv[1], int(sys.argv[2])
library: Any = importlib.import_module(kind)
URL = f"http://127.0.0.1:{port}/"


def http_client() -> Callable[[], object]:
    """One connection for each thread: it has no pool."""
    connection = library.HTTPConnection("127.0.0.1", port)

    def get() -> None:
        connection.request("GET", "/")
        connection.getresponse().read()

    return get


def measure(work: str, seconds: float) -> tuple[float, float]:
    many = crowd_of(work)
    if kind == "http.client":
        return measured(work, seconds, http_client)
    if kind == "urllib3":
        pool = library.HTTPConnectionPool("127.0.0.1", port, maxsize=many)
        return measured(work, seconds, lambda: lambda: pool.request("GET", "/"))
    if kind == "requests":
        session = library.Session()
        session.trust_env = False
        session.mount("http://", library.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=many))
        return measured(work, seconds, lambda: lambda: session.get(URL))
    client = library.HTTPClient("127.0.0.1", port, concurrency=AT_ONCE)
    try:
        return measured(work, seconds, lambda: lambda: client.get("/").read(), greenlets=True)
    finally:
        client.close()


answer(measure)
