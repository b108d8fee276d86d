"""How a connection is opened: the steps of ``Connect`` that take time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._client_connection import ClientConnection
from ..._limits import Limits
from ..._plans import Race
from .._connect import Connect, Connecting, ready
from ._socket import Socket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._runtime import Runtime

__all__ = ["connect", "open_socket"]


def connect(runtime: Runtime, wanted: dict[str, Any], connecting: Connecting) -> Any:
    """Connect to what is `wanted`. Returns the handle. Raises ConnectError, CutShort."""
    with Connect(runtime, wanted) as plan:
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


def open_socket(runtime: Runtime, wanted: Mapping[str, Any]) -> Socket:
    """Connect to what is `wanted`, and speak no HTTP there yet. Raises ConnectError, CutShort."""
    connection = ClientConnection(Limits(), make_socket=Socket)
    handle = connect(runtime, dict(wanted), Connecting.of(wanted, runtime))
    connection.pump = ready(handle, connection) or runtime.open(handle, connection)
    return Socket(connection)._detach()
