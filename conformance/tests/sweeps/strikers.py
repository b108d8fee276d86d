"""How each runtime runs a victim, and strikes it at its k-th suspension.

A victim is a coroutine function of this suite (see ``anywire.conformance.backends``): in the awaiting colour it
suspends, in the blocking one it blocks. A :class:`Strike` counts either, acts at the k-th, and counts what the victim
does afterwards: cleaning up must wait for nothing.

How it strikes:

* ``early``: while the victim waits.
* ``late``: its wake-up was given, and it has not run yet.
* ``timeout``: as ``early``, by ``gevent.Timeout``, which is not ``GreenletExit``.

Threads cannot be cancelled; there the victim's request is destroyed by another thread, right before the victim
polls (``early``) or when its poll has ended and it has not gone on (``late``).
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import types
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from anywire.conformance import sim
from anywire.conformance.backends import Backend, drive, resolve
from anywire.conformance.sim import current

__all__ = ["Strike", "Striker", "striker"]

Work = Callable[[], Coroutine[Any, Any, Any]]


class Strike:
    """One run: strikes once, at suspension `k`.

    Attributes:
        action: what strikes, in place of the runtime's own cancelling; None: that.
        count: suspensions of the victim so far.
        struck: the k-th was reached.
        delivered: the cancellation was thrown into the victim.
        after: suspensions since.
    """

    def __init__(self, k: int, how: str, action: Callable[[], object] | None = None) -> None:
        self.k = k
        self.how = how
        self.action = action
        self.count = 0
        self.struck = self.delivered = False
        self.after = 0
        self.cancel: Callable[[], object] = bool
        """Of the runtime; set when the victim starts."""

    def suspends(self) -> bool:
        """The victim is about to wait. True: this is the one."""
        self.count += 1
        self.after += self.delivered
        return self.count == self.k

    def strike(self) -> None:
        """Now."""
        if not self.struck:
            self.struck = True
            (self.action or self.cancel)()


class Striker:
    """A runtime.

    Attributes:
        backend: its adapter.
        hows: how it can strike.
        cancels: it can cancel; else only destroy.
    """

    hows: tuple[str, ...] = ("early", "late")
    cancels = True

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def over(self) -> None:
        """Nothing is struck any more."""

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        """Run `work` as the victim, to its end. Returns what ended it, None if it came through."""
        raise NotImplementedError

    async def watch(self, strike: Strike, work: Work) -> bool:
        """Run `work` in the task that calls, as the victim. True if it came through, False if it was cancelled.

        As a time limit of the user's would: what calls goes on.
        """
        raise NotImplementedError

    async def turn(self) -> None:
        """Let others run."""
        raise NotImplementedError

    async def pause(self) -> None:
        """Let others run, and time pass."""
        raise NotImplementedError

    def alive(self) -> dict[str, int]:
        """What there is now of each kind that could be left behind."""
        raise NotImplementedError


def descriptors() -> int:
    """Sockets and pipes. (libuv opens /dev/null when it first accepts, and keeps it.)"""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(("socket:", "pipe:"))
        except OSError:  # of listdir() itself
            pass
    return count


@types.coroutine
def _watched(
    work: Coroutine[Any, Any, Any], before: Callable[[Any], object], after: Callable[[Any], object]
) -> Generator[Any, Any, Any]:
    """`work`, telling of each suspension, before and after it."""
    step: Callable[[Any], Any] = work.send
    value: Any = None
    while True:
        try:
            trap = step(value)
        except StopIteration as stop:
            return stop.value
        before(trap)
        try:
            step, value = work.send, (yield trap)
        except BaseException as error:
            step, value = work.throw, error
        after(value)


class OnAsyncio(Striker):
    """asyncio and uvloop: ``task.cancel()``."""

    def _watch(self, strike: Strike, work: Work) -> Any:
        def before(trap: Any) -> None:
            if not strike.suspends():
                return
            if strike.how == "early":
                strike.strike()
            elif trap is None:  # a bare yield: the task is woken by the loop, at once
                asyncio.get_running_loop().call_soon(strike.strike)
            else:  # our callback comes before the task's
                trap.add_done_callback(lambda _: strike.strike())

        def after(value: Any) -> None:
            strike.delivered |= strike.struck and isinstance(value, asyncio.CancelledError)

        return _watched(work(), before, after)

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        async def body() -> None:
            await self._watch(strike, work)

        task = asyncio.ensure_future(body())
        strike.cancel = task.cancel
        await asyncio.wait([task])
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    async def watch(self, strike: Strike, work: Work) -> bool:
        task = asyncio.current_task()
        assert task is not None
        strike.cancel = task.cancel
        try:
            await self._watch(strike, work)
        except asyncio.CancelledError:
            if strike.action is not None:
                raise
            task.uncancel()
            return False
        return True

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def pause(self) -> None:
        await asyncio.sleep(0.001)

    def alive(self) -> dict[str, int]:
        loop: Any = asyncio.get_running_loop()
        made = {"descriptors": descriptors(), "tasks": len(asyncio.all_tasks())}
        if hasattr(loop, "_scheduled"):  # uvloop tells nobody
            made["timers"] = sum(not each.cancelled() for each in loop._scheduled)
            made["watched"] = len(loop._selector.get_map())
        return made


class OnTrio(Striker):
    """trio: a scope is cancelled."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._trio: Any = importlib.import_module("trio")

    async def watch(self, strike: Strike, work: Work) -> bool:
        trio = self._trio
        task = trio.lowlevel.current_task()
        waiting = [False]

        class Scheduled(trio.abc.Instrument):  # type: ignore[misc, name-defined]
            def task_scheduled(self, scheduled: Any) -> None:
                if scheduled is task and waiting[0]:
                    waiting[0] = False
                    strike.strike()

        def before(trap: Any) -> None:
            if strike.suspends():
                if strike.how == "early":
                    strike.strike()
                else:
                    waiting[0] = True

        def after(value: Any) -> None:
            error = getattr(value, "error", None)  # an outcome
            strike.delivered |= strike.struck and isinstance(error, trio.Cancelled)

        scheduled = Scheduled()
        trio.lowlevel.add_instrument(scheduled)
        try:
            with trio.CancelScope() as scope:
                strike.cancel = scope.cancel
                await _watched(work(), before, after)
        finally:
            trio.lowlevel.remove_instrument(scheduled)
        return not scope.cancelled_caught

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        trio = self._trio
        ended: list[BaseException | None] = []

        async def body() -> None:
            try:
                ended.append(None if await self.watch(strike, work) else KeyboardInterrupt())
            except Exception as error:
                ended.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(body)
        return ended[0]

    async def turn(self) -> None:
        await self._trio.lowlevel.checkpoint()

    async def pause(self) -> None:
        await self._trio.sleep(0.001)

    def alive(self) -> dict[str, int]:
        now = self._trio.lowlevel.current_statistics()
        io = now.io_statistics
        deadlines = self._trio._core._run.GLOBAL_RUN_CONTEXT.runner.deadlines
        return {
            "descriptors": descriptors(),
            "tasks": now.tasks_living,
            "timers": deadlines._active,
            "watched": io.tasks_waiting_read + io.tasks_waiting_write,
        }


