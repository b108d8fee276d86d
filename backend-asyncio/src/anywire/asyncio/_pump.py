"""The pump: an asyncio Protocol that feeds one connection and sleeps for whoever waits on it.

Waiting is a bare future, woken by whatever happens; the long-lived task of a server
connection is resumed by one ``set_result`` per request. There is one timer per pump,
armed only when a deadline is earlier than what is armed, so most exchanges touch none.

Two things here are not obvious:

* asyncio throws unread input away when a send fails, and with it the answer of a
  server that refused an upload and closed. ``connection_lost`` therefore reads the
  descriptor once more before the transport closes it (lost without: 22-76 of 300;
  with: 0 of 600).
* A transport that is closed after its loop ended raises from inside asyncio;
  :meth:`Pump.abort` must never raise, so it swallows that.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from anywire.core import FOREVER, HIGH_WATER_MARK, NOBODY
from anywire.core.facade import CLOSE_TIMEOUT, RESCUE, enable_keep_alive
from anywire.core.facade.awaiting import FAIRNESS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anywire.core import Feed

__all__ = ["Pump"]


class Pump(asyncio.Protocol):
    """See ``anywire.core.Pump`` for the contract."""

    __slots__ = (
        "_armed", "_context", "_eof", "_half_closed", "_loop", "_parked", "_paused", "_poll", "_refused", "_said",
        "_sock", "_step", "_task", "_timer", "_transport", "_unwanted", "_waiters", "blocked", "closed", "feed",
    )  # fmt: skip

    fairness = FAIRNESS

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._transport: Any = None  # asyncio's, from connection_made on
        self._unwanted = False  # aborted before that
        self._waiters: list[asyncio.Future[None]] = []
        self._parked: asyncio.Future[None] | None = None  # who waits in until()
        self._step: Callable[[], Any] | None = None  # what it gave
        self._said: Any = None  # by it
        self._task: Any = None
        self._context: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = FOREVER
        self._paused = False
        self._half_closed = False
        self._eof = False
        self._poll: Any = None
        self._refused = 0
        self.blocked = False
        self.closed = False
        self.feed: Feed = NOBODY

    # ---------------------------------------------------------------- asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        # Blocked from Node's high-water mark on, and not again until everything is out (RES-49).
        self._transport.set_write_buffer_limits(high=HIGH_WATER_MARK, low=0)
        if self._unwanted:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        feed = self.feed
        feed.receive_data(data)
        if self._step is not None:
            self._take_step(self._step)
            if self._waiters:
                self._wake()
        elif not self._wake():
            feed.notice()
        if not feed.want_read:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        self.feed.receive_eof()
        self._wake()  # first: what is noticed is told to listeners, and they may raise
        self.feed.notice()
        return True  # our side stays open

    def connection_lost(self, error: Exception | None) -> None:
        feed = self.feed
        self.closed = True
        self.blocked = False
        if error is not None:
            with suppress(OSError, ValueError):
                self._read(RESCUE)  # what the peer had said before our send failed
        feed.receive_lost(error if isinstance(error, OSError) else None)
        self._wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._armed = FOREVER
        feed.notice()

    def _read(self, left: int) -> None:
        """Read what asyncio does not know of yet, `left` bytes at most, or to the end. Raises OSError."""
        fd = self._transport.get_extra_info("socket").fileno()
        while left > 0 and (data := os.read(fd, min(left, 65536))):
            self.feed.receive_data(data)
            left -= len(data)

    def pause_writing(self) -> None:
        self.blocked = True

    def resume_writing(self) -> None:
        self.blocked = False
        self._wake()
        self.feed.flushed()

    # ---------------------------------------------------------------- waiting

    def _wake(self) -> bool:
        """Wake who waits; False if nobody does."""
        woken = False
        parked, self._parked = self._parked, None
        if parked is not None and not parked.done():
            parked.set_result(None)
            woken = True
        if self._waiters:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
                    woken = True
            self._waiters.clear()
        return woken

    def wait(self, due: float) -> Awaitable[None]:
        """Park until something happened, or until `due`; a checkpoint if that is past."""
        if due <= 0.0 or self.closed:
            return asyncio.sleep(0)
        waiter = self._park(due)
        if self._waiters:  # others, or waits that were cancelled
            self._waiters[:] = [each for each in self._waiters if not each.done()]
        self._waiters.append(waiter)
        return waiter

    def _park(self, due: float) -> asyncio.Future[None]:
        feed = self.feed
        loop = self._loop
        if self._paused and feed.want_read:
            self._paused = False
            self._transport.resume_reading()
        deadline = feed.next_deadline(loop.time())
        if due < deadline:
            deadline = due
        if deadline < self._armed:
            self._arm(deadline)
        return loop.create_future()

    async def until(self, step: Callable[[], Any]) -> Any:
        """Wait until `step`, taken whenever something happened, says anything but None; returns that.

        For input it is taken in the callback that brings it, in the name of this task, which so need not be woken for
        an exchange that waits for nothing. (By what asyncio documents for tasks of other makes; eager tasks of Python
        3.12 begin like that.)
        """
        self._task = task = asyncio.current_task()
        assert task is not None, "this runs in one"
        self._context = copy_context()
        try:
            while (said := self._said) is None:
                if self.closed:
                    await asyncio.sleep(0)
                else:
                    self._step = step
                    self._parked = self._park(FOREVER)
                    await self._parked
                    self._step = None
                if self._said is None:
                    self._said = step()
        except asyncio.CancelledError as error:
            if (said := self._said) is None:
                raise
            task.uncancel()  # what has begun hears of it, where it waits
            task.cancel(*error.args)
        finally:
            self._step = self._parked = self._task = self._said = None
        if isinstance(said, BaseException):
            raise said
        return said

    def _take_step(self, step: Callable[[], Any]) -> None:
        """See :meth:`until`."""
        loop, task = self._loop, self._task
        parked, self._parked = self._parked, None  # not to be woken by what it does itself
        asyncio._enter_task(loop, task)
        try:
            said = self._context.run(step)
        except BaseException as error:
            said = error
        finally:
            asyncio._leave_task(loop, task)
        if said is None:
            self._parked = parked
            if not self.closed and (deadline := self.feed.next_deadline(loop.time())) < self._armed:
                self._arm(deadline)
            return
        self._said = said
        self._step = None
        if parked is not None and not parked.done():
            parked.set_result(None)

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = self._loop.call_at(deadline, self._strike)

    def _strike(self) -> None:
        self._timer = None
        self._armed = FOREVER
        if self._transport.is_closing():
            self.abort()
            return
        now = self._loop.time()
        self.feed.handle_deadline(now)
        # Who waits arms again.
        if not self._wake() and not self.closed and (deadline := self.feed.next_deadline(now)) < FOREVER:
            self._arm(deadline)

    def watch(self) -> None:
        """A FIN that came with the request was noticed before anybody listened; else asyncio always reads."""
        if self._eof:
            self._loop.call_soon(self.feed.notice)

    def kick(self) -> None:
        """Wake whoever waits, and look at the deadlines again."""
        if not self._wake() and not self.closed and self._transport is not None:
            deadline = self.feed.next_deadline(self._loop.time())
            if deadline < self._armed:
                self._arm(deadline)

    # ---------------------------------------------------------------- sending and ending

    def flush(self) -> None:
        """One send for everything that is queued."""
        data = self.feed.data_to_send()
        if data and not self.closed and not self._half_closed:
            self._transport.write(data)
            if self._transport.is_closing():
                self._refused += len(data)

    @property
    def unsent(self) -> int:
        """Bytes the kernel has not taken; once closed, of those asyncio tells us only what failed at once."""
        return self._refused + (0 if self.closed else self._transport.get_write_buffer_size())

    def usable(self) -> bool:
        """Feed what arrived and asyncio has not told us. Costs one poll."""
        if self.closed or self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        if not self._poll.poll(0):
            return True
        try:
            self._read(RESCUE)
        except BlockingIOError:
            return True  # what came was fed; TLS has words of its own, which are nobody else's business
        except OSError:
            pass
        return False

    def never_made(self) -> bool:
        """No transport came to be: then this is the end of the socket."""
        if self._transport is None:
            self.closed = True
            self._sock.close()
        return self._transport is None

    def half_close(self) -> None:
        """FIN after what is queued."""
        if self.closed or self._half_closed:
            return
        self._goodbye()
        self._half_closed = True
        with suppress(OSError):  # the peer may have reset it already; connection_lost will say so
            self._transport.write_eof()

    def _goodbye(self) -> None:
        self.feed.say_goodbye()
        self.flush()
        # Who waits for the last bytes is woken when they are out, however few they are.
        self._transport.set_write_buffer_limits(high=0)

    def close(self) -> None:
        """Let what is queued go out, then close; a peer that does not read delays it by seconds only."""
        if self.closed or self._transport is None or self._transport.is_closing():
            return
        try:
            self._goodbye()
            self._transport.close()
            if self.unsent:
                self._arm(self._loop.time() + CLOSE_TIMEOUT)
                self._armed = -FOREVER  # nothing else is armed any more
        except RuntimeError:  # the loop is closed
            self._forget()

    def abort(self) -> None:
        """Gone, now."""
        if self.closed:
            return
        if self._transport is None:
            self._unwanted = True
            return
        try:
            self._transport.abort()
        except RuntimeError:  # the loop is closed
            self._forget()
        self.blocked = False
        self._wake()

    def _forget(self) -> None:
        """The loop is gone: end the connection; its descriptor is the transport's to close, and nobody else's."""
        self.closed = True
        with suppress(OSError, TypeError):
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    def set_tcp_keep_alive(self, delay: float | None) -> None:
        """Probe a silent peer after `delay` seconds."""
        enable_keep_alive(socket, self._transport.get_extra_info("socket"), delay)

    def info(self, name: str) -> Any:
        """What asyncio's ``get_extra_info`` knows."""
        if self._transport is not None:
            return self._transport.get_extra_info(name)
        return self._sock if name == "socket" else getattr(self._sock, f"get{name}")()
