"""Large bodies through clients that block: ``bulk_blocking.py sync|gevent|http.client|urllib3 PORT``.

Asked for ``down MIB`` or ``up MIB``. A body goes up in pieces of 64 KiB.
"""

from __future__ import annotations

import importlib
import itertools
import sys
from time import perf_counter
from typing import Any

from asking import answer

kind, port = sys.argv[1], int(sys.argv[2])
URL = f"http://127.0.0.1:{port}"
PIECE = bytes(65536)
ours = kind in ("sync", "gevent")
library: Any = importlib.import_module(f"anywire.{kind}.http" if ours else kind)


def anywire(work: str, size: int) -> int:
    if work == "down":
        with library.get(f"{URL}/down?size={size}") as res:
            return sum(map(len, res))
    req = library.request(f"{URL}/up", method="POST", headers={"Content-Length": size})
    for _ in range(size // len(PIECE)):
        req.write(PIECE)
    req.end()
    with req.response() as res:
        return int(res.read())


def http_client(work: str, size: int) -> int:
    connection = library.HTTPConnection("127.0.0.1", port)
    if work == "down":
        connection.request("GET", f"/down?size={size}")
        response, total = connection.getresponse(), 0
        while piece := response.read(len(PIECE)):
            total += len(piece)
        return total
    body = itertools.repeat(PIECE, size // len(PIECE))
    connection.request("POST", "/up", body=body, headers={"Content-Length": str(size)})
    return int(connection.getresponse().read())


def urllib3(work: str, size: int) -> int:
    pool = library.HTTPConnectionPool("127.0.0.1", port)
    if work == "down":
        response = pool.request("GET", f"/down?size={size}", preload_content=False)
        return sum(map(len, response.stream(len(PIECE))))
    body = itertools.repeat(PIECE, size // len(PIECE))
    return int(pool.request("POST", "/up", body=body, headers={"Content-Length": str(size)}).data)


def measure(work: str, mib: float) -> tuple[float, float]:
    size, began = int(mib) << 20, perf_counter()
    done = (anywire if ours else urllib3 if kind == "urllib3" else http_client)(work, size)
    if done != size:
        raise RuntimeError(f"{done} bytes instead of {size}")
    return mib, perf_counter() - began


answer(measure)
