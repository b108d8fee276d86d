"""TLS options as contexts, with the real ssl module; what is refused stands in test_arguments_everywhere."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from anywire.core import _tls as contexts
from anywire.core import client_context, server_context
from anywire.core._errors import ArgumentValueError
from anywire.core._names import TLS_OPTIONS
from anywire.core._options import request_options
from anywire.core.facade.awaiting import SecureAgent


@pytest.fixture(scope="module")
def pem() -> dict[str, str]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    return {
        "ca": authority.cert_pem.bytes().decode(),
        "cert": issued.cert_chain_pems[0].bytes().decode(),
        "key": issued.private_key_pem.bytes().decode(),
    }


@pytest.mark.parametrize("form", ["text", "bytes", "paths", "one file"])
def test_a_certificate_and_its_key(form: str, pem: dict[str, str], tmp_path: Path) -> None:
    """MOD-74: PEM text, paths, or both in one."""
    options: dict[str, Any] = {"cert": pem["cert"], "key": pem["key"]}
    if form == "bytes":
        options = {name: text.encode() for name, text in options.items()}
    elif form == "paths":
        for name, text in options.items():
            (tmp_path / name).write_text(text)
            options[name] = str(tmp_path / name)
    elif form == "one file":
        (tmp_path / "both").write_text(pem["cert"] + pem["key"])
        options = {"cert": str(tmp_path / "both")}
    made = server_context(ssl, tempfile, options)
    asks = client_context(ssl, tempfile, {"ca": pem["ca"]})
    ends = [ssl.MemoryBIO(), ssl.MemoryBIO()]
    client = asks.wrap_bio(ends[0], ends[1], server_hostname="localhost")
    server = made.wrap_bio(ends[1], ends[0], server_side=True)
    for end in (client, server, client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.getpeercert()["subjectAltName"] == (("DNS", "localhost"),)
    assert client.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("name", sorted(contexts._NO_COUNTERPART))
def test_what_ssl_cannot_do_is_refused_SEC_41(name: str, pem: dict[str, str]) -> None:
    """A callback that verifies, or a list of revoked certificates, that was passed over would be worse than none."""
    for make, options in ((client_context, {}), (server_context, {"cert": pem["cert"], "key": pem["key"]})):
        with pytest.raises(ArgumentValueError, match=f'"{name}"') as caught:
            make(ssl, tempfile, {**options, name: "anything"})
        assert caught.value.code == "ERR_INVALID_OPT_VALUE"


@pytest.mark.parametrize("name", sorted(TLS_OPTIONS - {"ssl_context", "servername"}))
def test_nothing_is_passed_over_for_a_context_of_ones_own_SEC_41(name: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    value = True if name in {"reject_unauthorized", "check_hostname", "honor_cipher_order"} else "anything"
    for make in (client_context, server_context):
        with pytest.raises(ArgumentValueError, match=f'"{name}".*"ssl_context"') as caught:
            make(ssl, tempfile, {"ssl_context": context, name: value})
        assert caught.value.code == "ERR_INVALID_OPT_VALUE"


def test_a_context_of_ones_own() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert server_context(ssl, tempfile, {"ssl_context": context}) is context
    assert client_context(ssl, tempfile, {"ssl_context": context, "servername": "x"}) is context


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, ssl.CERT_NONE),
        ({"ca": "ca"}, ssl.CERT_REQUIRED),
        ({"request_cert": True}, ssl.CERT_REQUIRED),
        ({"ca": "ca", "request_cert": False}, ssl.CERT_NONE),
        ({"ca": "ca", "reject_unauthorized": False}, ssl.CERT_OPTIONAL),
        ({"reject_unauthorized": False}, ssl.CERT_NONE),
    ],
)
def test_certificates_of_clients(options: dict[str, Any], mode: ssl.VerifyMode, pem: dict[str, str]) -> None:
    """MOD-74: asking for one is not insisting on one."""
    given = {name: pem["ca"] if name == "ca" else value for name, value in options.items()}
    made = server_context(ssl, tempfile, {"cert": pem["cert"], "key": pem["key"], **given})
    assert made.verify_mode == mode


@pytest.mark.parametrize(
    ("options", "verifies", "names"),
    [
        ({}, True, True),
        ({"reject_unauthorized": True}, True, True),
        ({"reject_unauthorized": False}, False, False),
        ({"check_hostname": False}, True, False),
        ({"check_hostname": False, "reject_unauthorized": False}, False, False),
    ],
)
def test_a_client_verifies(options: dict[str, Any], verifies: bool, names: bool, pem: dict[str, str]) -> None:
    """SEC-42: by default, and unless False says otherwise; with an authority of one's own too."""
    for more in ({}, {"ca": pem["ca"]}):
        made = client_context(ssl, tempfile, {**options, **more})
        assert (made.verify_mode == ssl.CERT_REQUIRED, made.check_hostname) == (verifies, names)


def test_the_store_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ASK-40: whatever the number of Agents and hosts; and each set of TLS options has a context of its own."""
    loads: list[object] = []

    def create(*args: Any) -> ssl.SSLContext:
        loads.append(args)
        return ssl.create_default_context(*args)

    counting = SimpleNamespace(**{**vars(ssl), "create_default_context": create})
    monkeypatch.setattr(contexts, "_contexts", type(contexts._contexts)())
    made = set()
    for number in range(100):
        agent = SecureAgent()
        wanted = agent.connection_options(request_options(f"https://h{number}.test/", secure=True))
        made.add(client_context(counting, tempfile, wanted))
    assert (len(loads), len(made)) == (1, 1)
    other = client_context(counting, tempfile, {"reject_unauthorized": False})
    assert other not in made and len(loads) == 2


def test_contexts_are_bounded(monkeypatch: pytest.MonkeyPatch, pem: dict[str, str]) -> None:
    monkeypatch.setattr(contexts, "_contexts", type(contexts._contexts)())
    for number in range(contexts.MAX_CONTEXTS + 5):
        client_context(ssl, tempfile, {"ca": pem["ca"] + "\n" * number})
    assert len(contexts._contexts) == contexts.MAX_CONTEXTS


def test_what_openssl_refuses(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    for options, blamed in (
        ({"ca": str(wrong)}, 'The option "ca"'),
        ({"cert": str(wrong), "key": str(wrong)}, 'The options "cert" and "key"'),
        ({"cert": str(wrong)}, 'The option "cert", which without "key" holds both,'),
        ({"ciphers": "none"}, 'The option "ciphers"'),
        ({"ecdh_curve": "none"}, 'The option "ecdh_curve"'),
    ):
        with pytest.raises(ArgumentValueError, match=f"^{blamed} cannot be used: "):
            client_context(ssl, tempfile, options)


def test_no_context_of_ours_lets_the_peer_renegotiate(pem: dict[str, str]) -> None:
    """TLS 1.2: a second handshake in the middle of an upload stalls it, and costs a server more than its client."""
    server = server_context(ssl, tempfile, {"cert": pem["cert"], "key": pem["key"]})
    for made in (client_context(ssl, tempfile, {}), server):
        assert made.options & ssl.OP_NO_RENEGOTIATION
