"""What both facades' servers share, asked of each: admission, and closing many where a listener raises."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from anywire.core._server_options import server_options
from anywire.core.facade import awaiting, blocking

from .harness import Clock, FakePump

FACADES = pytest.mark.parametrize("facade", [awaiting, blocking], ids=["awaiting", "blocking"])


class Runtime:
    """The parts of a runtime that such tests need."""

    ssl = tempfile = None

    def __init__(self) -> None:
        self.reported: list[BaseException] = []
        self.now = Clock()

    def report(self, message: str, error: BaseException) -> None:
        self.reported.append(error)


class Pump(FakePump):
    def watch(self) -> None: ...

    def set_tcp_keep_alive(self, delay: float | None) -> None: ...


def serving(facade: ModuleType, **options: Any) -> tuple[Any, Runtime]:
    """A server that listens, and its runtime."""
    runtime = Runtime()
    server = facade.Server(server_options(options), lambda: runtime, lambda: 0.0)
    server._listens(SimpleNamespace(stop=lambda: None), None)
    return server, runtime


def admitted(server: Any) -> tuple[Any, Pump]:
    pump = Pump(None, Clock())  # type: ignore[arg-type]  # admit() sets it
    return server.admit(pump), pump


@FACADES
def test_what_was_accepted_before_the_end_and_told_after_it_is_let_go_ASK_47(facade: ModuleType) -> None:
    """Nobody would ever close it."""
    server, _ = serving(facade)
    assert server._begin_close(None)
    connection, pump = admitted(server)  # still draining: it is answered, and its answer is its last
    assert connection is not None and not pump.aborted
    server._over(connection)
    assert not server.draining
    connection, pump = admitted(server)
    assert connection is None and pump.aborted
    assert not server.connections


@FACADES
def test_a_server_that_listens_again_admits_again(facade: ModuleType) -> None:
    server, _ = serving(facade)
    server._begin_close(None)
    server._check_closed()
    server._where(0, "127.0.0.1", *[None] * 4, False, False, False, None)
    connection, pump = admitted(server)
    assert connection is not None and not pump.aborted


@FACADES
def test_a_drop_listener_that_raises_keeps_no_transport_and_stops_no_accepting_SEC_40(facade: ModuleType) -> None:
    server, runtime = serving(facade, max_connections=1)

    def complain(info: Any) -> None:
        raise RuntimeError("of a listener")

    server.on("drop", complain)
    admitted(server)
    connection, pump = admitted(server)
    assert connection is None and pump.aborted and len(server.connections) == 1
    assert [str(error) for error in runtime.reported] == ["of a listener"]


@FACADES
@pytest.mark.parametrize("how", ["close_all_connections", "close_idle_connections", "_end_all"])
def test_a_close_listener_that_raises_spares_no_other_connection_SEC_40(facade: ModuleType, how: str) -> None:
    server, runtime = serving(facade)

    def complain() -> None:
        raise RuntimeError("of a listener")

    pumps = []
    for _ in range(3):
        connection, pump = admitted(server)
        server.socket_for(connection).on("close", complain)
        pumps.append(pump)
    getattr(server, how)()
    assert [pump.aborted for pump in pumps] == [True, True, True]
    assert [str(error) for error in runtime.reported] == ["of a listener"] * 3
