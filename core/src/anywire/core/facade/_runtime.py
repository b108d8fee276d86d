"""What both facades ask of a runtime: everything that never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .. import _pump

if TYPE_CHECKING:
    from .._plans import Address

__all__ = ["Listener", "Pump", "Runtime"]


class Pump(_pump.Pump, Protocol):
    """A pump, as far as it does not wait."""

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Enable TCP keep-alive probes after `delay` seconds of silence (ASK-22); None disables them."""

    def watch(self) -> None:
        """Somebody listens for the end of this exchange: notice the peer's while nobody waits (SRV-25).

        Does nothing where input is always watched for.
        """


class Listener(Protocol):
    """A listening socket, or several."""

    def address(self) -> tuple[str, int] | str | None:
        """What it is bound to: ``(host, port)``, a path, or None once closed."""

    def stop(self) -> None:
        """Accept no more, now, but let in who has been waiting (ASK-47). Connections go on."""

    def resume(self) -> None:
        """A connection has gone, or the limit was raised: accept again, if that was paused.

        Accepting pauses while ``server.full`` (ASK-44), and for want of a descriptor.
        """

    def finish(self) -> None:
        """The last connection is gone: leave nothing running."""


class Runtime(Protocol):
    """Everything a facade needs that a core must not have.

    Attributes:
        ssl, tempfile: the modules.
    """

    @property
    def ssl(self) -> Any: ...

    @property
    def tempfile(self) -> Any: ...

    def now(self) -> float:
        """Seconds on a monotonic clock; the one all deadlines are on."""

    def report(self, message: str, error: BaseException) -> None:
        """Tell whoever looks after this loop or process about an error that nobody waits for."""

    def attempt(self, address: Address, local_address: str | None) -> Any:
        """Start connecting, without waiting. Returns a handle; raises OSError."""

    def discard(self, handle: Any) -> None:
        """Close a handle, now."""

    def adopt(self, candidate: Any) -> Any:
        """What ``create_connection`` returned (a connected ``socket.socket``, …) as a handle."""

    def inject(self, server: Any, handle: Any) -> None:
        """Serve a handle as if it had been accepted: ``server.admit(pump)``, now or soon (SRV-5).

        Args:
            server: whose it is; it may be listening or not.
            handle: from :meth:`adopt`, or the pump of an upgraded connection.
        """
