"""A server is handed streams that are no sockets of anybody's (SRV-5): the cases about tunnels, through a disguise."""

from __future__ import annotations

from typing import Any

import pytest

from anywire.conformance.backends import installed, resolve
from anywire.conformance.cases import Case, load_cases
from anywire.conformance.running import PASS, run_case
from anywire.core.facade._server import Server
from anywire.core.facade.awaiting import Socket as AwaitingSocket
from anywire.core.facade.blocking import Socket as BlockingSocket

CASES = [case for case in load_cases(only=["SRV-5"]) if "tunnel" in case.name]


class Disguised:
    """Carries bytes, and is of no class that anywire knows."""

    def __init__(self, socket: Any) -> None:
        self.receive, self.send, self.close = socket.receive, socket.send, socket.close
        self.send_eof = socket.send_eof


@pytest.mark.parametrize("name", installed())
@pytest.mark.parametrize("case", CASES, ids=str)
def test_any_stream_of_bytes_is_served_SRV_5(name: str, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Server.emit
    disguised: list[Disguised] = []

    def emit(self: Any, event: str, *args: Any) -> bool:
        if event == "connection" and isinstance(args[0], (AwaitingSocket, BlockingSocket)):
            disguised.append(Disguised(args[0]))
            args = (disguised[0],)
        return original(self, event, *args)

    monkeypatch.setattr(Server, "emit", emit)
    outcome = run_case(resolve(name), case, "whole")
    assert outcome.verdict == PASS, outcome.details
    assert len(disguised) == 1


def test_there_is_one() -> None:
    assert CASES
