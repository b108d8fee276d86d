"""The interpreter of ``app`` blocks: carries out operations on a backend, and writes what they show into the log.

It is written once, as coroutines, for both colours (see :mod:`.backends`). A *scope* says what
the names of the moment mean: the objects that were made, and in a handler its ``req`` and ``res``.
"""

from __future__ import annotations

import gc
import socket
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, Final

from .backends import Backend, drive, leave, settle
from .errors import ScenarioError
from .folders import certificate
from .language import Operation, Program, Section
from .observing import Log, describe_error, describe_event, describe_pool, shown
from .peers import Signals
from .scopes import Scope
from .things import Aborter, Delegate, Given, Sink
from .values import Values

__all__ = ["HOOKS", "Application"]

HOOKS: Final = frozenset({"request", "check_continue", "check_expectation", "connect", "upgrade", "client_error"})
"""Events of a server whose listeners may wait."""

CLIENT_HOOKS: Final = frozenset({"connect", "upgrade"})

_ARGUMENTS: Final = {
    "check_continue": ("req", "res"),
    "check_expectation": ("req", "res"),
    "client_error": ("error", "socket"),
    "connection": ("socket",),
    "data": ("chunk",),
    "drop": ("info",),
    "error": ("error",),
    "free": ("socket",),
    "information": ("info",),
    "request": ("req", "res"),
    "response": ("res",),
    "socket": ("socket",),
    "timeout": ("socket",),
}
_SWITCHED: Final = ("req", "socket", "head")
_OPTIONS: Final = {
    "keep_alive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "no_delay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
}
_ADDRESS: Final = frozenset({"host", "hostname", "port", "socket_path", "create_connection"})


