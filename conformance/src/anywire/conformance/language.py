r"""The language of case documents: what the application does, and what its peer does.

An ``app`` block holds operations, one a line. They are so few and so plain that an
interpreter for them is a page of code in any language: here for both colours of
Python, in JavaScript for Node. ``conformance/README.md`` is the reference. In short::

    A = agent {"keep_alive": true}          make something and name it
    a = request {"agent": "A"}
    watch a response close                  write these events into the log
    a.write "hello"                         call; waits as long as it takes
    show a.res.headers                      write the value into the log
    try a.set_header "a b" "1"              write "throws CODE" into the log
    on a response:                          what an observer does
    task second:                            what runs beside the rest

Arguments are JSON; in place of a value may stand ``{"$bytes": "\u00ff"}`` (octets),
``{"$repeat": ["x", 1000]}`` (a text so many times) and others (see the
README); ``name=JSON`` is an argument by name.

A ``peer`` block is what travels on one connection, as bytes::

    > GET / HTTP/1.1\r\nHost: h\r\n\r\n     the peer sends; lines that follow each other are one packet
    < HTTP/1.1 200 OK\r\n                   the peer must receive exactly this; <D> is a date, PORT a number
    eof                                     the peer ends its sending side
    end                                     the application must end its sending side now
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from .documents import DocumentError, unescape

__all__ = [
    "ATTRIBUTES",
    "CALLS",
    "LAST",
    "MAKERS",
    "Operation",
    "Program",
    "Section",
    "Step",
    "parse_application",
    "parse_peer",
]

MAKERS: Final = frozenset({"aborter", "agent", "delegate", "get", "options", "request", "sink", "standalone"})
"""Operations that make a named object."""

CALLS: Final = frozenset(
    """
    abort add_request add_trailers address append_header assign_socket clear_timeout close close_all_connections
    close_idle_connections cork create_server destroy detach_socket emit end end_nowait event_names flush_headers
    get_connections get_header get_header_names get_headers get_name get_raw_header_names has_header listen
    listener_count off on once pause pipe prepend_listener prepend_once_listener read receive ref
    remove_all_listeners remove_header remove_listener response resume send send_eof set_encoding
    set_global_agent set_header set_headers set_keep_alive set_no_delay set_socket_keep_alive set_timeout uncork
    unref unshift upgraded validate_header_name validate_header_value write write_continue write_early_hints
    write_head write_header write_information write_nowait write_processing
    """.split()
)
"""Methods that operations may call."""

ATTRIBUTES: Final = frozenset(
    """
    Agent ClientRequest IncomingMessage METHODS OutgoingMessage STATUS_CODES Server ServerResponse aborted agent
    authorized bytes_parsed chunked_encoding closing code complete create_connection default_max_sockets default_port
    destroyed encrypted excerpt field finished free_sockets global_agent headers headers_distinct headers_sent
    headers_timeout host http_allow_half_open http_version http_version_major http_version_minor insecure_http_parser
    keep_alive keep_alive_delay keep_alive_timeout keep_socket_alive listening local_address local_family local_port
    max_cached_sessions max_connections max_free_sockets max_header_size max_headers_count max_requests_per_socket
    max_sockets max_total_sockets message method options path phase port protocol raw_headers raw_packet raw_trailers
    readable_high_water_mark readable_length reason remote_address remote_family req request_timeout requests res
    reuse_socket reused_socket scheduling send_date servername should_keep_alive socket socket_path sockets
    status_code status_hint status_message syscall text timeout trailers trailers_distinct upgrade url
    use_chunked_encoding_by_default writable writable_corked writable_ended writable_finished writable_high_water_mark
    writable_length writable_object_mode
    """.split()
)
"""Attributes that operations may read, or write with ``set``."""

_WORDS: Final = frozenset(
    """
    cancel connect count duplex forget join leave listen most note option return same set show signal sleep start
    stats throw try until wait watch
    """.split()
)
_MAKE = re.compile(r"([A-Za-z]\w*) *= *(?=[a-z])")
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_NAMED = re.compile(r"([a-z_]+)=")
_HEADER = re.compile(r"(on|task|function|async)((?: +[^ ]+)+):")
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class Operation:
    """One line of an application.

    Attributes:
        line: where, counted from 1 within the block.
        text: as written, without ``show`` and ``try``.
        mode: ``""``, ``"show"`` or ``"try"``.
        verb: a word such as ``watch``, one of :data:`MAKERS`, ``call`` or ``read`` (an attribute).
        path: the dotted name it is about; of a maker the module, if it is said.
        name: what the result is called, or ``""``.
        args: JSON values, still with ``$`` forms.
        named: the same, by name.
    """

    line: int
    text: str
    mode: str = ""
    verb: str = ""
    path: tuple[str, ...] = ()
    name: str = ""
    args: list[Any] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Section:
    """Operations under one header: the main part, ``on …:`` or ``task NAME:``."""

    kind: str
    words: tuple[str, ...]
    operations: list[Operation] = field(default_factory=list)


@dataclass(slots=True)
class Program:
    """A whole ``app`` block.

    Attributes:
        server: options of the server (the line ``server {...}``).
        main: what is done first.
        hooks: ``on EVENT [URL]:`` of the server.
        observers: ``on PATH EVENT:`` of anything else.
        tasks: by name.
        functions: by name; ``async`` ones may wait.
    """

    server: dict[str, Any] = field(default_factory=dict)
    main: Section = field(default_factory=lambda: Section("main", ()))
    hooks: list[Section] = field(default_factory=list)
    observers: list[Section] = field(default_factory=list)
    tasks: dict[str, Section] = field(default_factory=dict)
    functions: dict[str, Section] = field(default_factory=dict)

    @property
    def sections(self) -> list[Section]:
        """All of them."""
        return [self.main, *self.hooks, *self.observers, *self.tasks.values(), *self.functions.values()]


def parse_application(text: str, where: str) -> Program:
    """Read an ``app`` block.

    Raises:
        DocumentError: an operation that is not of the language, with its place.
    """
    program = Program()
    section = program.main
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        try:
            if line.startswith("server {"):
                program.server = _json(line[7:])
            elif header := _HEADER.fullmatch(line):
                section = _section(program, header[1], header[2].split())
            else:
                section.operations.append(_operation(number, line))
        except ValueError as error:
            raise DocumentError(f"{where}, line {number} of its app block: {error}: {line}") from error
    return program


def _section(program: Program, kind: str, words: list[str]) -> Section:
    section = Section(kind, tuple(words))
    if kind == "task":
        program.tasks[words[0]] = section
    elif kind in ("function", "async"):
        program.functions[words[0]] = section
    elif len(words) == 1 or words[1].startswith("/"):
        program.hooks.append(section)
    else:
        program.observers.append(section)
    return section


def _operation(number: int, line: str) -> Operation:
    mode, _, rest = line.partition(" ")
    if mode not in ("show", "try"):
        mode, rest = "", line
    operation = Operation(number, rest, mode)
    if made := _MAKE.match(rest):
        operation.name = made[1]
        rest = rest[made.end() :]
    path = _PATH.match(rest)
    if path is None:
        raise ValueError("no operation")
    parts = tuple(path[0].split("."))
    rest = rest[path.end() :].strip()
    if len(parts) == 1 and (parts[0] in _WORDS or parts[0] in MAKERS):
        return _statement(operation, parts[0], rest)
    if len(parts) == 2 and parts[0] in ("http", "https") and parts[1] in MAKERS:
        operation.path = parts[:1]
        return _statement(operation, parts[1], rest)
    last = parts[-1]
    operation.path = parts
    if last in CALLS and (rest or last not in ATTRIBUTES):
        operation.verb = "call"
    elif last in ATTRIBUTES or (len(parts) == 1 and mode == "show"):
        operation.verb = "read"
    else:
        raise ValueError(f"{last!r} is not a word of the language")
    _arguments(operation, rest)
    return operation


def _statement(operation: Operation, verb: str, rest: str) -> Operation:
    operation.verb = verb
    if verb in MAKERS or verb in ("listen", "return", "throw"):
        _arguments(operation, rest)
    elif verb == "set":
        path, _, value = rest.partition(" ")
        operation.path = tuple(path.split("."))
        if operation.path[-1] not in ATTRIBUTES:
            raise ValueError(f"{operation.path[-1]!r} is not a word of the language")
        _arguments(operation, value)
    elif verb in ("connect", "count", "forget", "leave", "most", "option", "same", "stats", "until", "watch") and rest:
        path, *operation.args = rest.split()
        operation.path = tuple(path.split("."))
    else:
        operation.args = list(rest.split())
    return operation


def _arguments(operation: Operation, text: str) -> None:
    while text:
        name = _NAMED.match(text)
        value, end = _DECODER.raw_decode(text, name.end() if name else 0)
        if name:
            operation.named[name[1]] = value
        else:
            operation.args.append(value)
        text = text[end:].lstrip()


def _json(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("a mapping is needed")
    return value


# ---------------------------------------------------------------- the peer


@dataclass(slots=True)
class Step:
    """One step of a peer.

    Attributes:
        verb: ``connect``, ``inject``, ``refused`` (how the connection is made, or not), ``send``, ``want`` (bytes),
            ``packet`` (bytes in one piece), ``eof``, ``reset``, ``close`` (what the peer does), ``end``, ``gone``,
            ``cut`` (what must come), ``wait``, ``signal``, ``sleep``; and of TLS: ``tls`` (begin), ``bare`` (do not),
            ``has``, ``hello``, ``alert`` (what must come), ``fin``, ``goodbye``, ``raw``,
            ``ask``.
        data: for ``send``, ``want``, ``packet`` and ``raw``.
        flag: for ``wait`` and ``signal``; what of TLS, for ``has``; seconds, for ``sleep``.
        text: for ``tls`` its options, for ``has`` the value, as JSON.
    """

    verb: str
    data: bytes = b""
    flag: str = ""
    text: str = ""

    @property
    def options(self) -> Any:
        """What `text` says, or None."""
        return json.loads(self.text) if self.text else None


_BYTES: Final = {">": "send", "<": "want", "<<": "packet"}
LAST: Final = frozenset({"alert", "close", "cut", "end", "gone", "refused", "reset"})
"""Steps after which there is none that goes without saying."""

_STEPS: Final = LAST | {"ask", "bare", "connect", "eof", "fin", "goodbye", "hello", "inject"}


def parse_peer(text: str, where: str) -> list[Step]:
    """Read a ``peer`` block.

    Raises:
        DocumentError: a line that is none of the steps.
    """
    steps: list[Step] = []
    joins = False
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.partition(" ")
        if verb := _BYTES.get(word):
            data = unescape(rest)
            if joins and steps[-1].verb == verb:
                steps[-1].data += data
            else:
                steps.append(Step(verb, data))
            joins = True
            continue
        joins = False
        if not line.strip() or line.startswith("#"):
            continue
        if word in ("wait", "signal", "sleep") and rest:
            steps.append(Step(word, flag=rest.strip()))
        elif word == "raw":
            steps.append(Step(word, unescape(rest)))
        elif line.strip() in _STEPS:
            steps.append(Step(line.strip()))
        elif word in ("tls", "has"):
            steps.append(_secure_step(word, rest, f"{where}, line {number} of a peer block"))
        else:
            raise DocumentError(f"{where}, line {number} of a peer block: not a step: {line}")
    return steps


def _secure_step(verb: str, text: str, where: str) -> Step:
    flag = ""
    try:
        if verb == "has":
            flag, _, text = text.partition(" ")
        return Step(verb, flag=flag, text=json.dumps(json.loads(text or "{}"), separators=(",", ":")))
    except ValueError as error:
        raise DocumentError(f"{where}: {error}: {verb} {text}") from error
