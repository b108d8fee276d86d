"""The arguments of the ``anywire`` command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn, Protocol, cast

from . import _commands
from ._complaint import USAGE, Complaint
from ._words import parse_size

__all__ = ["Chosen", "parse_arguments"]


class Chosen(Protocol):
    """Parsed arguments of whichever command."""

    run: Callable[[Chosen], int]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage in front."""

    def error(self, message: str) -> NoReturn:
        raise Complaint(f"{message}; see {self.prog} --help", USAGE)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; it is a number from 0 (any free port) to 65535")
    return int(text)


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 10000):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 10000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return value


def _version() -> str:
    try:
        return version("anywire")
    except PackageNotFoundError:
        return "(not installed)"


_SERVE_NOTES = """\
The URL is printed when the server is ready. Ctrl-C or SIGTERM lets transfers under way finish (--grace), a second
one ends them. Every file under DIR can be read, those that begin with a dot too; symbolic links are followed as long
as they stay under DIR. Exit status: 0 after Ctrl-C or SIGTERM, 1 if it cannot listen, 2 for wrong arguments.

  anywire serve                               this folder on http://127.0.0.1:8080/
  anywire serve docs --port 0 --log           a free port, a line per response
  anywire serve /srv/in --upload              curl -T file http://127.0.0.1:8080/file
"""

_DEMO_NOTES = """\
On each backend: mirrors every file of Python's standard library from an anywire server in another process through one
keep-alive Agent, compares SHA-256 sums with the files on disk, uploads everything back with the digest in the trailer
section, streams --size bytes each way in flat memory, and shows a CONNECT tunnel, an upgrade, 100-continue and 103.
Everything happens on 127.0.0.1 and in a temporary folder. Exit status: 0 if everything was as it should, 1 if anything
was not.

  anywire demo                                every installed backend, 1 GiB each way
  anywire demo --backend trio                 one of them
  anywire demo --quick                        a few hundred files, 64 MiB
  anywire demo --root ~/project --size 4G     other input
"""


def _build() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="anywire",
        description="Node's http module for Python, on any runtime: the command line.",
        epilog="anywire COMMAND --help tells about a command.",
    )
    parser.add_argument("--version", action="version", version=f"anywire {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    raw = argparse.RawDescriptionHelpFormatter
    serve = commands.add_parser(
        "serve",
        help="serve a folder over HTTP",
        description="Serve the files of a folder over HTTP: GET, HEAD, ranges, conditional requests, listings.",
        epilog=_SERVE_NOTES,
        formatter_class=raw,
    )
    serve.add_argument("dir", nargs="?", default=".", metavar="DIR", help="the folder (default: this one)")
    serve.add_argument("--port", type=_port, default=8080, metavar="N", help="default 8080; 0 takes a free one")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default 127.0.0.1)")
    serve.add_argument("--backend", default="asyncio", metavar="NAME", help="asyncio (default), trio, sync or gevent")
    serve.add_argument("--uvloop", action="store_true", help="run asyncio on uvloop, which has to be installed")
    serve.add_argument("--upload", action="store_true", help="take PUT; a Content-Digest is checked, also as a trailer")
    serve.add_argument("--log", action="store_true", help="a line per response on stderr")
    serve.add_argument(
        "--grace", type=_seconds, default=10.0, metavar="S", help="seconds to finish after Ctrl-C (default 10)"
    )
    serve.set_defaults(run=_commands.serve)

    demo = commands.add_parser(
        "demo",
        help="mirror, verify and upload a real tree, and stream 1 GiB",
        description="The main job, on real input, with the results checked.",
        epilog=_DEMO_NOTES,
        formatter_class=raw,
    )
    demo.add_argument("--backend", default="all", metavar="NAME", help="runtime, or all that are installed (default)")
    demo.add_argument("--uvloop", action="store_true", help="run asyncio on uvloop, which has to be installed")
    demo.add_argument("--size", type=_size, metavar="N", help="length of the stream: 1G (default), 64M, …")
    demo.add_argument("--root", metavar="DIR", help="tree to mirror (default: Python's standard library)")
    demo.add_argument("--sockets", type=_count, default=8, metavar="N", help="max_sockets of the Agent (default 8)")
    demo.add_argument("--quick", action="store_true", help="at most 300 files and, unless --size says more, 64 MiB")
    demo.set_defaults(run=_commands.demo)
    return parser


def parse_arguments(arguments: Sequence[str] | None) -> Chosen:
    """Parse the command line.

    Raises:
        Complaint: it cannot be understood.
        SystemExit: ``--help`` or ``--version``, which have printed.
    """
    return cast("Chosen", _build().parse_args(arguments))
