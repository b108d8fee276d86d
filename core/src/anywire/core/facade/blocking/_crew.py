"""Crew: the threads of one listening server, the poller they share, and the monitor.

Everything that is polled is a *post*: a listening socket (:class:`Entrance`) or a connection
(:class:`Line`). A post is held by one thread, which has it alone until it gives it back, or by
none: then it is the poller's. So a connection that is idle, or in the middle of its TLS
handshake, holds no thread, and none is handed out twice.

The poller is told only of changes. While a post is held it stays in there, for most are given
back before anybody polls again. What is found nevertheless is taken out until then.

Who works, and how many, decides :class:`Roster`. The crew's lock is held around
decisions only; a pump's lock may be held when it is taken, never the other way round.

Threads, clocks and polling are the backend's; what is used of them is in :class:`Crewed`.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..._pump import FOREVER, NOBODY
from .._door import Door
from ._roster import TICK, Roster, Timers
from ._runtime import BlockingPump

if TYPE_CHECKING:
    from ._threads import CrewServer

__all__ = ["Crew", "CrewPump", "Crewed", "Line"]

REST = 10.0
"""Seconds after which a worker that nobody needs ends."""

NOT, WATCHED = -1, -2

STEP, END, CLOCK = range(3)
"""What to do with a post: go on; see whether the peer is gone; see what time it is."""


class CrewPump(BlockingPump, Protocol):
    """What a crew asks of a pump."""

    closed: bool
    post: Line | None
    """Is told of kicks, watchers and the end; None once the crew has nothing to do with it."""

    def interest(self) -> int:
        """What to poll for."""

    def take_in(self, events: int) -> None:
        """Read and send what `events` says can be."""

    def look(self, events: int) -> None:
        """Another thread has it, and what it is watched for happened: the peer has gone, or takes more."""


class Crewed(Protocol):
    """What a crew asks of its runtime, besides what any runtime has."""

    threading: ClassVar[Any]  # the module
    readable: ClassVar[int]  # the poller's bit for "can be read"
    pump_class: ClassVar[Any]

    def now(self) -> float:
        """Seconds, monotonic."""

    def cpu(self) -> float:
        """Seconds of processor time that the process has used."""

    def poller(self) -> Any:
        """A new poller.

        It has ``arm(fd, mask)``, which tells each time; ``watch(fd, mask)`` in its place, which tells once, also when
        the peer hangs up; ``forget(fd)``; ``poll(due) -> [(fd, events)]`` for one thread at a time; ``wake()`` and
        ``close()``.
        """

    def accept(self, listener: Any) -> Any:
        """See ``SocketConnector``."""

    def deafen(self, sock: Any, deaf: bool = True) -> None:
        """Have the kernel drop whatever asks to be connected to `sock`, or no more of that; where it can."""

    def report(self, message: str, error: BaseException) -> None:
        """See ``Runtime``."""


class Post:
    """Something that is polled. The attributes are under the crew's lock.

    Attributes:
        fd: the descriptor.
        mask: what it is polled for; :data:`NOT` at all; :data:`WATCHED` while it is held.
        held: the thread that has it; 0 for none, -1 for whoever comes first.
        kicked: look again when it is given back.
        clocked: its clock runs while it is held.
        armed: when its timer is set for.
        closed: it is over.
    """

    __slots__ = ("armed", "clocked", "closed", "crew", "fd", "held", "kicked", "mask")

    def __init__(self, crew: Crew, fd: int) -> None:
        self.crew = crew
        self.fd = fd
        self.mask = NOT
        self.held = 0
        self.kicked = False
        self.clocked = False
        self.closed = False
        self.armed = FOREVER

    def run(self, events: int) -> tuple[int, float] | None:
        """Go on; `events` are 0 if it is for time or a kick.

        Returns:
            What to poll for, and until when. None at the end.
        """
        raise NotImplementedError

    def abandon(self) -> None:
        """Nobody is left to run it."""
        raise NotImplementedError


class Entrance(Post):
    """A listening socket."""

    __slots__ = ("door",)

    def __init__(self, crew: Crew, sock: Any, shared: bool) -> None:
        super().__init__(crew, sock.fileno())
        self.door = _Door(self, sock, shared)

    def run(self, events: int) -> tuple[int, float] | None:
        """Accept."""
        crew, door = self.crew, self.door
        if not events:
            door.retry(door.due)
        door.knock()
        if door.closed:
            return None
        return (0, door.due) if door.paused else (crew.runtime.readable, FOREVER)

    def abandon(self) -> None:
        """It is closed already, unless it never came to accept."""
        self.door.close()


class _Door(Door):
    """One thread at a time lets in, by whichever door, so that none is let in beyond the limit; any may find room."""

    __slots__ = ("_lock", "_shared")

    def __init__(self, post: Entrance, sock: Any, shared: bool) -> None:
        crew = post.crew
        super().__init__(crew.runtime, crew.server, sock, partial(_admit, crew))
        self._lock = crew.door_lock
        self._shared = shared

    def knock(self, *_: Any) -> None:
        with self._lock:
            super().knock()

    def close(self) -> None:
        with self._lock:
            super().close()

    def deafen(self) -> None:
        if not self._shared:
            self._runtime.deafen(self.sock)

    def _welcome(self, sock: Any) -> None:
        if self.closed:  # it may have taken after its listener
            self._runtime.deafen(sock, False)
        super()._welcome(sock)


def _admit(crew: Crew, sock: Any) -> None:
    crew.admit(crew.runtime.pump_class(sock, NOBODY))


class Line(Post):
    """A connection."""

    __slots__ = ("connection", "pump")

    def __init__(self, crew: Crew, pump: CrewPump, connection: Any, fd: int) -> None:
        super().__init__(crew, fd)
        self.pump = pump
        self.connection = connection

    def run(self, events: int) -> tuple[int, float] | None:
        """Take in what came, and run exchanges until there is nothing more to do."""
        pump, crew = self.pump, self.crew
        try:
            pump.take_in(events)
            if not events:
                pump.feed.handle_deadline(crew.runtime.now())
        except BaseException as error:  # a listener's: it ends its own connection, and nothing else (SEC-40)
            crew.runtime.report("Error in a listener", error)
            pump.abort()
        if crew.server.step(self.connection):
            return pump.interest(), pump.feed.next_deadline(crew.runtime.now())
        if pump.post is self:  # else another connection has the transport by now (SRV-5)
            pump.post = None
        crew.forget(self)
        return None

    def abandon(self) -> None:
        """Close it."""
        self.crew.server.connections.discard(self.connection)
        self.pump.abort()

    def kick(self) -> None:
        """Somebody wants it to be looked at. Its own thread only wants its clock to run."""
        crew = self.crew
        mine = self.held == crew.runtime.threading.get_ident()
        deadline = self.pump.feed.next_deadline(crew.runtime.now()) if mine and not self.pump.closed else FOREVER
        crew.kicked(self, mine, deadline)

    def watch(self, mask: int) -> None:
        """Tell when the peer hangs up, or of what is in `mask`, though a handler has the connection."""
        self.crew.watch(self, mask)

    def end(self) -> None:
        """The descriptor is about to be closed."""
        self.closed = True
        self.crew.forget(self)


class Worker:
    """One thread. ``step``, ``seen`` and ``stuck`` are the roster's; ``gate`` is where it rests."""

    __slots__ = ("gate", "seen", "step", "stuck", "thread")

    def __init__(self, gate: Any) -> None:
        self.step = self.seen = 0
        self.stuck = False
        self.gate = gate
        self.gate.acquire()
        self.thread: Any = None


