"""The network: byte streams between endpoints, with everything that can happen to them on the way.

:class:`Endpoint` is what a non-blocking socket is: ``recv``, ``send``, ``shutdown`` and
``close`` return at once, ``BlockingIOError`` says "not now", and two callbacks say when
to try again. Each direction of a connection is a :class:`Pipe`. It decides when bytes
are *sent* how they will arrive: in which pieces, when, and what fault strikes between
which two bytes; the rest is timers. What arrives is noted in ``Network.transcript``.

Like a kernel's: at most ``buffer`` bytes of one direction are accepted before the
receiver reads (so senders block); closing with unread input, or input after closing,
answers with a reset; who was reset can still read what had arrived, unless
``reset_discards``, which RFC 9112 section 9.6 warns of.
"""

from __future__ import annotations

import errno
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anywire.core.facade import Deadline

    from ._kernel import Kernel

__all__ = ["Endpoint", "Entry", "Fault", "Faults", "Listener", "Network"]

EVER = float("inf")


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
    seconds: float = EVER


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
        text = f"{self.time:.6f} #{self.number} {self.arrow} {self.what}"
        return f"{text} {self.data!r}" if self.data else text


class Pipe:
    """One direction of a connection."""

    __slots__ = ("_at", "_faults", "arrow", "number", "over", "sent", "source", "target", "unread", "_network")

    def __init__(self, network: Network, source: Endpoint, target: Endpoint, arrow: str) -> None:
        self._network = network
        self.source = source
        self.target = target
        self.arrow = arrow
        self.sent = 0
        self.unread = 0
        self.over = False
        self._at = 0.0
        self._faults = deque(network.faults.stream(source.number, arrow))
        self._strike()

    def put(self, data: bytes) -> None:
        """Send on its way what was accepted."""
        self.unread += len(data)
        while data and not self.over:
            size = self._network.piece(len(data))
            if self._faults:
                size = min(size, max(self._faults[0].at - self.sent, 1))
            self.sent += size
            self._later(partial(self.target.arrive, data[:size]), size)
            data = data[size:]
            self._strike()

    def end(self, what: str) -> None:
        """FIN or RST behind what was sent."""
        if not self.over:
            self.over = True
            self._later(partial(self.target.end, what))

    def _strike(self) -> None:
        while self._faults and self._faults[0].at <= self.sent and not self.over:
            fault = self._faults.popleft()
            if fault.kind == "stall":
                self._at = max(self._at, self._network.kernel.now) + fault.seconds
                continue
            self.end(fault.kind)
            if fault.kind == "rst":
                self._later(partial(self.source.end, "rst"))

    def _later(self, call: Callable[[], None], size: int = 0) -> None:
        network = self._network
        pace = size / network.bandwidth if network.bandwidth else 0.0
        self._at = max(self._at + pace, network.kernel.now + network.delay())
        if self._at < EVER:
            network.kernel.at(self._at, call)


