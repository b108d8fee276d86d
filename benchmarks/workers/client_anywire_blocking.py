"""anywire's client on threads or gevent: ``client_anywire_blocking.py sync|gevent PORT``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from asking import answer, crowd_of
from crowds import measured

runtime, port = sys.argv[1], int(sys.argv[2])
http: Any = importlib.import_module(f"anywire.{runtime}.http")
URL = f"http://127.0.0.1:{port}/"


def measure(work: str, seconds: float) -> tuple[float, float]:
    with http.Agent(keep_alive=True, max_sockets=crowd_of(work)) as agent:

        def get() -> None:
            with http.get(URL, agent=agent) as res:
                res.read()

        def make() -> Callable[[], None]:
            return get

        return measured(work, seconds, make, greenlets=runtime == "gevent")


answer(measure)