class OnSim(Striker):
    """The sim: its kernel counts and strikes."""

    async def _watch(self, strike: Strike, task: sim.Task, work: Coroutine[Any, Any, Any]) -> Any:
        strike.cancel = task.cancel
        task.act_at(task.suspensions + strike.k, strike.strike, late=strike.how == "late")
        try:
            return await work
        finally:
            task._acts.clear()  # that one was not reached
            strike.after = task.suspensions_after_cancel

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        async def body() -> None:
            await self._watch(strike, current().task, work())

        task = sim.spawn(body(), "victim")
        try:
            await task.join()
        except BaseException as error:
            if task.error is None:
                raise
            return error
        return None

    async def watch(self, strike: Strike, work: Work) -> bool:
        try:
            await self._watch(strike, current().task, work())
        except sim.Cancelled:
            if strike.action is not None:
                raise
            return False
        return True

    async def turn(self) -> None:
        await sim.sleep(0)

    async def pause(self) -> None:
        await sim.sleep(0.001)

    def alive(self) -> dict[str, int]:
        kernel = current()
        return {"tasks": len(kernel.tasks), "timers": int(kernel.next_timer < 1e5)}


class OnGevent(Striker):
    """gevent: ``kill``, and ``gevent.Timeout``."""

    hows = ("early", "late", "timeout")

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        gevent = self._gevent = importlib.import_module("gevent")
        self._greenlet = importlib.import_module("greenlet")

        self._spawned: weakref.WeakSet[Any] = weakref.WeakSet()
        gevent.Greenlet.add_spawn_callback(self._spawned.add)

        class Victim(gevent.Greenlet):  # type: ignore[misc, name-defined]
            """Dies instead of waking, if it is to die late."""

            late: Callable[[], bool] = bool

            def switch(self, *args: Any) -> Any:
                if self.late():
                    return self.throw(gevent.GreenletExit())
                return super().switch(*args)

        self._victim = Victim

    def over(self) -> None:
        self._gevent.Greenlet.remove_spawn_callback(self._spawned.add)

    @contextmanager
    def _traced(self, strike: Strike, me: Any) -> Iterator[None]:
        """Inside, the switches of `me` to the hub are counted."""
        gevent = self._gevent
        hub = gevent.get_hub()
        error: BaseException = gevent.Timeout(60.0) if strike.how == "timeout" else gevent.GreenletExit()
        inside = True

        def trace(event: str, which: Any) -> None:
            origin, target = which
            if target is me and event == "throw":
                strike.delivered |= strike.struck
            elif origin is me and target is hub and strike.suspends() and strike.how != "late":
                strike.strike()

        def throw() -> None:
            if inside:  # else it came too late
                me.throw(error)

        strike.cancel = lambda: hub.loop.run_callback(throw)
        self._greenlet.settrace(trace)
        try:
            yield
        finally:
            inside = False
            self._greenlet.settrace(None)

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        ended: list[BaseException | None] = []

        def body() -> None:
            try:
                with self._traced(strike, victim):
                    if strike.how == "early":
                        strike.cancel = lambda: victim.kill(block=False)
                    drive(work())
            except BaseException as error:
                ended.append(error)
            else:
                ended.append(None)

        def late() -> bool:
            """Once: it is woken from its k-th suspension."""
            if strike.how != "late" or strike.struck or strike.count != strike.k:
                return False
            strike.struck = True
            if strike.action is None:
                return True
            strike.action()
            return False

        victim = self._victim(body)
        victim.late = late
        victim.start()
        victim.join()
        return ended[0]

    async def watch(self, strike: Strike, work: Work) -> bool:
        gevent = self._gevent
        try:
            with self._traced(strike, gevent.getcurrent()):
                await work()
        except (gevent.GreenletExit, gevent.Timeout):
            if strike.action is not None:
                raise
            return False
        return True

    async def turn(self) -> None:
        self._gevent.sleep(0)

    async def pause(self) -> None:
        self._gevent.sleep(0.001)

    def alive(self) -> dict[str, int]:
        return {
            "descriptors": descriptors(),
            "greenlets": sum(not each.dead for each in self._spawned),
            "watchers": self._gevent.get_hub().loop.activecnt,
        }


