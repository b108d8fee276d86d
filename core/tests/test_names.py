"""Pool names (AGT-13 to AGT-19, ASK-39, SEC-42)."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._errors import ArgumentTypeError
from anywire.core._names import EXTRA_FIELDS, NODE_FIELDS, TLS_OPTIONS, http_name, https_name, identity_token


@pytest.mark.parametrize(
    ("options", "name"),
    [
        # AGT-13
        ({}, "localhost::"),
        ({"host": "h", "port": 80}, "h:80:"),
        ({"host": "h", "port": 80, "local_address": "1.2.3.4"}, "h:80:1.2.3.4"),
        # AGT-14
        ({"family": 4}, "localhost:::4"),
        ({"family": 6}, "localhost:::6"),
        ({"family": 0}, "localhost::"),
        ({"family": 5}, "localhost::"),
        ({"family": None}, "localhost::"),
        ({"family": True}, "localhost::"),
        # AGT-15
        ({"socket_path": "/x"}, "localhost:::/x"),
        ({"host": "h", "port": 1, "family": 4, "socket_path": "/x"}, "h:1::4:/x"),
        # AGT-16
        ({"hostname": "other", "host": "H", "port": 80}, "H:80:"),
        ({"host": "", "port": None}, "localhost::"),
    ],
)
def test_http(options: dict[str, object], name: str) -> None:
    assert http_name(options) == name


def test_socket_options_are_part_of_the_name() -> None:
    # MOD-61 lets them through unseen, ASK-39 forbids to share what may differ.
    names = {http_name({"host": "h", "port": 1, "socket_options": each}) for each in (None, {}, {"a": 1}, {"a": 2})}
    assert len(names) == 3
    assert "h:1:" in names


def test_https_plain() -> None:
    # AGT-19
    assert https_name({"host": "h", "port": 1}) == "h:1:" + ":" * 17


def test_https_fields_stand_in_nodes_order() -> None:
    # AGT-18; the field order is the spec's, repeated here on purpose.
    order = [
        "ca", "cert", "client_cert_engine", "ciphers", "key", "pfx", "reject_unauthorized", "servername",
        "min_version", "max_version", "secure_protocol", "crl", "honor_cipher_order", "ecdh_curve", "dhparam",
        "secure_options", "session_id_context",
    ]  # fmt: skip
    assert len(order) == 17
    options: dict[str, object] = {name: f"v{index}" for index, name in enumerate(order)}
    options["reject_unauthorized"] = True
    values = ["true" if name == "reject_unauthorized" else options[name] for name in order]
    assert https_name({"host": "h", "port": 1, **options}) == ":".join(["h:1:", *map(str, values)])


@pytest.mark.parametrize(
    ("options", "position", "text"),
    [
        # AGT-19
        ({"servername": "h"}, 7, ""),
        ({"servername": "other"}, 7, "other"),
        ({"reject_unauthorized": False}, 6, "false"),
        ({"reject_unauthorized": True}, 6, "true"),
        ({"reject_unauthorized": None}, 6, ""),
        ({"honor_cipher_order": False}, 12, "false"),
        ({"secure_options": 0}, 15, "0"),
        # AGT-18: empty when unset
        ({"ca": ""}, 0, ""),
        ({"ca": None}, 0, ""),
        ({"ca": ["a", "b"]}, 0, "a,b"),
        ({"ca": b"abc"}, 0, "abc"),
    ],
)
def test_https_values(options: dict[str, object], position: int, text: str) -> None:
    fields = https_name({"host": "h", "port": 1, **options}).split(":")[3:]
    assert len(fields) == 17
    assert fields[position] == text
    assert [each for each in fields if each] == ([text] if text else [])


@pytest.mark.parametrize("flag", ["reject_unauthorized", "check_hostname"])
@pytest.mark.parametrize("value", [0, 1, "", "false", "no", [], 0.0, b""])
def test_only_false_itself_turns_verification_off(flag: str, value: object) -> None:
    # SEC-42
    for options in ({flag: value}, {"tls": {flag: value}}):
        with pytest.raises(ArgumentTypeError, match=flag) as caught:
            https_name(options)
        assert caught.value.code == "ERR_INVALID_ARG_TYPE"


class Context:
    """Stands for an ssl.SSLContext, which the core must not import."""


ONE, TWO = Context(), Context()
DIFFERENT: dict[str, tuple[Any, Any]] = {
    "reject_unauthorized": (True, False),
    "check_hostname": (True, False),
    "ssl_context": (ONE, TWO),
    "check_server_identity": (lambda: 1, lambda: 2),
    "alpn_protocols": (["http/1.1"], ["h2", "http/1.1"]),
    "ca": ("A" * 5000, "A" * 4999 + "B"),
    "key": (b"\x00" * 100, b"\x00" * 99 + b"\x01"),
    "secure_options": (0, 4),
    "honor_cipher_order": (False, True),
}


@pytest.mark.parametrize("option", sorted(TLS_OPTIONS))
def test_every_tls_option_is_part_of_the_name(option: str) -> None:
    # ASK-39: change any one of them, and nothing is shared.
    one, two = DIFFERENT.get(option, ("one", "two"))
    base: dict[str, object] = {"host": "h", "port": 1}
    if option == "passphrase":
        base["key"] = "k" * 100  # without a key it opens nothing
    names = {https_name({**base, option: value}) for value in (one, two, None)}
    assert len(names) == 3
    assert https_name({**base, option: one}) == https_name({**base, "tls": {option: one}})


def test_unknown_tls_options_are_part_of_the_name() -> None:
    names = {https_name({"tls": tls}) for tls in ({}, {"new": 1}, {"new": 2}, {"newer": 1})}
    assert len(names) == 4


def test_lists_of_options() -> None:
    assert len(NODE_FIELDS) == 17
    assert not set(NODE_FIELDS) & set(EXTRA_FIELDS)
    assert set(NODE_FIELDS) | set(EXTRA_FIELDS) == TLS_OPTIONS


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"ca": "x", "cert": "y:"}, {"ca": "x:y", "cert": ""}),
        ({"ca": "x:y"}, {"ca": "x", "cert": "y"}),
        ({"ca": "a,b"}, {"ca": ["a", "b"]}),
        ({"ca": ["a", "b", "c"]}, {"ca": [["a", "b"], "c"]}),
        ({"ca": [["a"], "b"]}, {"ca": ["{a}", "b"]}),
        ({"session_id_context": "check_hostname=true"}, {"check_hostname": True}),
        ({"ca": {"a": "b"}}, {"ca": "{a=b}"}),
        ({"ca": "é"}, {"ca": "é".encode("latin-1")}),
        ({"alpn_protocols": ["a"]}, {"sigalgs": ["a"]}),
    ],
)
def test_no_collisions(one: dict[str, object], two: dict[str, object]) -> None:
    assert https_name(one) != https_name(two)


SIMPLE = st.text(alphabet="ab:,%#={}é", max_size=4)
VALUES = st.one_of(SIMPLE, st.lists(SIMPLE, min_size=2, max_size=3))
FIELDS = ["ca", "cert", "key", "ciphers", "session_id_context", "alpn_protocols", "sigalgs"]


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES)),
    st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, VALUES)),
)
def test_equal_names_mean_equal_options(one: dict[str, object], two: dict[str, object]) -> None:
    def given_ones(options: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in options.items() if value}

    assert (https_name(one) == https_name(two)) == (given_ones(one) == given_ones(two))


def test_secrets_are_not_in_the_name() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "c2VjcmV0" * 50
    name = https_name({"host": "h", "port": 1, "key": key, "passphrase": "hunter2"})
    assert "c2VjcmV0" not in name
    assert "hunter2" not in name
    assert len(name) < 200
    assert https_name({"passphrase": "hunter2"}) == https_name({})


def test_equal_content_is_one_name() -> None:
    long = "x" * 1000
    assert https_name({"ca": long}) == https_name({"ca": long.encode()})
    assert https_name({"ca": bytearray(b"x" * 1000)}) == https_name({"ca": long})


def test_a_token_is_never_given_again() -> None:
    # id() is: a new context at the address of a dead one must not find the dead one's connections.
    seen = set()
    for _ in range(200):
        thing = Context()
        token = identity_token(thing)
        assert identity_token(thing) == token
        assert token not in seen
        seen.add(token)
        del thing
    gc.collect()


def test_a_dead_object_leaves_nothing_behind() -> None:
    from anywire.core import _names

    before = len(_names._references)
    thing = Context()
    identity_token(thing)
    assert len(_names._references) == before + 1
    del thing
    gc.collect()
    assert len(_names._references) == before


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ArgumentTypeError, match="object"):
        https_name({"ssl_context": object()})
