"""The network: byte streams between pumps, with everything that can happen to them on the way.

Each direction of a connection is a :class:`Pipe`. It decides when bytes are *sent* how
they will arrive: in which pieces, when, and what fault strikes between which two bytes;
the rest is timers. What arrives is noted in ``Network.transcript``.

Like a kernel's: at most ``buffer`` bytes of one direction are accepted before the
receiver reads, so senders block; a listener completes handshakes up to its backlog
whether or not anybody accepts; a connect that nobody answers fails in the end.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from anywire.core import FOREVER

from ._pump import Pump

if TYPE_CHECKING:
    from ._kernel import Kernel

__all__ = ["Entry", "Fault", "Faults", "Listener", "Network", "Pipe"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What strikes one direction of a connection behind its first `at` bytes.

    Attributes:
        kind: ``"rst"``: both ends are reset. ``"fin"``: the stream ends here, and what follows is lost.
            ``"stall"``: what follows is `seconds` late.
        at: bytes that still get through.
        seconds: of a stall; ``inf`` for ever.
    """

    kind: str
    at: int = 0
    seconds: float = FOREVER


@dataclass
class Faults:
    """What goes wrong, by number of the connection (from 0, in the order of connecting).

    Override the methods for faults that are made up as they are asked for.

    Attributes:
        connects: ``"refuse"`` or ``"drop"`` (the connect is never answered).
        streams: faults of ``(number, ">")``, from who connected, and ``(number, "<")``, to it.
    """

    connects: dict[int, str] = field(default_factory=dict)
    streams: dict[tuple[int, str], Sequence[Fault]] = field(default_factory=dict)

    def connect(self, number: int) -> str:
        """What happens to the attempt: ``"refuse"``, ``"drop"`` or ``""``."""
        return self.connects.get(number, "")

    def stream(self, number: int, arrow: str) -> Sequence[Fault]:
        """What happens to one direction, in order of ``at``."""
        return self.streams.get((number, arrow), ())


class Entry(NamedTuple):
    """One line of the transcript: when what arrived. `arrow` is ``">"`` towards who listens."""

    time: float
    number: int
    arrow: str
    what: str
    data: bytes = b""

    def __str__(self) -> str:
        return f"{self.time:.6f} #{self.number} {self.arrow} {self.what} {self.data!r}".removesuffix(" b''")


class Pipe:
    """One direction of a connection. ``unread`` counts the bytes sent that the receiver has not read."""

    def __init__(self, network: Network, source: Pump, target: Pump, arrow: str) -> None:
        self._network = network
        self._at = network.kernel.now
        self._faults = deque(network.faults.stream(source.number, arrow))
        self._number, self._arrow = source.number, arrow
        self._sent = 0
        self._over = ""
        self._source, self._target = source, target
        self.unread = 0
        self._strike()

    @property
    def room(self) -> int:
        """How much more may be sent."""
        return self._network.buffer - self.unread

    def put(self, data: bytes) -> None:
        """Send."""
        self.unread += len(data)
        while data and not self._over:
            size = self._network.piece(len(data))
            if self._faults:
                size = min(size, self._faults[0].at - self._sent)
            self._sent += size
            self._later(self._target, "data", data[:size])
            data = data[size:]
            self._strike()

    def took(self, size: int) -> None:
        """The receiver read."""
        self.unread -= size
        self._network.kernel.soon(self._source.transmit)

    def end(self, what: str) -> None:
        """``"fin"`` or ``"rst"`` behind what was sent."""
        if not self._over or (what == "rst" and self._over == "fin"):
            self._over = what
            self._later(self._target, what)

    def _strike(self) -> None:
        while self._faults and self._faults[0].at <= self._sent:
            fault = self._faults.popleft()
            if fault.kind == "stall":
                self._at = max(self._at, self._network.kernel.now) + fault.seconds
            elif not self._over:
                self.end(fault.kind)
                self._over = "cut"
                if fault.kind == "rst":
                    self._later(self._source, "rst")

    def _later(self, target: Pump, what: str, data: bytes = b"") -> None:
        network = self._network
        self._at = max(self._at, network.kernel.now + network.delay()) + len(data) / network.bandwidth
        if self._at < FOREVER:
            network.kernel.at(self._at, partial(self._arrive, target, what, data))

    def _arrive(self, target: Pump, what: str, data: bytes) -> None:
        self._network.note(self._number, self._arrow if target is self._target else "!", what, data)
        target.arrive(what, data)


