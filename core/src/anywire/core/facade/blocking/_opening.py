"""How a connection is opened: the steps of ``Connect`` that take time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._client_connection import ClientConnection
from ..._limits import Limits
from ..._plans import Race
from .._client import handshake
from .._connect import Connect, Connecting, Wanted, connect_error, ready
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..._timings import Opening
    from ._runtime import Runtime

__all__ = ["connect", "open_socket", "reach", "shake_hands"]


def connect(runtime: Runtime, wanted: dict[str, Any], connecting: Connecting, opening: Opening | None = None) -> Any:
    """Connect to what is `wanted`. Returns the handle. Raises ConnectError, CutShort."""
    with Connect(runtime, wanted, opening) as plan:
        while (step := plan.step) is not None:
            try:
                if isinstance(step, Race):
                    answer: Any = runtime.race(step.handles, step.seconds, connecting)
                else:
                    answer = runtime.resolve(step.host, step.port, step.family, step.lookup, connecting)
            except OSError as error:
                plan.throw(error)
            else:
                plan.send(answer)
    return plan.winner


def reach(request: Any, connection: ClientConnection, connecting: Connecting, opening: Opening) -> None:
    """Resolve and connect for `request`: `connection` has its pump then. Raises ConnectError, CutShort."""
    wanted, create = request._how_to_connect(connection, opening)
    try:
        if create is None:
            handle = connect(request._runtime, wanted, connecting, opening)
        else:
            handle = request._handle(create(Wanted(wanted, connecting)), connection)
        connection.pump = ready(handle, connection) or request._runtime.open(handle, connection)
    except OSError as error:
        raise connect_error(error, wanted) from error


def shake_hands(connection: ClientConnection, connecting: Connecting, opening: Opening) -> None:
    """Speak TLS over it from here on. Raises TLSError, CutShort."""
    with handshake(connection, opening) as (pump, secure), connecting.waiting_on(pump):
        while secure.shaking:
            pump.wait(connecting.due)
            connecting.check()


def open_socket(runtime: Runtime, wanted: Mapping[str, Any]) -> Socket:
    """Connect to what is `wanted`, and speak no HTTP there yet. Raises ConnectError, CutShort."""
    connection = ClientConnection(Limits(), make_socket=Socket)
    handle = connect(runtime, dict(wanted), Connecting.of(wanted, runtime))
    connection.pump = ready(handle, connection) or runtime.open(handle, connection)
    return Socket(connection)._detach()
