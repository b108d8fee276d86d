"""A fifth runtime: a virtual clock and an in-memory network, for tests that repeat to the byte.

``run(main, seed=…, network=Network(…))`` runs coroutines that use
:mod:`anywire.conformance.sim.http` and scripted peers. No time passes but the virtual
one, and the same seed gives the same transcript. docs/sim.md shows how to write a scenario.

It is also the reference for embedding anywire in a runtime of one's own: a kernel, a
network, and what docs/contract.md asks for between the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import http, https
from ._kernel import Cancelled, Deadlock, Kernel, Parking, Task, current
from ._network import Entry, Fault, Faults, Listener, Network
from ._peers import Wire, dial, peer, reach

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = [
    "Cancelled", "Deadlock", "Entry", "Fault", "Faults", "Kernel", "Listener", "Network", "Parking",
    "Task", "Wire", "current", "dial", "http", "https", "now", "peer", "reach", "run", "sleep", "spawn",
]  # fmt: skip


def run(
    main: Callable[[], Coroutine[Any, Any, Any]],
    *,
    seed: object = 0,
    network: Network | None = None,
    shuffle: bool = False,
    reports: list[tuple[str, BaseException]] | None = None,
) -> Any:
    """Run ``main()`` to its end and return its result. Tasks that are left then are cancelled.

    Args:
        main: an ``async def``.
        seed: anything with a ``str()`` of its own; the same seed gives the same run.
        network: default is a perfect one.
        shuffle: run what is ready in an order that depends on the seed.
        reports: gets ``(message, error)`` of errors that nobody waited for; without it they are raised.

    Raises:
        Deadlock: nothing can ever run again, and main has not ended.
        ExceptionGroup: errors that nobody waited for.
    """
    kernel = Kernel(seed, shuffle=shuffle)
    kernel.network = network or Network()
    kernel.network.begin(kernel)
    try:
        result = kernel.run(main())
    finally:
        if reports is not None:
            reports += kernel.reports
    if reports is None and kernel.reports:
        raise BaseExceptionGroup("errors that nobody waited for", [error for _, error in kernel.reports])
    return result


def now() -> float:
    """Virtual seconds since the run began."""
    return current().now


async def sleep(seconds: float) -> None:
    """Suspend for virtual seconds; 0 lets whoever is ready run."""
    await current().sleep(seconds)


def spawn(work: Coroutine[Any, Any, Any], name: str = "") -> Task:
    """Run `work` beside us; ``await task.join()`` for its result."""
    return current().spawn(work, name)
