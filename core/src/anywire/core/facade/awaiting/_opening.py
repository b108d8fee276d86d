"""How a connection is opened: the steps of ``Connect`` that take time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._client_connection import ClientConnection
from ..._limits import Limits
from ..._plans import Race
from ..._pump import FOREVER
from .._client import handshake
from .._connect import Connect, connect_error, ready
from ._duplex import settle
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..._timings import Opening
    from ._runtime import Runtime

__all__ = ["connect", "open_socket", "reach", "shake_hands"]


async def connect(runtime: Runtime, wanted: dict[str, Any], opening: Opening | None = None) -> Any:
    """Connect to what is `wanted`. Returns the handle. Raises ConnectError."""
    with Connect(runtime, wanted, opening) as plan:
        while (step := plan.step) is not None:
            try:
                if isinstance(step, Race):
                    answer: Any = await runtime.race(step.handles, step.seconds)
                else:
                    answer = await runtime.resolve(step.host, step.port, step.family, step.lookup)
            except OSError as error:
                plan.throw(error)
            else:
                plan.send(answer)
    return plan.winner


async def reach(request: Any, connection: ClientConnection, opening: Opening) -> None:
    """Resolve and connect for `request`: `connection` has its pump then. Raises ConnectError."""
    wanted, create = request._how_to_connect(connection, opening)
    try:
        if create is None:
            handle = await connect(request._runtime, wanted, opening)
        else:
            handle = request._handle(await settle(create(wanted)), connection)
        connection.pump = ready(handle, connection) or await request._runtime.open(handle, connection)
    except OSError as error:
        raise connect_error(error, wanted) from error


async def shake_hands(request: Any, connection: ClientConnection, opening: Opening) -> None:
    """Speak TLS over it from here on. Raises TLSError."""
    with handshake(connection, opening) as (pump, secure):
        while secure.shaking:
            await pump.wait(FOREVER)


async def open_socket(runtime: Runtime, wanted: Mapping[str, Any]) -> Socket:
    """Connect to what is `wanted`, and speak no HTTP there yet. Raises ConnectError."""
    connection = ClientConnection(Limits(), make_socket=Socket)
    handle = await connect(runtime, dict(wanted))
    connection.pump = ready(handle, connection) or await runtime.open(handle, connection)
    return Socket(connection)._detach()
