"""The adapter for the sim: a virtual clock and an in-memory network, peers included.

Nothing here takes time, times in event logs are exact, and the same seed gives the same transcript byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from . import sim
from .awaiting import Awaiting
from .backends import Backend
from .sim import Network, Parking, Wire, current

__all__ = ["Simulated", "on_sim"]

T = TypeVar("T")


def on_sim() -> Backend:
    """The backend that ships with this suite."""
    return Simulated()


class _Flag:
    def __init__(self) -> None:
        self._set = False
        self._parkings: list[Parking] = []

    def set(self) -> None:
        self._set = True
        for parking in self._parkings:
            parking.wake()

    async def wait(self) -> None:
        while not self._set:
            parking = Parking(current(), "a flag")
            self._parkings.append(parking)
            await parking


class _Task:
    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = current().spawn(work)
        self.cancel = self._task.cancel

    async def join(self) -> None:
        try:
            await self._task.join()
        except sim.Cancelled:
            if self._task.error is None:  # ours, not the task's
                raise


class Simulated(Awaiting):
    """See :class:`~.backends.Backend`.

    Attributes:
        seed: of everything that is random in the network.
    """

    virtual = True

    def __init__(self) -> None:
        super().__init__("anywire.conformance.sim", sim.http)
        self.seed = 0
        self.world = World()

    def run(self, scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `scenario` on a new kernel."""
        reports: list[tuple[str, BaseException]] = []
        try:
            result: T = sim.run(scenario, seed=self.seed, network=Network(), reports=reports)
            return result
        finally:
            self.reports = [f"{message}: {error!r}" for message, error in reports]

    def now(self) -> float:
        """Virtual seconds."""
        return sim.now()

    async def sleep(self, seconds: float) -> None:
        """Sleep, which takes no time."""
        await sim.sleep(seconds)

    async def duplex(self, port: int) -> Stream:
        """A connection to a peer that is no pump."""
        return Stream(await sim.dial(port))

    def flag(self) -> _Flag:
        """A flag of the kernel."""
        return _Flag()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> _Task:
        """A task."""
        return _Task(work())


class World:
    """Peers as tasks of the kernel. See ``peers.Threads`` for what each method is."""

    async def connect(self, port: int) -> Stream:
        """Connect to the application."""
        return Stream(await sim.dial(port))

    async def dial(self, port: int) -> Any:
        """Connect to a peer; what the application may return from ``create_connection``."""
        return await sim.reach(port)

    def listen(self) -> Accepting:
        """Be what the application connects to."""
        return Accepting()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]], done: Any) -> None:
        """Run `work` as a task."""

        async def body() -> None:
            try:
                await work()
            finally:
                done.set()

        current().spawn(body(), "peer")

    async def wait(self, signal: Any) -> bool:
        """Wait for a signal of the application."""
        await signal.flag.wait()
        return True

    async def sleep(self, seconds: float) -> None:
        """Sleep, which takes no time."""
        await sim.sleep(seconds)

    async def refused(self, port: int) -> bool:
        """Wait until connections are refused; False if they go on being accepted."""
        for _ in range(100):
            try:
                (await sim.dial(port)).close()
            except OSError:
                return True
            await sim.sleep(0.001)
        return False

    def pair(self) -> tuple[Stream, Any]:
        """Two ends of a connection that goes through no listener."""
        ours, theirs = current().network.pair()
        return Stream(Wire(ours)), theirs

    def path(self, name: str, *, there: bool = False) -> str:
        """A path; with `there`, one that is taken."""
        if there:
            current().network.listen(name)
        return name

    def clear(self) -> None:
        """A run is over."""


class Stream:
    """A connection of a peer. What was sent in one packet is received in one."""

    packets = True
    set_keep_alive: Callable[..., object]

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._buffer = b""

    async def send(self, data: bytes) -> bool:
        """Send it all; False if the other side is gone."""
        try:
            await self._wire.send(data)
        except ConnectionError:
            return False
        await sim.sleep(0)  # lets the application see each piece on its own
        return True

    async def receive(self, most: int) -> bytes | None:
        """Some bytes; ``b""`` after a FIN."""
        data = self._buffer or await self._wire.receive()
        self._buffer = data[most:]
        return data[:most]

    def drain(self) -> bytes:
        """What else has come."""
        return self._buffer

    def send_eof(self) -> None:
        """FIN."""
        self._wire.fin()

    def reset(self) -> None:
        """RST."""
        self._wire.rst()

    def close(self) -> None:
        """As a socket."""
        self._wire.close()


class Accepting:
    """A listening peer."""

    def __init__(self) -> None:
        network = current().network
        self.port: int = network.port()
        self._listener = network.listen(("127.0.0.1", self.port))
        self._listener.on_connection = self._arrived
        self._closing = False
        self._flag = _Flag()

    def _arrived(self) -> None:
        self._flag.set()

    async def accept(self) -> Stream | None:
        """The next connection; None once closed and all that came before was accepted."""
        while (pump := self._listener.accept()) is None:
            if self._closing:
                self._listener.stop()
                return None
            self._flag = _Flag()
            await self._flag.wait()
        return Stream(Wire(pump))

    def close(self) -> None:
        """Accept no more than what is there."""
        self._closing = True
        self._flag.set()
