"""How a connection is opened: the steps of ``Connect`` that take time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._client_connection import ClientConnection
from ..._limits import Limits
from ..._plans import Race
from .._connect import Connect, ready
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._runtime import Runtime

__all__ = ["connect", "open_socket"]


async def connect(runtime: Runtime, wanted: dict[str, Any]) -> Any:
    """Connect to what is `wanted`. Returns the handle. Raises ConnectError."""
    with Connect(runtime, wanted) as plan:
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


async def open_socket(runtime: Runtime, wanted: Mapping[str, Any]) -> Socket:
    """Connect to what is `wanted`, and speak no HTTP there yet. Raises ConnectError."""
    connection = ClientConnection(Limits(), make_socket=Socket)
    handle = await connect(runtime, dict(wanted))
    connection.pump = ready(handle, connection) or await runtime.open(handle, connection)
    return Socket(connection)._detach()