class Crew:
    """See the module docstring.

    Args:
        runtime: the backend's.
        server: whose connections these are.
        sockets: listening ones; they are closed by :meth:`close`.
        max_workers: most threads besides the monitor.
        shared: other processes may accept from these sockets, too.
    """

    def __init__(
        self, runtime: Crewed, server: CrewServer, sockets: list[Any], max_workers: int, shared: bool = False
    ) -> None:
        self.runtime = runtime
        self.server = server
        self._lock = runtime.threading.Lock()
        self.door_lock = runtime.threading.RLock()
        self._roster = Roster(max_workers)
        self._timers = Timers()
        self._poller = runtime.poller()
        self._posts: dict[int, Post] = {}
        self._ready: deque[tuple[Post, int, int]] = deque()
        self._workers: set[Worker] = set()
        self._resting: list[Worker] = []
        self._left: set[Any] = set()  # posts whose thread nobody waits for
        self._bell = runtime.threading.Lock()
        self._bell.acquire()
        self._asleep = False
        self._over = False
        self._entrances = [Entrance(self, sock, shared) for sock in sockets]
        for entrance in self._entrances:
            self.add(entrance)
        with self._lock:
            self._call_up()
        self._monitor = self._thread("anywire-monitor", self._oversee)
        server.crew = self

    def _thread(self, name: str, work: Any, *args: Any) -> Any:
        thread = self.runtime.threading.Thread(target=work, args=args, name=name, daemon=True)
        thread.start()
        return thread

    # ---------------------------------------------------------------- posts

    def admit(self, pump: Any) -> None:
        """A connection was accepted."""
        connection = self.server.admit(pump)
        if connection is not None:
            pump.post = line = Line(self, pump, connection, pump.sock.fileno())
            self.add(line, pump.feed.next_deadline(self.runtime.now()))
            if self.server.listener_count("connection"):
                line.kick()  # they are told now, and not when something arrives (SRV-4)

    def add(self, post: Post, deadline: float = FOREVER) -> None:
        """Poll for a new post."""
        with self._lock:
            self._posts[post.fd] = post
            self._arm(post, self.runtime.readable, deadline)

    def forget(self, post: Post) -> None:
        """Poll for it no more; its descriptor is about to be closed."""
        with self._lock:
            if self._knows(post):
                del self._posts[post.fd]
                self._hush(post)

    def _hush(self, post: Post) -> None:
        if post.mask != NOT:
            post.mask = NOT
            self._poller.forget(post.fd)

    def _knows(self, post: Post) -> bool:
        return self._posts.get(post.fd) is post

    def _arm(self, post: Post, mask: int, deadline: float) -> None:
        if mask != post.mask:
            post.mask = mask
            self._poller.arm(post.fd, mask)
        if deadline < post.armed:
            self._set_clock(post, deadline)

    def _set_clock(self, post: Post, deadline: float) -> None:
        if self._timers.arm(post, deadline) and self._roster.polling:
            self._poller.wake()

    def kicked(self, post: Post, mine: bool, deadline: float) -> None:
        """See :meth:`Line.kick`."""
        with self._lock:
            if mine and not post.closed:
                if deadline < FOREVER:
                    post.clocked = True
                    self._set_clock(post, deadline)
            elif post.held:
                post.kicked = True
            else:
                self._enqueue(post)
                if self._roster.polling:
                    self._poller.wake()
                elif self._roster.too_few(True):
                    self._call_up()

    def watch(self, post: Post, mask: int) -> None:
        """See :meth:`Line.watch`."""
        with self._lock:
            if post.held and self._knows(post):
                post.mask = WATCHED
                self._poller.watch(post.fd, mask)

    def _enqueue(self, post: Post, events: int = 0) -> None:
        post.held = -1
        self._ready.append((post, STEP, events))

    # ---------------------------------------------------------------- workers

    def _work(self, me: Worker) -> None:
        ident = self.runtime.threading.get_ident()
        post: Post | None = None
        wanted: tuple[int, float] | None = None
        while (job := self._next(me, post, wanted)) is not None:
            post, what, events = job
            wanted = None
            try:
                if what == STEP:
                    post.held = ident
                    wanted = post.run(events)
                elif isinstance(post, Line) and post.held:
                    if what == END:
                        post.pump.look(events)
                    else:
                        self._strike(post)
            except BaseException as error:
                self.runtime.report("Error in a worker", error)

    def _give_back(self, post: Post, mask: int, deadline: float) -> None:
        """A step left it with nothing to do but to wait. Under the lock."""
        post.clocked = False
        if post.kicked or post.closed:
            post.kicked = False
            self._enqueue(post)
        else:
            post.held = 0
            self._arm(post, mask, deadline)

    def _strike(self, post: Line) -> None:
        """Its timer ran out while a handler has it: too early, most often, for input moves the deadline (SRV-57)."""
        feed, now = post.pump.feed, self.runtime.now()
        feed.handle_deadline(now)
        deadline = feed.next_deadline(now)
        with self._lock:
            if post.held and post.clocked and not post.closed:
                self._set_clock(post, deadline)

    def _next(self, me: Worker, post: Post | None, wanted: tuple[int, float] | None) -> tuple[Post, int, int] | None:
        """The next job for this worker, which is through with `post`, if that is anything; None: go home."""
        roster, ready = self._roster, self._ready
        due = FOREVER
        while True:
            with self._lock:
                if self._over:
                    self._leave(me)
                    return None
                if post is not None:
                    if wanted is not None:
                        self._give_back(post, *wanted)
                    post = None
                    roster.ends(me)
                surplus = roster.surplus
                rests = surplus > 0 or (roster.polling and not ready)
                if rests:
                    roster.active -= 1
                    self._resting.append(me)
                elif ready:
                    job = ready.popleft()
                    me.step += 1
                    if surplus < 0 and roster.too_few(bool(ready)):
                        self._call_up()
                    if self._asleep:
                        self._ring()
                    return job
                else:
                    roster.polling = True
                    due = self._timers.next()
            if not rests:
                self._poll(due)
            elif not me.gate.acquire(timeout=REST):
                with self._lock:
                    if me in self._resting:
                        self._resting.remove(me)
                        self._leave(me)
                        return None
                me.gate.acquire()  # called up at the last moment

    def _leave(self, me: Worker) -> None:
        self._workers.discard(me)
        self._roster.total -= 1

    def _poll(self, due: float) -> None:
        found = self._poller.poll(due)
        with self._lock:
            self._roster.polling = False
            posts, ready = self._posts, self._ready
            for fd, events in found:
                post = posts.get(fd)
                if post is None:
                    continue
                if not post.held:
                    post.held = -1
                    ready.append((post, STEP, events))
                elif post.mask != WATCHED:
                    self._hush(post)  # until it is given back
                elif not events & self.runtime.readable:  # else it was found before it was watched
                    ready.append((post, END, events))
            for post in self._timers.due(self.runtime.now()):
                if not post.held and not post.closed:
                    self._enqueue(post)
                elif post.clocked:
                    self._ready.append((post, CLOCK, 0))

    def _call_up(self) -> None:
        """One more to work, if there is one. Under the lock."""
        roster = self._roster
        if self._resting:
            roster.active += 1
            self._resting.pop().gate.release()
        elif roster.total < roster.max_workers:
            worker = Worker(self.runtime.threading.Lock())
            try:
                worker.thread = self._thread("anywire-worker", self._work, worker)
            except RuntimeError as error:  # no more threads to be had
                self.runtime.report("Cannot start a worker", error)
                return
            roster.active += 1
            roster.total += 1
            self._workers.add(worker)

    # ---------------------------------------------------------------- the monitor

    def _ring(self) -> None:
        """Wake the monitor. Under the lock."""
        if self._asleep:
            self._asleep = False
            self._bell.release()

    def _oversee(self) -> None:
        runtime, roster = self.runtime, self._roster
        cpu, at = runtime.cpu(), runtime.now()
        watching = True
        while not self._over:
            self._bell.acquire(timeout=TICK if watching else -1)
            with self._lock:
                # Nobody looks whether anything waits: do it for them.
                look = not self._ready and not roster.polling and not self._over
                if look:
                    roster.polling = True
            if look:
                self._poll(0.0)
            cpu_before, cpu, at_before, at = cpu, runtime.cpu(), at, runtime.now()
            with self._lock:
                waiting = bool(self._ready)
                watching = roster.look(self._workers, waiting, cpu - cpu_before < 0.7 * (at - at_before))
                if roster.too_few(waiting):
                    self._call_up()
                self._asleep = not watching and not self._over

    # ---------------------------------------------------------------- the end

    def resume(self) -> None:
        """There may be room: accept again, if that was paused."""
        for entrance in self._entrances:
            if entrance.door.paused:
                entrance.door.resume()
                self.kicked(entrance, False, FOREVER)

    def close(self) -> None:
        """Accept no more, now."""
        with self._lock:
            for post in self._entrances:
                post.closed = True
                if self._knows(post):
                    del self._posts[post.fd]
                    self._hush(post)
        for post in self._entrances:
            post.door.close()

    def leave(self, post: Line | None) -> None:
        """Its handler does not return: do not wait for it."""
        self._left.add(post)

    def finish(self) -> None:
        """Every connection is gone: send the threads home and wait for them."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self.server.crew = None
            self._poller.wake()
            for worker in self._resting:
                worker.gate.release()
            self._resting.clear()
            self._ring()
            threads = [self._monitor, *(worker.thread for worker in self._workers)]
        spared = {self.runtime.threading.get_ident(), *(post.held for post in self._left if post is not None)}
        for thread in threads:
            if thread.ident not in spared:
                thread.join()
        # What was accepted, or stopped while somebody held it, at the last moment.
        for post in {*self._posts.values(), *(job[0] for job in self._ready)}:
            post.abandon()
        self._poller.close()

    def forked(self) -> None:
        """We are a child without these threads: the server is the parent's."""
        self._over = True
        self.server.connections.clear()
        self.server._listener = None
