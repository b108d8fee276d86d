"""The two modules have every name of the naming table (spec: module part), documented."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import anywire.asyncio
from anywire.asyncio import http, https
from anywire.core.facade.awaiting import Server

NAMES = """
METHODS STATUS_CODES create_server request get global_agent set_global_agent max_header_size Agent ClientRequest Server
ServerResponse IncomingMessage OutgoingMessage validate_header_name validate_header_value
""".split()

MEMBERS: dict[str, str] = {
    "Agent": """max_sockets max_free_sockets max_total_sockets scheduling keep_alive keep_alive_delay timeout
        create_connection keep_socket_alive reuse_socket destroy get_name free_sockets sockets requests options
        default_port protocol default_max_sockets add_request on once off emit listener_count prepend_listener""",
    "ClientRequest": """abort aborted agent destroy destroyed socket finished writable_ended writable_finished
        max_headers_count path method host protocol reused_socket response res timeout set_timeout clear_timeout
        set_header get_header get_headers get_header_names has_header remove_header headers_sent flush_headers write
        end add_trailers cork uncork writable_length writable_high_water_mark writable_corked writable_object_mode
        send_date should_keep_alive use_chunked_encoding_by_default chunked_encoding write_nowait
        on once off emit listener_count prepend_listener""",
    "Server": """listen listening address close get_connections max_connections timeout keep_alive_timeout
        headers_timeout max_headers_count set_timeout http_allow_half_open request_timeout serve_forever
        close_idle_connections close_all_connections on once off emit listener_count prepend_listener""",
    "ServerResponse": """status_code status_message write_head write_continue write_processing write_information
        set_timeout socket destroy set_header get_header get_headers get_header_names has_header remove_header
        headers_sent flush_headers write end add_trailers cork uncork writable_length send_date should_keep_alive
        writable_ended writable_finished finished chunked_encoding write_nowait
        on once off emit listener_count prepend_listener""",
    "IncomingMessage": """headers raw_headers trailers raw_trailers http_version http_version_major
        http_version_minor method url status_code status_message complete aborted upgrade socket req set_timeout
        destroy set_encoding read resume pipe __aiter__ on once off emit listener_count prepend_listener""",
}


@pytest.fixture(params=[http, https], ids=["http", "https"])
def module(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_package_has_two_modules() -> None:
    assert set(anywire.asyncio.__all__) == {"http", "https"}


def test_names(module: Any) -> None:
    """MOD-1 to MOD-12, MOD-64."""
    assert set(NAMES) <= set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None, name


@pytest.mark.parametrize("kind", MEMBERS)
def test_members(module: Any, kind: str) -> None:
    made = getattr(module, kind)
    slots = {slot for base in made.__mro__ for slot in getattr(base, "__slots__", ())}
    attributes: set[str] = set()
    if kind == "Agent":
        attributes = set(vars(made()))
    missing = [
        name for name in MEMBERS[kind].split() if not (hasattr(made, name) or name in slots or name in attributes)
    ]
    assert not missing


def test_everything_public_is_documented(module: Any) -> None:
    assert module.__doc__
    undocumented = []
    for name in module.__all__:
        member = getattr(module, name)
        if not (inspect.isclass(member) or inspect.isfunction(member)):
            continue
        if not inspect.getdoc(member):
            undocumented.append(name)
        if inspect.isclass(member):
            undocumented += [
                f"{name}.{each}"
                for each, value in inspect.getmembers(member)
                if not each.startswith("_")
                and (inspect.isfunction(value) or isinstance(value, property))
                and not inspect.getdoc(value)
            ]
    assert not undocumented


def test_constants(module: Any) -> None:
    """MOD-1, MOD-4, MOD-7."""
    assert len(module.METHODS) == 34
    assert module.STATUS_CODES[404] == "Not Found"
    assert module.max_header_size == 16384


def test_max_header_size_is_read_only(module: Any) -> None:
    """MOD-8."""
    with pytest.raises((TypeError, AttributeError)):
        module.max_header_size = 1
    assert module.max_header_size == 16384


def test_global_agent_can_be_replaced(module: Any) -> None:
    """MOD-11, MOD-12."""
    before = module.global_agent
    assert isinstance(before, module.Agent)
    made = module.Agent()
    try:
        module.global_agent = made
        assert module.global_agent is made
        module.set_global_agent(before)
        assert module.global_agent is before
    finally:
        module.global_agent = before


def test_defaults_of_the_agents() -> None:
    """MOD-65, MOD-68, AGT-9."""
    assert (http.global_agent.default_port, http.global_agent.protocol) == (80, "http:")
    assert (https.global_agent.default_port, https.global_agent.protocol) == (443, "https:")
    agent = https.Agent()
    assert agent.max_cached_sessions == 100


def test_defaults_of_the_servers(module: Any) -> None:
    """SRV-2 with decisions 5 and 6, MOD-76."""
    server: Server = module.create_server()
    assert (server.timeout, server.keep_alive_timeout, server.headers_timeout) == (0.0, 5.0, 60.0)
    assert (server.request_timeout, server.max_headers_count, server.max_connections) == (300.0, 2000, None)
    assert (server.listening, server.http_allow_half_open, server.address()) == (False, False, None)


def test_https_and_http_agents_do_not_mix() -> None:
    """MOD-66, MOD-67."""

    async def main() -> None:
        with pytest.raises(ValueError, match="Protocol"):
            https.request("https://h/", agent=http.Agent())
        with pytest.raises(ValueError, match="Protocol"):
            https.request("http://h/")
        agent = https.Agent()
        req = http.request("https://h/", agent=agent)
        assert req.protocol == "https:"
        req.destroy()

    asyncio.run(main())
