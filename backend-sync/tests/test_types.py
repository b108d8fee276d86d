"""What the functions return is of the classes that the modules name: mypy reads this file, too."""

from __future__ import annotations

from anywire.sync import http, https


def cancel(req: http.ClientRequest) -> bool:
    return req.destroy().destroyed


def limit(server: http.Server) -> int:
    server.max_workers = 64
    return server.max_workers


def test_classes() -> None:
    assert cancel(http.request("http://127.0.0.1:1/")) and cancel(https.get("https://127.0.0.1:1/"))
    assert limit(http.create_server()) == limit(https.create_server()) == 64
    agent: http.Agent = http.global_agent
    assert isinstance(agent, http.Agent)