class Endpoint:
    """One end of a connection, in the manner of a non-blocking socket.

    Attributes:
        number: of the connection.
        on_readable, on_writable: called soon after there is something to read, or room to write again.
        keep_alive: seconds given to TCP keep-alive, or None.
    """

    def __init__(self, network: Network, number: int, arrow: str, name: Any, peer: Any) -> None:
        self._network = network
        self._name = name
        self._peer = peer
        self._inbox: deque[bytes] = deque()
        self._wanting = False
        self.number = number
        self.arrow = arrow
        self.error: OSError | None = None
        self.fin = False
        self.shut = False
        self.closed = False
        self.connecting = False
        self.keep_alive: float | None = None
        self.timer: Deadline | None = None
        self.into: Pipe | None = None
        self.out: Pipe | None = None
        self.on_readable: Callable[[], None] | None = None
        self.on_writable: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"#{self.number} {self.arrow}"

    def getpeername(self) -> Any:
        """Its peer's address. Raises OSError once closed."""
        self._check()
        return self._peer

    def getsockname(self) -> Any:
        """Its own address. Raises OSError once closed."""
        self._check()
        return self._name

    def _check(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, "closed")

    @property
    def readable(self) -> bool:
        """Would :meth:`recv` say anything?"""
        return not self.closed and bool(self._inbox or self.fin or self.error)

    def recv(self, size: int) -> bytes:
        """One piece as it arrived, at most `size` of it; ``b""`` after FIN. Raises OSError."""
        self._check()
        if not self._inbox:
            if self.error is not None:
                raise self.error
            if self.fin:
                return b""
            raise BlockingIOError
        data = self._inbox.popleft()
        if len(data) > size:
            self._inbox.appendleft(data[size:])
        self._took(len(data[:size]))
        return data[:size]

    def send(self, data: bytes | memoryview) -> int:
        """How much of `data` was accepted. Raises OSError."""
        self._check()
        if self.error is not None:
            raise self.error
        if self.shut:
            raise BrokenPipeError(errno.EPIPE, "already shut down")
        out = self.out
        room = 0 if out is None else self._network.buffer - out.unread
        self._wanting = room < len(data)
        if room <= 0 or out is None:
            raise BlockingIOError
        out.put(bytes(data[:room]))
        return min(room, len(data))

    def shutdown(self, how: object = None) -> None:
        """FIN behind what was sent."""
        if not self.shut and self.out is not None:
            self.shut = True
            self.out.end("fin")

    def reset(self) -> None:
        """RST, and gone."""
        if not self.closed and self.out is not None:
            self.out.end("rst")
        self.closed = True

    def close(self) -> None:
        """Gone: a FIN, or a reset if something was not read."""
        self._network.kernel.forget(self.timer)
        if self._inbox and not self.error:
            self.reset()
        self.shutdown()
        self.closed = True

    # ---------------------------------------------------------------- what happens to it

    def _took(self, size: int) -> None:
        assert self.into is not None, "something arrived"
        self.into.unread -= size
        self.into.source.room()

    def room(self) -> None:
        """The peer read, or nobody ever will."""
        if self._wanting and self.on_writable is not None:
            self._wanting = False
            self._network.kernel.soon(self.on_writable)

    def arrive(self, data: bytes) -> None:
        """Bytes came through."""
        assert self.into is not None and self.out is not None, "connected"
        self._network.note(self, "data", data)
        if self.closed:
            self._took(len(data))
            self.out.over = False
            self.out.end("rst")
        elif self.error is None:
            self._inbox.append(data)
            self.changed()

    def end(self, what: str) -> None:
        """FIN or RST came through, or one of the network's own."""
        self._network.note(self, what)
        if what == "fin":
            self.fin = True
        elif self.error is None:
            self.error = ConnectionResetError(errno.ECONNRESET, "reset by peer")
            if self.out is not None:
                self.out.over = True
            if self._network.reset_discards:
                self._inbox.clear()
            self._wanting = True
            self.room()
        self.changed()

    def changed(self) -> None:
        """Whoever looks after it should look."""
        if self.on_readable is not None and not self.closed:
            self._network.kernel.soon(self.on_readable)

    def decided(self, error: OSError | None) -> None:
        """The connect succeeded or failed."""
        if self.connecting and not self.closed:
            self.connecting = False
            self.error = error
            self._network.kernel.forget(self.timer)
            self._wanting = True
            self.room()


class Listener:
    """A listening endpoint. Its accept queue holds `backlog` connections; who comes later waits for room."""

    def __init__(self, network: Network, name: Any, backlog: int) -> None:
        self._network = network
        self._backlog = max(backlog, 1)
        self._waiting: deque[Endpoint] = deque()
        self._queue: deque[Endpoint] = deque()
        self.name = name
        self.on_readable: Callable[[], None] | None = None

    def accept(self) -> Endpoint | None:
        """The next connection, or None."""
        if not self._queue:
            return None
        made = self._queue.popleft()
        while self._waiting and len(self._queue) < self._backlog:
            self.knock(self._waiting.popleft())
        return made

    def knock(self, client: Endpoint) -> None:
        """Somebody connects."""
        network = self._network
        if len(self._queue) >= self._backlog:
            self._waiting.append(client)
        elif not client.closed:
            server = Endpoint(network, client.number, "<", client._peer, client._name)
            network.note(server, "open")
            client.out = server.into = Pipe(network, client, server, ">")
            server.out = client.into = Pipe(network, server, client, "<")
            self._queue.append(server)
            network.kernel.at(network.kernel.now + network.delay(), partial(client.decided, None))
            if self.on_readable is not None:
                network.kernel.soon(self.on_readable)

    def stop(self) -> None:
        """Accept no more. Who was not accepted yet is reset."""
        self._network.listeners.pop(self.name, None)
        while (endpoint := self.accept()) is not None:
            endpoint.reset()