class Application(Values):
    """One application during one run."""

    def __init__(self, backend: Backend, program: Program, log: Log, signals: Signals, *, secure: bool = False) -> None:
        self.backend = backend
        self.modules = {"http": backend.http, "https": backend.https} if secure else {"http": backend.http}
        self._global_agents = {name: module.global_agent for name, module in self.modules.items()}
        self.module = "https" if secure else "http"
        self.program = program
        self.log = log
        self.signals = signals
        self.port = 0
        self.problems: list[str] = []
        self.scope = Scope(dict(self.modules), {})
        self.requests: list[Any] = []
        self.agents: list[Any] = []
        self.listen: Callable[..., Any] | None = None
        self._tasks: dict[str, Any] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._pending: list[Callable[[], object]] = []
        self._dispatched = 0
        self._handling = 0
        self._handled: list[Any] = []

    def restore(self) -> None:
        """Give each module its own global agent back."""
        for name, agent in self._global_agents.items():
            if self.modules[name].global_agent is not agent:
                self.modules[name].set_global_agent(agent)

    # ---------------------------------------------------------------- operations

    async def perform(self, section: Section, scope: Scope) -> Any:
        """Carry out the operations of a section, one after the other. Returns what it says.

        What ``on`` sections say about an object begins after the ``watch`` lines that follow its making.
        """
        for operation in section.operations:
            if self._pending and operation.verb != "watch":
                self._attach_pending()
            if operation.verb == "return":
                return self._value(operation.args[0], scope)
            text = _relabelled(operation, scope)
            value = None  # of the operation before: nothing may be held for its sake
            try:
                value = await self._evaluate(operation, scope)
            except ScenarioError:
                raise
            except Exception as error:
                if operation.mode != "try":
                    raise
                self.log.add(f"{text} throws {describe_error(error)}")
                continue
            if operation.mode == "show":
                itself = operation.verb == "call" and value is scope.look_up(operation.path[:-1])
                self.log.add(f"{text} -> {'itself' if itself else shown(value)}")
            elif operation.mode == "try":
                self.log.add(f"{text} ok")
        self._attach_pending()

    def _attach_pending(self) -> None:
        pending, self._pending = self._pending, []
        for attach in pending:
            attach()

    async def _evaluate(self, operation: Operation, scope: Scope) -> Any:
        verb = operation.verb
        if verb in ("call", "read"):
            target = scope.look_up(operation.path)
            if verb == "read":
                if operation.name:
                    self._name(operation.name, target, scope)
                    self._observe_made(operation.name, target)
                return target
            args = [self._value(each, scope) for each in operation.args]
            if operation.path[-1] == "emit" and args[0] in HOOKS and len(operation.path) == 2:
                target = getattr(scope.look_up(operation.path[:-1]), "dispatch", target)  # whoever listens may wait
            value = await settle(target(*args, **self._named(operation, scope)))
            if operation.name:
                self._name(operation.name, value, scope)
                self._observe_made(operation.name, value)
            return value
        if verb == "set":
            owner = scope.look_up(operation.path[:-1])
            setattr(owner, operation.path[-1], self._value(operation.args[0], scope))
            return None
        return await getattr(self, f"_do_{verb}")(operation, scope)

    async def _do_request(self, operation: Operation, scope: Scope) -> Any:
        given = [self._value(each, scope) for each in operation.args]
        url = [each for each in given if type(each) is not dict]
        options: dict[str, Any] = {}
        for each in given:
            if type(each) is dict:
                options.update(each)
        options.update(self._named(operation, scope))
        if not url and _ADDRESS.isdisjoint(options):
            options.update(host="127.0.0.1", port=self.port)
        if isinstance(options.get("agent"), str):
            options["agent"] = scope.look_up((options["agent"],))
        module = operation.path[0] if operation.path else self.module
        if options.get("agent") in (None, False):
            self._trust(module, options)
        made = getattr(self.modules[module], operation.verb)(*url, **options)
        self.requests.append(made)
        if operation.name:
            self._name(operation.name, made, scope)
            self._observe_made(operation.name, made)
        return made

    _do_get = _do_request

    def _trust(self, module: str, options: dict[str, Any]) -> None:
        """Whoever does not say whom it trusts trusts the authority of this suite."""
        if module == "https" and options.keys().isdisjoint(("ca", "reject_unauthorized")):
            options["ca"] = certificate("authority")

    def make_server(self) -> Any:
        """The server of the line ``server {...}``. An https server without a certificate is ``localhost``."""
        options = self._value(self.program.server)
        if self.module == "https" and "cert" not in options:
            options["cert"] = options["key"] = certificate("localhost")
        return self.modules[self.module].create_server(**options)

    async def _do_agent(self, operation: Operation, scope: Scope) -> Any:
        options = {**(self._value(operation.args[0]) if operation.args else {}), **self._named(operation, scope)}
        module = operation.path[0] if operation.path else self.module
        self._trust(module, options)
        made = self.modules[module].Agent(**options)
        self.agents.append(made)
        if operation.name:
            self._name(operation.name, made, scope)
            self._observe_made(operation.name, made)
        return made

    async def _do_options(self, operation: Operation, scope: Scope) -> None:
        own, *rest = [self._value(each, scope) for each in operation.args]
        self._name(operation.name, Given(own, rest[0] if rest else {}), scope)

    async def _do_aborter(self, operation: Operation, scope: Scope) -> None:
        self._name(operation.name, Aborter(), scope)

    async def _do_sink(self, operation: Operation, scope: Scope) -> None:
        self._name(operation.name, Sink(), scope)

    async def _do_standalone(self, operation: Operation, scope: Scope) -> None:
        request = SimpleNamespace(**self._value(operation.args[0]))
        self._name(operation.name, self.backend.http.ServerResponse(request), scope)

    def _name(self, name: str, value: Any, scope: Scope) -> None:
        scope.names[name] = value
        self.scope.names[name] = value

    async def _do_watch(self, operation: Operation, scope: Scope) -> None:
        label = scope.label(operation.path)
        for event in operation.args:
            self._when_there(operation.path, scope, partial(self._watch, label=label, event=event))

    def _watch(self, target: Any, label: str, event: str) -> None:
        def seen(*args: Any) -> None:
            if event == "data":
                self.log.add(f"{label} data", args[0])
            else:
                self.log.add(f"{label} {describe_event(event, args)}")

        target.on(event, seen)

    async def _do_until(self, operation: Operation, scope: Scope) -> None:
        await settle(self.log.expect(" ".join([scope.label(operation.path), *operation.args])).wait())

    async def _do_note(self, operation: Operation, scope: Scope) -> None:
        self.log.add("note " + " ".join(str(each) for each in operation.args))

    async def _do_count(self, operation: Operation, scope: Scope) -> None:
        agent = scope.look_up(operation.path)
        counts = [sum(map(len, each.values())) for each in (agent.sockets, agent.free_sockets, agent.requests)]
        self.log.add("{} sockets {}, free {}, requests {}".format(scope.label(operation.path), *counts))

    async def _do_stats(self, operation: Operation, scope: Scope) -> None:
        for line in describe_pool(scope.look_up(operation.path)):
            self.log.add(f"{scope.label(operation.path)} {line}".replace(str(self.port), "PORT"))

    async def _do_most(self, operation: Operation, scope: Scope) -> None:
        name, limit = scope.label(operation.path), int(operation.args[0])
        value = scope.look_up(operation.path)
        self.log.add(f"{name} at most {limit}" if value <= limit else f"{name} is {value}")

    async def _do_option(self, operation: Operation, scope: Scope) -> None:
        name = operation.args[0]
        sock = scope.look_up(operation.path).connection.pump.info("socket")
        self.log.add(f"{scope.label(operation.path)} option {name} -> {shown(bool(sock.getsockopt(*_OPTIONS[name])))}")

    async def _do_leave(self, operation: Operation, scope: Scope) -> None:
        await settle(leave(scope.look_up(operation.path)))

    async def _do_same(self, operation: Operation, scope: Scope) -> None:
        other = tuple(operation.args[0].split("."))
        one = scope.look_up(operation.path) is scope.look_up(other)
        self.log.add(f"{scope.label(operation.path)} is {'' if one else 'not '}{scope.label(other)}")

    async def _do_connect(self, operation: Operation, scope: Scope) -> None:
        if operation.path:
            agent = scope.look_up(operation.path)
            made = type(agent).create_connection(agent, scope.look_up(("options",)))
        else:
            made = self.backend.world.dial(self.port)
        self._name(operation.name, await settle(made), scope)

    async def _do_duplex(self, operation: Operation, scope: Scope) -> None:
        backend: Any = self.backend
        stream = await settle(backend.duplex(self.port))
        name, log = operation.name, self.log
        stream.set_keep_alive = lambda *args: log.add(" ".join([f"{name} set_keep_alive", *map(shown, args)]))
        self._name(name, stream, scope)

    async def _do_delegate(self, operation: Operation, scope: Scope) -> None:
        agent = scope.look_up((operation.args[0],)) if operation.args[0] else None
        self._name(operation.name, Delegate(agent, self.log, operation.name), scope)

    async def _do_throw(self, operation: Operation, scope: Scope) -> None:
        raise self._value(operation.args[0], scope)

    async def _do_forget(self, operation: Operation, scope: Scope) -> None:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            made = scope.look_up(operation.path)
            self.requests = [each for each in self.requests if each is not made]
            for names in (scope.names, self.scope.names):
                names.pop(operation.path[0], None)
            del made
            gc.collect()
        for each in warned:
            self.log.add(f"{operation.text} warns {each.message}")

    async def _do_signal(self, operation: Operation, scope: Scope) -> None:
        for name in operation.args:
            self.signals[name].set()

    async def _do_wait(self, operation: Operation, scope: Scope) -> None:
        for name in operation.args:
            await settle(self.signals[name].flag.wait())

    async def _do_start(self, operation: Operation, scope: Scope) -> None:
        for name in operation.args:
            section = self.program.tasks.get(name)
            if section is None:
                raise ScenarioError(f"there is no task {name!r}")
            self._tasks[name] = self.backend.start(partial(self._task, section))

    async def _task(self, section: Section) -> None:
        try:
            await self.perform(section, self.scope)
        except Exception as error:
            self.problems.append(f"task {section.words[0]} failed: {describe_error(error)}")

    async def _do_join(self, operation: Operation, scope: Scope) -> None:
        await self.join_tasks(operation.args)

    async def _do_cancel(self, operation: Operation, scope: Scope) -> None:
        for name in operation.args:
            self._tasks[name].cancel()

    async def _do_listen(self, operation: Operation, scope: Scope) -> None:
        if self.listen is None:
            raise ScenarioError("only a server listens")
        await self.listen(*(self._value(each, scope) for each in operation.args), **self._named(operation, scope))

    async def _do_sleep(self, operation: Operation, scope: Scope) -> None:
        clock: Any = self.backend
        await clock.sleep(float(operation.args[0]))

    async def join_tasks(self, names: Sequence[str] = ()) -> None:
        """Wait for these tasks, or for all that were started."""
        for name in names or list(self._tasks):
            await settle(self._tasks.pop(name).join())

    # ---------------------------------------------------------------- observers

    def _when_there(self, path: tuple[str, ...], scope: Scope, use: Callable[[Any], None]) -> None:
        """Call `use` with what `path` means; ``NAME.res`` may come into being only with the response."""
        target = scope.look_up(path)
        if target is None and path[-1] in ("res", "socket"):
            event = "response" if path[-1] == "res" else "socket"
            scope.look_up(path[:-1]).once(event, use)
        else:
            use(target)

    def _observe_made(self, name: str, made: Any) -> None:
        """Attach the ``on NAME…`` sections of something that was just made."""
        for section in self.program.observers:
            path = tuple(section.words[0].split("."))
            if path[0] == name:
                scope = self.scope.inner({name: made}, {})
                use = partial(self._observe, section=section, scope=scope)
                self._pending.append(partial(self._when_there, path, scope, use))

    def _observe(self, target: Any, section: Section, scope: Scope) -> None:
        event = section.words[1]
        label = scope.label(tuple(section.words[0].split(".")))
        names = _SWITCHED if event in CLIENT_HOOKS else _ARGUMENTS.get(event, ())

        def inner(args: tuple[Any, ...]) -> Scope:
            given = dict(zip(("res", *names[1:]) if event in CLIENT_HOOKS else names, args, strict=False))
            return scope.inner(given, {each: f"{label}.{each}" for each in given})

        if event in CLIENT_HOOKS:
            target.on(event, self.backend.hook(lambda *args: self.perform(section, inner(args))))
        else:
            target.on(event, lambda *args: self._at_once(section, inner(args)))

    def _at_once(self, section: Section, scope: Scope) -> None:
        try:
            drive(self.perform(section, scope))
        except ScenarioError as error:
            self.problems.append(f"on {' '.join(section.words)}: {error}")

    # ---------------------------------------------------------------- a server's hooks

    def attach_hooks(self, server: Any) -> None:
        """Register the ``on EVENT [URL]:`` sections with `server`, once main says something else than ``watch``."""
        self.scope.names["server"] = server
        for event in dict.fromkeys(section.words[0] for section in self.program.hooks):
            sections = [section for section in self.program.hooks if section.words[0] == event]
            if event in HOOKS:
                hook = self.backend.hook(self._handler(event, sections))
                self._pending.append(partial(server.on, event, hook))
            else:
                for section in sections:
                    observer = Section("on", ("server", event), section.operations)
                    self._pending.append(partial(self._observe, server, observer, self.scope))

    def _handler(self, event: str, sections: list[Section]) -> Callable[..., Any]:
        names = _ARGUMENTS.get(event, _SWITCHED)

        async def handle(*args: Any) -> None:
            scope = self._entered(dict(zip(names, args, strict=True)))
            url = getattr(args[0], "url", None)
            section = next((each for each in sections if each.words[1:] in ((), (url,))), None)
            if section is None:
                raise ScenarioError(f"nothing handles {event} {url}")
            self._handling += 1
            try:
                await self.perform(section, scope)
            finally:
                self._handling -= 1
                for flag in self._handled:
                    flag.set()

        return handle

    def _entered(self, given: dict[str, Any]) -> Scope:
        """The scope of a handler: the second request of a run is ``req2`` in the log, and so on."""
        labels = {}
        if "req" in given:
            self._dispatched += 1
            number = "" if self._dispatched == 1 else str(self._dispatched)
            labels = {name: f"{name}{number}" for name in given}
        scope = self.scope.inner(given, labels)
        for section in self.program.observers:
            path = tuple(section.words[0].split("."))
            if path[0] in given:
                self._pending.append(partial(self._observe, scope.look_up(path), section, scope))
        return scope

    async def handlers_ended(self) -> None:
        """Wait until no handler runs (those of upgraded connections outlive them)."""
        while self._handling:
            flag = self.backend.flag()
            self._handled.append(flag)
            if self._handling:
                await settle(flag.wait())


def _relabelled(operation: Operation, scope: Scope) -> str:
    """The text of an operation with its first name as the log has it."""
    if operation.verb in ("call", "read") and operation.path[0] in scope.labels and not operation.name:
        return scope.labels[operation.path[0]] + operation.text[len(operation.path[0]) :]
    return operation.text
