"""One case on one backend: who is started when, and what is compared in the end."""

from __future__ import annotations

import difflib
import os
import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from anywire.core import configure

from .application import Application
from .backends import Backend, leave, settle, told
from .cases import PARSER_ROLES, TRAILING, Case, trailing
from .language import LAST, Step
from .observing import Log, compare, describe_error
from .parsing import events, setup_of
from .peers import BYTES, NOWHERE, Conversation, Signals, Talk, without_dates
from .secure_peers import Contexts

__all__ = ["FAIL", "PASS", "SKIP", "Outcome", "run_case"]

PASS: Final = "pass"
FAIL: Final = "fail"
SKIP: Final = "skip"

GIVEN_UP: Final = ("it hangs", "nothing can run")
"""How errors begin that say nothing but that: where they come from is of no interest."""


@dataclass(slots=True)
class Outcome:
    """What came of one run.

    Attributes:
        case: which.
        variant: how it was run.
        verdict: ``pass``, ``fail`` or ``skip``.
        details: for a failure the differences, for a skip the reason.
        transcript: everything observed, the same for every run that is the same.
    """

    case: Case
    variant: str
    verdict: str
    details: str = ""
    transcript: str = ""


def run_case(backend: Backend, case: Case, variant: str) -> Outcome:
    """Run one case in one variant.

    Args:
        backend: where.
        case: what.
        variant: one of ``case.variants``.
    """
    try:
        return _skipped(backend, case, variant) or (
            _parse(case) if case.role in PARSER_ROLES else _Run(backend, case, variant).outcome()
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a parser or backend of somebody's; its verdict is not to cost those of the others
        return Outcome(case, variant, FAIL, f"the run failed: {told(error)}")


def _skipped(backend: Backend, case: Case, variant: str) -> Outcome | None:
    """Why this cannot be shown there, if so."""
    if case.role in PARSER_ROLES:
        return None
    if case.document.keys.get("Time") == "virtual" and not backend.virtual:
        return Outcome(case, variant, SKIP, "needs a virtual clock")
    if case.streams and not hasattr(backend, "duplex"):
        return Outcome(case, variant, SKIP, "there are no streams here but sockets")
    if case.cancels and not getattr(backend, "cancels", True):
        return Outcome(case, variant, SKIP, "nothing can be cancelled here")
    if case.secure and getattr(backend, "https", None) is None:
        return Outcome(case, variant, SKIP, "there is no https here")
    if case.document.keys.get("Needs") == "ipv6" and not backend.virtual and not socket.has_dualstack_ipv6():
        return Outcome(case, variant, SKIP, "needs IPv6")
    return None


def _parse(case: Case) -> Outcome:
    """A case for the parser alone, which every backend shares: whole and byte by byte."""
    data, end = case.document.input()
    expected = case.document.lines()
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        seen = events(setup_of(case.document), pieces, end=end)
        if seen != expected:
            return Outcome(case, "whole", FAIL, difference("log", expected, seen))
    return Outcome(case, "whole", PASS, transcript="\n".join(expected))


@contextmanager
def _environment(case: Case, said: list[str]) -> Iterator[None]:
    """The settings of a process that began with the variables of a case; what it warned of goes into `said`."""
    given = case.document.keys.get("Environment")
    if given is None:
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        configure(dict(line.split("=", 1) for line in given.splitlines()))
        try:
            yield
        finally:
            configure(os.environ)
            said += [str(each.message) for each in caught]


@dataclass(slots=True)
class _Peer:
    steps: list[Step]
    conversation: Conversation
    done: Any


@dataclass
class _Run:
    backend: Backend
    case: Case
    variant: str
    problems: list[str] = field(default_factory=list)
    peers: list[_Peer] = field(default_factory=list)
    listener: Any = None
    log: Log | None = None
    port: int = 0
    contexts: Contexts = field(default_factory=Contexts)

    def outcome(self) -> Outcome:
        said: list[str] = []
        try:
            with _environment(self.case, said):
                self.backend.run(self._scenario)
        except Exception as error:
            text = describe_error(error) if str(error).startswith(GIVEN_UP) else told(error)
            self.problems.append(f"the scenario did not come to its end: {text}")
        if self.listener is not None:
            self.listener.close()  # it was cut short
        self.backend.world.clear()
        for peer in self.peers:
            if peer.conversation.problem is not None:
                self.problems.append(_bytes_differ(peer.conversation))
        keys = self.case.document.keys
        expected = keys.get("Reports") == "expected"
        if self.backend.reports and not expected:
            self.problems.append("reported to the runtime: " + "; ".join(self.backend.reports))
        elif expected and not self.backend.reports:
            self.problems.append("nothing was reported to the runtime")
        lines = [] if self.log is None else self.log.lines(separate_data=keys.get("Data") == "separate")
        port = re.compile(rf"(?<=[: ]){self.port}\b")
        log = [(at, port.sub("PORT", text) if self.port else text) for at, text in lines]
        log += [(0.0, f"warning {each}") for each in said]
        differs = compare(
            self.case.expected, log, by_object=keys.get("Order") == "per object", virtual=self.backend.virtual
        )
        if differs is not None:
            self.problems.append(difference("log", *differs))
        return Outcome(
            self.case,
            self.variant,
            FAIL if self.problems else PASS,
            "\n".join(self.problems),
            self._transcript(log),
        )

    def _transcript(self, log: list[tuple[float, str]]) -> str:
        lines = [f"{at:g} {text}" if self.backend.virtual else text for at, text in log]
        for peer in self.peers:
            lines += [f"peer {peer.conversation.number} saw:", *_lines(peer.conversation.seen)]
        return "\n".join(lines)

    # ---------------------------------------------------------------- in the runtime

    async def _scenario(self) -> None:
        backend = self.backend
        self.signals = Signals(backend.flag)
        self.log = Log(backend.flag, backend.now)
        self._application = Application(backend, self.case.program, self.log, self.signals, secure=self.case.secure)
        for steps in self.case.peers:
            for step in steps:
                if step.verb in ("signal", "wait"):
                    # A flag belongs to the runtime, so peers may not be the first to ask for it.
                    _ = self.signals[step.flag]
        try:
            if self.case.role == "server":
                await self._serve()
            else:
                await self._request()
        finally:
            self._application.restore()
        self.problems += self._application.problems

    async def _serve(self) -> None:
        application = self._application
        server = self._server = application.make_server()
        application.attach_hooks(server)
        server.grace = 0.0
        server.linger_timeout = 60.0  # what depends on it hangs, and does not pass slowly

        async def listen(*args: Any, **named: Any) -> None:
            application.listen = None
            await settle(server.listen(*(args or (0, "127.0.0.1")), **named))
            self.port = application.port = server.address()[1]
            for steps in self.case.peers:
                self._start_peer(steps)

        application.listen = listen
        await settle(_enter(server))
        try:
            await application.perform(self.case.program.main, application.scope)
            if self.case.peers and all(steps[:1] == [Step("inject")] for steps in self.case.peers):
                for steps in self.case.peers:
                    self._start_peer(steps)
            elif self.case.peers and not self.peers:
                await listen()
            for peer in self.peers:
                await settle(peer.done.wait())
            if not any(peer.conversation.problem for peer in self.peers):
                await application.join_tasks()
                await application.handlers_ended()
                server.grace = None if server.listening or server.connections else 0.0
        except Exception as error:
            self.problems.append(f"the application failed: {describe_error(error)}")
        except BaseException:
            await settle(leave(server))  # cut short: nothing may be left
            raise
        await settle(leave(server))
        application.log.freeze()

    def _start_peer(self, steps: list[Step]) -> None:
        if self.variant == TRAILING:
            steps = trailing(steps) or steps
        refused = any(step.verb == "refused" for step in steps)
        if not refused and (not steps or steps[-1].verb not in LAST):
            steps = [*steps, Step("eof"), Step("end")]
        peer = _Peer(list(steps), Conversation(len(self.peers) + 1), self.backend.flag())
        self.peers.append(peer)
        world, port = self.backend.world, self.port
        injected: list[Any] = []

        async def work() -> None:
            refused = False
            while any(step.verb in ("connect", "refused") for step in peer.steps):
                step = peer.steps.pop(0)
                refused = step.verb == "refused"
                if step.verb == "wait" and not await settle(world.wait(self.signals[step.flag])):
                    peer.conversation.problem = f"the application never signalled {step.flag!r}"
                    return
            if refused and not await settle(world.refused(port)):
                peer.conversation.problem = "connections go on being accepted"
                return
            try:
                stream = NOWHERE if refused else injected[0] if injected else await settle(world.connect(port))
            except OSError as error:
                peer.conversation.problem = f"could not connect: {error}"
                return
            await self._converse(peer, stream)

        if peer.steps[0].verb == "inject":
            del peer.steps[0]
            stream, other = world.pair()
            injected.append(stream)
            self._server.emit("connection", other)
        world.start(work, peer.done)

    async def _converse(self, peer: _Peer, stream: Any) -> None:
        try:
            talk = Talk(
                stream,
                self.backend.world,
                self.signals,
                peer.conversation,
                self.contexts,
                self.case.role != "server",
                self.port,
                self.variant if self.variant == BYTES else "",
            )
            await talk.follow(peer.steps)
        except Exception as error:
            peer.conversation.problem = f"the peer failed: {describe_error(error)}"

    async def _request(self) -> None:
        application, world = self._application, self.backend.world
        self.listener = listener = await settle(world.listen())
        self.port = application.port = listener.port
        for steps in self.case.peers:
            if not steps or steps[-1].verb not in LAST:
                steps = [*steps, Step("gone")]
            self.peers.append(_Peer(steps, Conversation(len(self.peers) + 1), self.backend.flag()))
        accepted = self.backend.flag()
        extra: list[int] = []

        async def accept() -> None:
            waiting = list(self.peers)
            while (stream := await settle(listener.accept())) is not None:
                if waiting:
                    peer = waiting.pop(0)
                    world.start(partial(self._converse, peer, stream), peer.done)
                else:
                    extra.append(1)
                    await settle(stream.close())
            for peer in waiting:
                peer.conversation.problem = "the application did not connect"
                peer.done.set()

        world.start(accept, accepted)
        try:
            await application.perform(self.case.program.main, application.scope)
            await application.join_tasks()
        except Exception as error:
            self.problems.append(f"the application failed: {describe_error(error)}")
        application.log.freeze()
        for request in application.requests:
            request.destroy()
        for agent in application.agents:
            agent.destroy()
            if hasattr(agent, "check_invariants"):
                self._check_pool(agent)
        self.listener = None
        await settle(listener.close())
        await settle(accepted.wait())
        for peer in self.peers:
            await settle(peer.done.wait())
        if extra:
            self.problems.append(f"{len(extra)} more connections than the case has peers")

    def _check_pool(self, agent: Any) -> None:
        """Whatever happened, the books of an agent agree and nothing is in use when all is over."""
        try:
            agent.check_invariants()
        except AssertionError as error:
            self.problems.append(f"the pool's books are wrong: {error}")
        left = {**agent.sockets, **agent.free_sockets, **agent.requests}
        if left:
            self.problems.append(f"left in the pool: {left}")


def _enter(manager: Any) -> Any:
    return manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()


def difference(what: str, expected: list[str], seen: list[str]) -> str:
    """Both as one readable diff: ``-`` was expected, ``+`` was seen."""
    lines = [f"  {line.rstrip()}" for line in difflib.ndiff(expected, seen) if line[0] != "?"]
    return "\n".join([f"{what} (- expected, + seen):", *lines])


def _bytes_differ(conversation: Conversation) -> str:
    head = f"peer {conversation.number}: {conversation.problem}"
    if conversation.wanted == conversation.seen:
        return head
    return f"{head}\n{difference('bytes', _lines(conversation.wanted), _lines(conversation.seen))}"


def _lines(data: bytes) -> list[str]:
    """Bytes as lines of escaped text, each with its line end."""
    return [repr(line)[2:-1][:300] for line in without_dates(data).splitlines(keepends=True)]