class Network:
    """A network for one run at a time; running with it again begins anew.

    Args:
        latency: seconds from end to end, or the bounds between which each piece's is chosen.
        pieces: 0: what is sent at once arrives at once; 1: byte by byte; n: in pieces of 1 to n bytes.
        buffer: bytes of one direction accepted before the receiver reads.
        bandwidth: bytes per second and direction; None for no limit.
        reset_discards: a reset destroys what had arrived and was not read yet.
        hosts: name → addresses. Addresses themselves, and ``localhost``, are known.
        silent: addresses where nobody ever answers.
        connect_timeout: seconds after which a connect that nobody answers fails with ``ETIMEDOUT``.
        faults: what goes wrong.

    Attributes:
        transcript: what arrived, in order.
        listeners: by name.
    """

    kernel: Kernel

    def __init__(
        self,
        *,
        latency: float | tuple[float, float] = 0.0,
        pieces: int = 0,
        buffer: int = 65536,
        bandwidth: float | None = None,
        reset_discards: bool = False,
        hosts: dict[str, list[str]] | None = None,
        silent: frozenset[str] = frozenset(),
        connect_timeout: float = 130.0,
        faults: Faults | None = None,
    ) -> None:
        self._latency = latency if isinstance(latency, tuple) else (latency, latency)
        self._pieces = pieces
        self.buffer = buffer
        self.bandwidth = bandwidth
        self.reset_discards = reset_discards
        self.hosts = {"localhost": ["127.0.0.1"], **(hosts or {})}
        self.silent = silent
        self.connect_timeout = connect_timeout
        self.faults = faults or Faults()

    def begin(self, kernel: Kernel) -> None:
        """Empty, and of this run."""
        self.kernel = kernel
        self._random = kernel.random("network")
        self.transcript: list[Entry] = []
        self.listeners: dict[Any, Listener] = {}
        self._made = 0
        self._free_port = 40000

    def note(self, endpoint: Endpoint, what: str, data: bytes = b"") -> None:
        """Add to the transcript what `endpoint` sees."""
        arrow = ">" if endpoint.arrow == "<" else "<"
        self.transcript.append(Entry(self.kernel.now, endpoint.number, arrow, what, data))

    def delay(self) -> float:
        """The latency of one piece."""
        low, high = self._latency
        return low if low == high else self._random.uniform(low, high)

    def piece(self, size: int) -> int:
        """How much of `size` bytes arrives first."""
        limit = self._pieces
        return size if not limit else 1 if limit == 1 else min(size, self._random.randint(1, limit))

    def port(self) -> int:
        """A port that was never used."""
        self._free_port += 1
        return self._free_port

    def resolve(self, host: str) -> list[str]:
        """The addresses of a name. Raises OSError."""
        if host in self.hosts:
            return self.hosts[host]
        if ":" in host or host.replace(".", "").isdigit():
            return [host]
        raise OSError(-2, f"unknown name {host}")

    def listen(self, name: Any, backlog: int = 511) -> Listener:
        """Listen at ``(host, port)``, ``(None, port)`` for every host, or a path. Raises OSError."""
        if name in self.listeners:
            raise OSError(errno.EADDRINUSE, "address in use")
        made = self.listeners[name] = Listener(self, name, backlog)
        return made

    def connect(self, name: Any, local_host: str | None = None) -> Endpoint:
        """Start connecting: ``connecting`` until decided, then ``error`` says why not."""
        kernel = self.kernel
        made = Endpoint(self, self._made, ">", (local_host or "127.0.0.1", self.port()), name)
        self._made += 1
        made.connecting = True
        fate = "drop" if isinstance(name, tuple) and name[0] in self.silent else self.faults.connect(made.number)

        def arrived() -> None:
            everywhere = (None, name[1]) if isinstance(name, tuple) else None
            listener = self.listeners.get(name) or self.listeners.get(everywhere)
            if fate == "refuse" or listener is None:
                refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
                if isinstance(name, str):
                    refused = FileNotFoundError(errno.ENOENT, "no such socket")
                kernel.at(kernel.now + self.delay(), partial(made.decided, refused))
            else:
                listener.knock(made)

        if fate != "drop":
            kernel.at(kernel.now + self.delay(), arrived)
        late = partial(made.decided, TimeoutError(errno.ETIMEDOUT, "nobody answers"))
        made.timer = kernel.at(kernel.now + self.connect_timeout, late)
        return made
