"""Plans: what happens once per connection and branches on answers, written once for all colours.

A plan is a generator. It yields *effects*, small objects that say what to do, and is
sent the results; the facade's driver (:mod:`anywire.core.facade`) carries them out by
blocking or by awaiting. An OSError of an effect is thrown into the plan. Plans never
touch a clock: the driver passes the time in.

Happy eyeballs (RFC 8305, ASK-11): addresses are interleaved by family, the next
attempt starts when the one before it failed or after `stagger` seconds, the first to
connect wins. The driver discards every handle that is still open when the plan ends,
however it ends, so a cancelled connect leaves nothing behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ._errors import ArgumentTypeError

__all__ = [
    "UNIX",
    "Address",
    "Attempt",
    "Effect",
    "Race",
    "Resolve",
    "addresses_from_lookup",
    "connect_path_plan",
    "connect_plan",
]

STAGGER: Final = 0.25
"""Seconds between two attempts (RFC 8305 section 5 recommends 250 ms)."""


UNIX: Final = -1
"""``Address.family`` of a Unix socket; the core does not know the platform's numbers."""


class Address(NamedTuple):
    """One result of name resolution, in the form of ``socket.getaddrinfo``."""

    family: int
    type: int
    proto: int
    sockaddr: Any


@dataclass(slots=True)
class Resolve:
    """Look `host` up. Answer: ``list[Address]``, in order of preference.

    Attributes:
        family: 4, 6 or None for both.
        lookup: the user's resolver (MOD-52), or None for the system's.
    """

    host: str
    port: int
    family: int | None
    lookup: Callable[..., Any] | None


@dataclass(slots=True)
class Attempt:
    """Start connecting to `address`, from `local_address` if given. Answer: an opaque handle."""

    address: Address
    local_address: str | None


@dataclass(slots=True)
class Race:
    """Wait until one of `handles` is decided, or for `seconds`. Answer: ``[(handle, OSError | None), …]``, or empty."""

    handles: Sequence[Any]
    seconds: float | None


Effect: TypeAlias = Resolve | Attempt | Race


def connect_plan(
    host: str,
    port: int,
    *,
    family: int | None = None,
    lookup: Callable[..., Any] | None = None,
    local_address: str | None = None,
    stagger: float = STAGGER,
) -> Generator[Effect, Any, Any]:
    """Connect to `host`:`port`. Returns the handle that won.

    Raises:
        OSError: name resolution failed, or the last attempt's error.
    """
    addresses: list[Address] = yield Resolve(host, port, family, lookup)
    left = deque(interleave(addresses))
    racing: list[Any] = []
    failure: OSError | None = None
    while left or racing:
        if left:
            try:
                racing.append((yield Attempt(left.popleft(), local_address)))
            except OSError as error:
                failure = error
                continue
        failed = False
        while racing and not failed:
            decided: list[tuple[Any, OSError | None]] = yield Race(tuple(racing), stagger if left else None)
            if not decided:
                break  # time for the next address
            for handle, problem in decided:
                if problem is None:
                    return handle
                racing.remove(handle)
                failure = problem
                failed = True
    raise failure or OSError(f"no address for {host}")


def connect_path_plan(path: str) -> Generator[Effect, Any, Any]:
    """Connect to a Unix socket. Returns the handle."""
    handle = yield Attempt(Address(UNIX, 0, 0, path), None)
    decided: list[tuple[Any, OSError | None]] = []
    while not decided:
        decided = yield Race((handle,), None)
    error = decided[0][1]
    if error is not None:
        raise error
    return handle


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Alternate the families, keeping the resolver's order within each and its first choice first."""
    groups: dict[int, deque[Address]] = {}
    for address in addresses:
        groups.setdefault(address.family, deque()).append(address)
    queues = list(groups.values())
    mixed: list[Address] = []
    while queues:
        for queue in queues:
            mixed.append(queue.popleft())
        queues = [queue for queue in queues if queue]
    return mixed


def addresses_from_lookup(found: Any) -> list[str]:
    """What a user's ``lookup`` gave as a list of addresses (MOD-52).

    Args:
        found: an address, a list of addresses, ``(address, family)``, or a list of such pairs.

    Raises:
        ArgumentTypeError: anything else, or nothing.
    """
    items = [found] if isinstance(found, str) else list(found) if isinstance(found, (list, tuple)) else []
    if len(items) == 2 and isinstance(items[0], str) and items[1] in (4, 6):
        items = items[:1]
    made = [item if isinstance(item, str) else item[0] if isinstance(item, tuple) and item else None for item in items]
    if not made or not all(isinstance(item, str) for item in made):
        raise ArgumentTypeError(f'"lookup" must return an address or a list of addresses. Received {found!r:.80}')
    return [str(item) for item in made]
