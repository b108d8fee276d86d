"""Where a connection stands, as data.

**There are three machines, not one.** A connection carries messages both ways,
and the two directions move at their own pace: a server may answer before it has
read the request, a client may still be uploading when the answer comes. So there
are two half-machines with the same table, one for what we *receive* and one for
what we *send*, and a flag, *keep-alive*, which only ever goes from True to False
within an exchange (hyper and h11 came to the same cut).

Each half is in one of six states:

``IDLE``      between messages; the next thing is a head.
``BODY``      a head went by, its body (or trailer section) is not over.
``DONE``      the message is complete; waits for the other half.
``SWITCHED``  this is no longer HTTP (101, CONNECT); the bytes belong to somebody else.
``CLOSED``    nothing more will come in this direction, and nothing is missing.
``FAILED``    nothing more will come, and something is missing or was wrong.

:data:`HALF` holds every transition of a half: ``HALF[state][input]`` is the state after
it. What is not in it cannot happen, and looking it up raises ``KeyError``: a bug of ours,
never a peer's doing. What couples the halves is :data:`JOINT`: when both are ``DONE`` the
exchange is over, and the keep-alive flag decides between ``CYCLE`` (both go ``IDLE``) and
``END``. (A server lingers before it ends: see ``_server_connection``.)

Nothing here knows which side we are: for a server *receiving* is the request,
for a client it is the response. docs/states.md is drawn from these two tables by
docs/make_state_diagrams.py.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "BODY",
    "CLOSED",
    "DONE",
    "FAILED",
    "HALF",
    "IDLE",
    "JOINT",
    "SWITCHED",
    "joint",
]

IDLE: Final = "idle"
BODY: Final = "body"
DONE: Final = "done"
SWITCHED: Final = "switched"
CLOSED: Final = "closed"
FAILED: Final = "failed"

# Inputs of a half.
HEAD: Final = "head"  # a head with a body to follow
MESSAGE: Final = "message"  # a head that is the whole message
FINISH: Final = "finish"  # the last byte of a body or trailer section
SWITCH: Final = "switch"  # 101 or CONNECT was agreed
CYCLE: Final = "cycle"  # both halves are done and the connection persists
END: Final = "end"  # a clean end: FIN between messages, or the last message was said
FAIL: Final = "fail"  # parse error, reset, FIN inside a message, timeout, destroy()

HALF: Final[dict[str, dict[str, str]]] = {
    IDLE: {HEAD: BODY, MESSAGE: DONE, SWITCH: SWITCHED, END: CLOSED, FAIL: FAILED},
    BODY: {FINISH: DONE, SWITCH: SWITCHED, FAIL: FAILED},
    DONE: {CYCLE: IDLE, SWITCH: SWITCHED, END: CLOSED, FAIL: FAILED},
    SWITCHED: {END: CLOSED, FAIL: FAILED},
    CLOSED: {END: CLOSED, FAIL: CLOSED},
    FAILED: {END: FAILED, FAIL: FAILED},
}
"""(state, input) → state, for either half."""

JOINT: Final[dict[tuple[str, str, bool], str]] = {
    (DONE, DONE, True): CYCLE,
    (DONE, DONE, False): END,
}
"""(receiving, sending, keep_alive) → the input both halves get next. Anything else waits."""


def joint(receiving: str, sending: str, keep_alive: bool) -> str | None:
    """What happens to both halves now, or None while one of them has work left."""
    return JOINT.get((receiving, sending, keep_alive))