class OnThreads(Striker):
    """Threads: what strikes is another thread, where a victim polls."""

    cancels = False

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._sleep: Any = importlib.import_module("anywire.sync._sleep")
        self._victims: dict[int, Strike] = {}

    def hook(self, patch: Callable[[Any, str, Any], None]) -> None:
        """Have every poll of a pump or waiter pass by here."""
        inner = self._sleep.Sleeper.sleep
        victims = self._victims

        def sleep(sleeper: Any, due: float, wanted: Any) -> Any:
            strike = victims.get(threading.get_ident())
            if strike is None:
                return inner(sleeper, due, wanted)
            mine = strike.suspends()
            if mine and strike.how == "early":
                _elsewhere(strike.strike)
            ready = inner(sleeper, due, wanted)
            if mine and strike.how == "late":
                _elsewhere(strike.strike)
            strike.delivered |= strike.struck
            return ready

        patch(self._sleep.Sleeper, "sleep", sleep)

    async def victim(self, strike: Strike, work: Work) -> BaseException | None:
        ended: list[BaseException | None] = []

        def body() -> None:
            try:
                drive(self.watch(strike, work))
            except BaseException as error:
                ended.append(error)
            else:
                ended.append(None)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        return ended[0]

    async def watch(self, strike: Strike, work: Work) -> bool:
        me = threading.get_ident()
        self._victims[me] = strike
        try:
            await work()
        finally:
            del self._victims[me]
        return True

    async def turn(self) -> None:
        threading.Event().wait(0.0)

    async def pause(self) -> None:
        threading.Event().wait(0.001)

    def alive(self) -> dict[str, int]:
        # Some sleepers are kept for the next one who sleeps.
        kept = 2 * len(self._sleep._free)
        return {"descriptors": descriptors() - kept, "threads": len(threading.enumerate())}


def _elsewhere(call: Callable[[], object]) -> None:
    """In another thread, to its end."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


def striker(name: str, patch: Callable[[Any, str, Any], None]) -> Striker:
    """The striker for the backend called `name`. `patch` is ``monkeypatch.setattr``."""
    kinds = {"sim": OnSim, "trio": OnTrio, "gevent": OnGevent, "sync": OnThreads}
    made = kinds.get(name.rpartition(".")[2], OnAsyncio)(resolve(name))
    if isinstance(made, OnThreads):
        made.hook(patch)
    return made