class Listener:
    """Accepts connections, up to `backlog` of them before anybody asks for them.

    Attributes:
        on_connection: called soon after :meth:`accept` has something to give.
    """

    def __init__(self, network: Network, name: Any, backlog: int) -> None:
        self._network = network
        self._backlog = backlog
        self._knocking: deque[Pump] = deque()
        self._queue: deque[Pump] = deque()
        self.name = name
        self.on_connection: Callable[[], None] | None = None

    def getsockname(self) -> Any:
        """Where it listens: ``(host, port)``, or a path."""
        return (self.name[0] or "::", self.name[1]) if isinstance(self.name, tuple) else self.name

    def accept(self) -> Pump | None:
        """The next connection, or None."""
        made = self._queue.popleft() if self._queue else None
        self._complete()
        return made

    def watch(self, call: Callable[[], None] | None) -> None:
        """Call it soon for each that waits, and for each that comes; None ends it."""
        self.on_connection = call
        if call is not None:
            for _each in self._queue:
                self._network.kernel.soon(call)

    def knock(self, client: Pump) -> None:
        """Somebody connects."""
        self._knocking.append(client)
        self._complete()

    def _complete(self) -> None:
        network = self._network
        while self._knocking and len(self._queue) < self._backlog:
            client = self._knocking.popleft()
            if client.closed:
                continue
            server = Pump(network.kernel, client.number, client.info("peername"), client.info("sockname"))
            network.note(client.number, ">", "open")
            self._queue.append(server)
            client.join(Pipe(network, client, server, ">"), server, Pipe(network, server, client, "<"))
            network.later(partial(client.decided, None))
            if self.on_connection is not None:
                network.kernel.soon(self.on_connection)

    def stop(self) -> None:
        """Accept no more; who was not accepted yet is reset."""
        if self._network.listeners.pop(self.name, None) is not None:
            self._knocking.clear()
            while (pump := self.accept()) is not None:
                pump.abort("rst")

    close = stop
    """What sockets call it."""


@dataclass
class Network:
    """A network for one run at a time; running with it again begins anew.

    Attributes:
        latency: seconds from end to end, or the bounds between which each piece's is chosen.
        pieces: 0: what is sent at once arrives at once; 1: byte by byte; n: in pieces of 1 to n bytes.
        buffer: bytes of one direction accepted before the receiver reads.
        bandwidth: bytes per second and direction.
        reset_discards: a reset destroys what arrived before it and was not read yet (RFC 9112 section 9.6).
        hosts: name → addresses. Addresses themselves, and ``localhost``, are known.
        silent: addresses where nobody ever answers.
        connect_timeout: seconds after which a connect that nobody answers fails with ``ETIMEDOUT``.
        faults: what goes wrong.
        transcript: what arrived, in order.
        listeners: by ``(host, port)``, ``(None, port)`` for every host, or path.
    """

    latency: float | tuple[float, float] = 0.0
    pieces: int = 0
    buffer: int = 65536
    bandwidth: float = FOREVER
    reset_discards: bool = False
    hosts: dict[str, list[str]] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    connect_timeout: float = 130.0
    faults: Faults = field(default_factory=Faults)
    kernel: Kernel = field(init=False)
    transcript: list[Entry] = field(init=False)
    listeners: dict[Any, Listener] = field(init=False)

    def begin(self, kernel: Kernel) -> None:
        """Empty, and of this run."""
        self.kernel, self.transcript, self.listeners = kernel, [], {}
        self._random = kernel.random("network")
        self._made = 0
        self._ports = 40000

    def note(self, number: int, arrow: str, what: str, data: bytes = b"") -> None:
        """Add to the transcript."""
        self.transcript.append(Entry(self.kernel.now, number, arrow, what, data))

    def delay(self) -> float:
        """The latency of one piece."""
        return self._random.uniform(*self.latency) if isinstance(self.latency, tuple) else self.latency

    def piece(self, size: int) -> int:
        """How much of `size` bytes arrives first."""
        return min(size, 1 + int(self._random.random() * self.pieces)) if self.pieces else size

    def port(self) -> int:
        """A port that was never used."""
        self._ports += 1
        return self._ports

    def later(self, call: Callable[[], object]) -> None:
        """Call it after the latency of one piece."""
        self.kernel.at(self.kernel.now + self.delay(), call)

    def resolve(self, host: str) -> list[str]:
        """The addresses of a name. Raises OSError."""
        if host == "localhost" or host in self.hosts:
            return self.hosts.get(host) or ["127.0.0.1"]
        if ":" in host or host.replace(".", "").isdigit():
            return [host]
        raise OSError(-2, f"unknown name {host}")

    def listen(self, name: Any, backlog: int = 511) -> Listener:
        """Listen. Raises OSError."""
        if name in self.listeners:
            raise OSError(errno.EADDRINUSE, "address in use")
        made = self.listeners[name] = Listener(self, name, backlog)
        return made

    def pair(self) -> tuple[Pump, Pump]:
        """Two ends of a connection without addresses, like ``socket.socketpair()``."""
        ours, theirs = (Pump(self.kernel, self._made, "", "") for _ in range(2))
        self._made += 1
        ours.join(Pipe(self, ours, theirs, ">"), theirs, Pipe(self, theirs, ours, "<"))
        return ours, theirs

    def connect(self, name: Any, local_host: str | None = None) -> Pump:
        """Start connecting: ``connecting`` until decided, then ``error`` says why not."""
        made = Pump(self.kernel, self._made, (local_host or "127.0.0.1", self.port()), name)
        self._made += 1
        host, port = name if isinstance(name, tuple) else (None, None)

        def arrived() -> None:
            listener = self.listeners.get(name) or self.listeners.get((None, port))
            if listener is not None and fate != "refuse":
                listener.knock(made)
            else:
                code = errno.ENOENT if port is None else errno.ECONNREFUSED
                self.later(partial(made.decided, OSError(code, "nobody listens")))

        fate = "drop" if host in self.silent else self.faults.connect(made.number)
        if fate != "drop":
            self.later(arrived)
        made.connect(self.connect_timeout)
        return made
