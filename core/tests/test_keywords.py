"""What type checkers are told of options is what the core takes (ASK-59)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from mypy import api

from anywire.core import (
    AgentKeywords,
    ArgumentTypeError,
    ArgumentValueError,
    ClientAgent,
    RequestKeywords,
    ServerKeywords,
    request_options,
    server_options,
)
from anywire.core._client_agent import AGENT_OPTIONS
from anywire.core._options import REQUEST_OPTIONS
from anywire.core._server_options import SERVER_OPTIONS, ServerOptions

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("keywords", "options"),
    [
        (RequestKeywords, REQUEST_OPTIONS),
        (AgentKeywords, AGENT_OPTIONS),
        (ServerKeywords, SERVER_OPTIONS),
    ],
)
def test_the_names_are_those_of_the_tables(keywords: Any, options: frozenset[str]) -> None:
    assert keywords.__optional_keys__ == options
    assert keywords.__required_keys__ == frozenset()


@pytest.mark.parametrize(
    ("keywords", "take"),
    [
        (RequestKeywords, lambda options: request_options(None, options)),
        (AgentKeywords, lambda options: ClientAgent(**options)),
        (ServerKeywords, server_options),
    ],
)
def test_where_none_is_told_it_is_taken(keywords: Any, take: Any) -> None:
    for name, kind in get_type_hints(keywords).items():
        if kind is Any or type(None) in get_args(kind):
            take({name: None})
        else:
            with pytest.raises((ArgumentTypeError, ArgumentValueError), match=name):
                take({name: None})


def test_the_types_of_a_server_are_those_it_ends_up_with() -> None:
    """None besides: it stands for the default everywhere."""
    told, kept = get_type_hints(ServerKeywords), get_type_hints(ServerOptions)
    names = told.keys() & kept.keys() - {
        "tls",
        "unique_headers",
        "at_max_connections",
    }  # narrower, or in another form, than kept
    assert len(names) >= 20
    assert {name: told[name] for name in names} == {name: kept[name] | None for name in names}


RIGHT = """\
from __future__ import annotations

from pathlib import Path
from typing import Unpack

from anywire.core import AgentKeywords, RequestKeywords
from anywire.{backend} import http, https

agent = http.Agent(keep_alive=True, max_sockets=8, scheduling="lifo", timeout=5, socket_path=Path("/run/x"))
secure = https.Agent(max_cached_sessions=5, ca=[Path("ca.pem"), "pem"], keep_alive=True)
http.request("http://h/", method="POST", headers={{"A": "1", "B": ["2", "3"]}}, agent=agent, deadline=3.0)
http.request("http://h/", headers=[("A", "1")], agent=False)
https.get("https://h/", agent=secure, cert=b"pem", reject_unauthorized=False, tls={{"odd": 1}})
http.create_server(print, headers_timeout=5, unique_headers=["a"], max_connections=None)
https.create_server({{"cert": "x"}}, print, request_cert=True)


def pool(**options: Unpack[AgentKeywords]) -> http.Agent:
    return http.Agent(**options)


def fetch(url: str, **options: Unpack[RequestKeywords]) -> http.ClientRequest:
    return http.get(url, **options)
"""

WRONG = """\
from __future__ import annotations

from anywire.{backend} import http, https

http.get("http://h/", timeuot=5)
http.get("http://h/", timeout="5")
http.get("http://h/", headers=5)
http.get("http://h/", agent=True)
https.Agent(max_socket=5)
https.Agent(keep_alive="yes")
http.Agent(scheduling="random")
http.create_server(request_timeout="x")
http.create_server(keepAliveTimeout=5)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "sync"])
def test_a_type_checker_knows_them(backend: str, tmp_path: Path) -> None:
    """One of each colour. The wrong lines are found, each of them, and the right ones are right."""
    for name, text in (("right", RIGHT), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(text.format(backend=backend))
    out, err, _ = api.run(
        [
            "--config-file", str(ROOT / "pyproject.toml"), "--python-executable", sys.executable,
            "--cache-dir", str(tmp_path / "cache"), "--follow-imports", "silent", "--no-pretty",
            str(tmp_path / "right.py"), str(tmp_path / "wrong.py"),
        ]
    )  # fmt: skip
    assert err == ""
    found = [line for line in out.splitlines() if ": error: " in line]
    assert [line for line in found if "right.py" in line] == []
    lines = {int(line.split(":")[1]) for line in found if "wrong.py" in line}
    assert lines == set(range(5, len(WRONG.splitlines()) + 1)), out
