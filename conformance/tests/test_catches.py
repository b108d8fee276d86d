"""The suite finds what is broken: each test breaks one thing at run time, and one statement must fail.

Without the fault the same statement passes, so it is the fault that is caught. Most run on the sim, where a
lost wake-up is noticed at once as a deadlock; what belongs to a real backend is broken on asyncio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from anywire.conformance import awaiting, peers
from anywire.conformance.backends import resolve
from anywire.conformance.cases import load_cases
from anywire.conformance.running import FAIL, PASS
from anywire.conformance.verdicts import DEVIATION, judge, run_suite
from anywire.core import _agent, _failure, _outgoing, _parser, _pool, _request, _serializer
from anywire.core._agent import Agent
from anywire.core._client_agent import ClientAgent
from anywire.core._client_connection import ClientConnection
from anywire.core._connection import Connection
from anywire.core._date import DateLine
from anywire.core._incoming import IncomingMessage
from anywire.core._lease import QUEUED
from anywire.core._outgoing import OutgoingMessage
from anywire.core._pump import FOREVER
from anywire.core._response import ServerResponse
from anywire.core._server_connection import ServerConnection
from anywire.core.facade.awaiting import Server

Patch = pytest.MonkeyPatch


def verdict(backend: str, identifier: str) -> str:
    """What the suite says about one statement."""
    cases = [case for case in load_cases(only=[identifier]) if case.peers]
    return judge(run_suite(resolve(backend), cases), [identifier])[identifier].verdict


FAULTS: list[tuple[str, Callable[[Patch], None]]] = []


def breaks(identifier: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """The fault must make this statement fail."""

    def register(fault: Callable[[Patch], None]) -> Callable[[Patch], None]:
        FAULTS.append((identifier, fault))
        return fault

    return register


# ---------------------------------------------------------------- bytes


@breaks("WIR-14")
def an_extra_line_break_after_the_last_chunk(patch: Patch) -> None:
    patch.setattr(_outgoing, "LAST_CHUNK", b"0\r\n\r\n\r\n")


@breaks("WIR-8")
def upper_case_chunk_sizes(patch: Patch) -> None:
    patch.setattr(_outgoing, "chunk_header", lambda size: b"%X\r\n" % size)


@breaks("WIR-12")
def keep_alive_spelled_otherwise(patch: Patch) -> None:
    patch.setattr(_serializer, "_KEEP_ALIVE", b"Connection: Keep-Alive\r\n")
    patch.setattr(_serializer, "_length_tails", {})


@breaks("WIR-12")
def no_date(patch: Patch) -> None:
    patch.setattr(DateLine, "line", lambda self: b"")


@breaks("WIR-16")
def a_body_after_the_answer_to_head(patch: Patch) -> None:
    original = ServerResponse.__init__

    def init(self: Any, req: Any) -> None:
        original(self, req)
        self._no_body = False

    patch.setattr(ServerResponse, "__init__", init)


@breaks("WIR-19")
def trailers_forgotten(patch: Patch) -> None:
    patch.setattr(_outgoing, "render_last_chunk", lambda trailers: b"0\r\n\r\n")


@breaks("RES-48")
def lengths_not_compared(patch: Patch) -> None:
    patch.setattr(ServerResponse, "_mismatch", lambda self, size: None)


@breaks("SRV-20")
def no_100_continue(patch: Patch) -> None:
    patch.setattr(ServerResponse, "write_continue_nowait", lambda self: None)


@breaks("WIR-75")
def a_byte_that_arrives_alone_is_lost(patch: Patch) -> None:
    original = _parser.Parser.receive_data

    def receive_data(self: Any, data: bytes) -> None:
        if data != b";":  # the start of a chunk extension, when it comes by itself
            original(self, data)

    patch.setattr(_parser.Parser, "receive_data", receive_data)


# ---------------------------------------------------------------- events and state


@breaks("RES-83")
def close_before_finish(patch: Patch) -> None:
    original = ServerResponse._finish

    def finish(self: Any) -> None:
        self.emit("close")
        original(self)

    patch.setattr(ServerResponse, "_finish", finish)


@breaks("SRV-25")
def nobody_hears_of_an_abort(patch: Patch) -> None:
    patch.setattr(IncomingMessage, "_abort", lambda self, error: setattr(self, "aborted", True))


@breaks("MSG-18")
def joined_without_a_space(patch: Patch) -> None:
    original = IncomingMessage.headers.fget  # type: ignore[attr-defined]

    def headers(self: Any) -> dict[str, Any]:
        made = original(self)
        return {name: value.replace(", ", ",") if isinstance(value, str) else value for name, value in made.items()}

    patch.setattr(IncomingMessage, "headers", property(headers))


@breaks("SRV-51")
def the_keep_alive_timer_outlives_its_phase(patch: Patch) -> None:
    original = ServerConnection._limit

    def limit(self: Any) -> float:
        return self.server.keep_alive_timeout if self._phase == "handler" else original(self)

    patch.setattr(ServerConnection, "_limit", limit)


@breaks("SRV-16")
def the_next_request_is_dispatched_though_nobody_reads(patch: Patch) -> None:
    patch.setattr(ServerResponse, "_blocked", OutgoingMessage._blocked)


@breaks("SRV-22")
def a_request_that_is_handed_on_is_lost(patch: Patch) -> None:
    async def dispatch(self: Any, event: str, *args: Any) -> bool:
        return False

    patch.setattr(Server, "dispatch", dispatch)


@breaks("SRV-48")
def traffic_does_not_restart_the_idle_clock(patch: Patch) -> None:
    patch.setattr(Connection, "_idle_deadline", lambda self, now: self.idle_timeout or FOREVER)


@breaks("SRV-53")
def keep_alive_timeout_is_that_of_the_beginning(patch: Patch) -> None:
    def at_first(original: Any) -> Any:
        def asked(self: Any, *args: Any) -> Any:
            server = self.server
            now, server.keep_alive_timeout = server.keep_alive_timeout, server.options.keep_alive_timeout
            try:
                return original(self, *args)
            finally:
                server.keep_alive_timeout = now

        return asked

    for name in ("_limit", "next_deadline"):
        patch.setattr(ServerConnection, name, at_first(getattr(ServerConnection, name)))


@breaks("SRV-88")
def a_draining_server_keeps_connections(patch: Patch) -> None:
    original = ServerConnection.may_persist

    def may_persist(self: Any) -> bool:
        draining, self.server.draining = self.server.draining, False
        try:
            return original(self)
        finally:
            self.server.draining = draining

    patch.setattr(ServerConnection, "may_persist", may_persist)


@breaks("CLI-61")
def close_twice(patch: Patch) -> None:
    original = _request.ClientRequest._maybe_over

    def over(self: Any) -> None:
        before = self._over
        original(self)
        if self._over and not before:
            self.emit("close")

    patch.setattr(_request.ClientRequest, "_maybe_over", over)


# ---------------------------------------------------------------- the pool


@breaks("AGT-22")
def the_pool_is_lifo(patch: Patch) -> None:
    original = _pool.Pool._take_idle

    def take_idle(self: Any, group: Any, lease: Any) -> None:
        self._lifo = True
        original(self, group, lease)

    patch.setattr(_pool.Pool, "_take_idle", take_idle)


@breaks("AGT-30")
def the_queue_is_lifo(patch: Patch) -> None:
    original = Agent.request

    def request(self: Any, *args: Any, **named: Any) -> Any:
        lease = original(self, *args, **named)
        if lease.state == QUEUED:
            queue = lease._group.queue
            others = [each for each in queue if each is not lease]
            for each in others:
                queue[each] = queue.pop(each)
        return lease

    patch.setattr(Agent, "request", request)


@breaks("AGT-24")
def a_place_is_leaked_when_its_request_is_given_up(patch: Patch) -> None:
    patch.setattr(_agent.Agent, "dropped", lambda self, lease: None)


@breaks("AGT-50")
def a_lost_wake_up(patch: Patch) -> None:
    original = ClientAgent.settle

    def settle(self: Any) -> None:
        for lease in self._to_wake:
            lease.waiter = None
        original(self)

    patch.setattr(ClientAgent, "settle", settle)


@breaks("AGT-60")
def what_arrives_on_a_pooled_connection_is_kept(patch: Patch) -> None:
    patch.setattr(ClientConnection, "reusable", property(lambda self: not self._lost))


@breaks("AGT-65")
def a_post_is_sent_twice(patch: Patch) -> None:
    patch.setattr(_failure, "IDEMPOTENT", _failure.IDEMPOTENT | {"POST"})


@breaks("AGT-43")
def a_connection_that_said_close_is_pooled(patch: Patch) -> None:
    original = _serializer.render_request

    def render(*args: Any, **named: Any) -> Any:
        head, framing, _ = original(*args, **named)
        return head, framing, False

    patch.setattr(_request, "render_request", render)


@pytest.mark.parametrize(("identifier", "fault"), FAULTS, ids=[fault.__name__ for _, fault in FAULTS])
def test_a_fault_is_caught_by_the_statement_it_breaks(
    identifier: str, fault: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    assert verdict("anywire.conformance.sim", identifier) in (PASS, DEVIATION)
    with monkeypatch.context() as patch:
        fault(patch)
        assert verdict("anywire.conformance.sim", identifier) == FAIL
    assert verdict("anywire.conformance.sim", identifier) in (PASS, DEVIATION)


def test_there_are_enough_faults() -> None:
    assert len(FAULTS) >= 12


# ---------------------------------------------------------------- a real backend


def no_half_close(patch: Patch) -> None:
    from anywire.asyncio._pump import Pump

    patch.setattr(Pump, "half_close", lambda self: None)


def input_does_not_wake(patch: Patch) -> None:
    from anywire.asyncio._pump import Pump

    patch.setattr(Pump, "_read", lambda self: self._receive())


def the_write_queue_is_sent_backwards(patch: Patch) -> None:
    from anywire.asyncio._pump import Pump

    def flush(self: Any) -> None:
        data = self.feed.data_to_send()
        if data and not self.closed:
            self.sock.send(data[::-1])

    patch.setattr(Pump, "flush", flush)


@pytest.mark.parametrize(
    ("identifier", "fault"),
    [("WIR-20", no_half_close), ("WIR-22", input_does_not_wake), ("WIR-14", the_write_queue_is_sent_backwards)],
)
def test_a_faulty_backend_is_caught(identifier: str, fault: Callable[[Patch], None], monkeypatch: Patch) -> None:
    assert verdict("anywire.asyncio", identifier) in (PASS, DEVIATION)
    for module in (awaiting, peers):
        monkeypatch.setattr(module, "PATIENCE", 0.3)  # it is expected to hang
    fault(monkeypatch)
    assert verdict("anywire.asyncio", identifier) == FAIL
