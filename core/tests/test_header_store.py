"""RES-1 to RES-14, RES-L4, ASK-60: the fields a caller sets."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anywire.core._chars import validate_header_name, validate_header_value
from anywire.core._errors import ArgumentTypeError, ArgumentValueError
from anywire.core._header_store import (
    REMOVED_CONNECTION,
    REMOVED_DATE,
    REMOVED_LENGTH,
    REMOVED_TRANSFER_ENCODING,
    HeaderStore,
    field_pairs,
    pairs,
)

TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names = st.text(alphabet=TOKEN_CHARS, min_size=1, max_size=12)


def store_of(*pairs: tuple[str, Any]) -> HeaderStore:
    store = HeaderStore()
    for name, value in pairs:
        store.set(name, value)
    return store


def test_replacing_takes_the_new_spelling_and_keeps_the_position() -> None:
    store = store_of(("Foo", 1), ("Bar", 2), ("foo", 3))  # RES-1
    assert list(store.items()) == [("foo", 3), ("Bar", 2)]


def test_values_keep_their_type() -> None:
    many = ["a", "b"]
    store = store_of(("A", 5), ("B", many), ("C", ""))  # RES-3, RES-4, RES-6
    assert store.get("a") == 5
    assert type(store.get("a")) is int
    assert store.get("b") is many
    assert store.as_dict() == {"a": 5, "b": many, "c": ""}
    assert store.as_dict()["b"] is many
    assert store.has("C")
    assert "c" in store
    assert store.get("none") is None
    assert not store.has("none")


def test_the_dict_is_a_copy() -> None:
    store = store_of(("A", "1"))  # RES-4
    store.as_dict()["b"] = "2"
    assert store.names() == ["a"]


def test_names_are_lower_case_and_in_order() -> None:
    assert HeaderStore().names() == []  # RES-5
    store = store_of(("B", "1"), ("a", "2"))
    assert store.names() == ["b", "a"]
    assert list(store) == ["b", "a"]
    assert len(store) == 2


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("Connection", REMOVED_CONNECTION),
        ("content-length", REMOVED_LENGTH),
        ("TRANSFER-ENCODING", REMOVED_TRANSFER_ENCODING),
        ("Date", REMOVED_DATE),
        ("Host", 0),
        ("X-Any", 0),
    ],
)
def test_removing_is_remembered_for_automatic_fields(name: str, flag: int) -> None:
    store = HeaderStore()
    store.remove(name)  # RES-7: even if never set
    assert store.removed == flag
    store.set(name, "5")
    store.remove(name.upper())
    assert store.removed == flag
    assert not store.has(name)


def test_set_after_remove_goes_to_the_end() -> None:
    store = store_of(("A", "1"), ("B", "2"))
    store.remove("a")
    store.set("A", "3")
    assert store.names() == ["b", "a"]


@pytest.mark.parametrize("method", ["get", "has", "remove"])
@pytest.mark.parametrize("name", [5, None, b"a", ["a"]])
def test_a_name_that_is_not_a_str(method: str, name: Any) -> None:
    with pytest.raises(ArgumentTypeError, match='"name" argument') as caught:  # RES-8
        getattr(HeaderStore(), method)(name)
    assert caught.value.code == "ERR_INVALID_ARG_TYPE"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "a\n", "é", "a\x00", 5, None, b"a", ["a"]])
@pytest.mark.parametrize("method", ["set", "append"])
def test_bad_names(method: str, name: Any) -> None:
    store = HeaderStore()
    with pytest.raises(ArgumentValueError) as caught:  # RES-9
        getattr(store, method)(name, "v")
    assert caught.value.code == "ERR_INVALID_HTTP_TOKEN"
    assert len(store) == 0
    with pytest.raises(ArgumentValueError):
        validate_header_name(name)  # MOD-L1


def test_the_message_of_a_bad_name() -> None:
    with pytest.raises(ArgumentValueError, match=r'^Header name must be a valid HTTP token \["a b"\]$'):
        HeaderStore().set("a b", "v")  # RES-9


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"x",
        bytearray(b"x"),
        memoryview(b"x"),
        {},
        set(),
        [None],
        ["a", b"x"],
        [["a"]],
        pytest.param(10**5000, id="huge"),
    ],
)
@pytest.mark.parametrize("method", ["set", "append"])
def test_values_without_a_text(method: str, value: Any) -> None:
    store = HeaderStore()
    with pytest.raises(ArgumentValueError) as caught:  # RES-10
        getattr(store, method)("a", value)
    assert caught.value.code == "ERR_HTTP_INVALID_HEADER_VALUE"
    assert len(store) == 0
    with pytest.raises(ArgumentValueError):
        validate_header_value("a", value)  # MOD-L1


class Injecting:
    def __str__(self) -> str:
        return "a\r\nb: c"


@pytest.mark.parametrize(
    "value", ["a\rb", "a\nb", "a\r\nX: y", "\x00", "\x7f", "\x1b", "Ā", "\u2028", ["ok", "a\n"], ("a\r",), Injecting()]
)
@pytest.mark.parametrize("method", ["set", "append"])
def test_bad_value_characters(method: str, value: Any) -> None:
    store = HeaderStore()
    with pytest.raises(
        ArgumentValueError, match=r'^Invalid character in header content \["a"\]: U\+'
    ) as caught:  # RES-11
        getattr(store, method)("a", value)
    assert caught.value.code == "ERR_INVALID_CHAR"
    assert len(store) == 0
    with pytest.raises(ArgumentValueError):
        validate_header_value("a", value)  # MOD-L1


@pytest.mark.parametrize("value", ["", "\t", " ~", "\x80\xff", 5, 1.5, True, [], ["a", 1]])
def test_good_values(value: Any) -> None:
    assert store_of(("a", value)).get("A") is value  # RES-11, RES-12
    validate_header_value("a", value)


def test_append_adds_lines() -> None:
    store = HeaderStore()  # RES-L4
    store.append("Set-Cookie", "a=1")
    assert store.get("set-cookie") == "a=1"
    given_list = ["b=2"]
    store.append("set-cookie", given_list)
    store.append("SET-COOKIE", "c=3")
    assert list(store.items()) == [("Set-Cookie", ["a=1", "b=2", "c=3"])]
    assert given_list == ["b=2"]


def test_append_leaves_the_callers_list_alone() -> None:
    mine = ["a"]
    store = store_of(("x", mine))
    store.append("x", "b")
    assert mine == ["a"]
    assert store.get("x") == ["a", "b"]


def test_update_replaces_and_adds_up_repeats() -> None:
    store = store_of(("A", "1"), ("B", "2"))  # RES-25, RES-26
    store.update([("b", "3"), ("C", "4"), ("c", "5")])
    assert list(store.items()) == [("A", "1"), ("b", "3"), ("C", ["4", "5"])]
    store.update({"a": "9"})
    assert store.get("A") == "9"


def test_update_is_all_or_nothing() -> None:
    store = store_of(("A", "1"))
    with pytest.raises(ArgumentValueError):
        store.update([("A", "2"), ("B", "\n")])
    assert list(store.items()) == [("A", "1")]


def test_forms_of_fields() -> None:
    expected = [("A", "1"), ("B", "2")]
    assert list(field_pairs({"A": "1", "B": "2"})) == expected
    assert list(field_pairs([["A", "1"], ("B", "2")])) == expected  # RES-26, MOD-47
    assert list(field_pairs(["A", "1", "B", "2"])) == expected  # RES-L1
    assert list(field_pairs(["ab", "cd"])) == [("ab", "cd")]
    assert list(field_pairs(iter(expected))) == expected
    assert list(field_pairs(store_of(*expected))) == expected
    assert list(field_pairs(None)) == []
    assert list(field_pairs([])) == []


@pytest.mark.parametrize("fields", ["ab", b"ab", 5, 1.5, ["a"], [("a",)], [("a", "b", "c")], [5], ["a", "b", "c"]])
def test_forms_that_are_refused(fields: Any) -> None:
    with pytest.raises(ArgumentTypeError):  # MOD-46, RES-26
        field_pairs(fields)


@pytest.mark.parametrize("fields", [None, ["a", "b"], ("a", "b"), [("a", "1"), "b"]])
def test_forms_that_only_write_head_takes(fields: Any) -> None:
    with pytest.raises(ArgumentTypeError):  # RES-L1
        pairs(fields)


def test_what_is_no_pair_is_not_shown() -> None:
    with pytest.raises(ArgumentTypeError) as caught:  # SEC-45
        field_pairs([("Authorization: Basic c2VjcmV0",)])
    assert "c2VjcmV0" not in str(caught.value)


class Upper(str):
    __slots__ = ()


class Name(str, enum.Enum):  # noqa: UP042  # str() of a StrEnum would be its text anyway
    FOO = "X-Foo"


def test_str_subclasses_count_by_their_text() -> None:
    store = store_of((Upper("X-Foo"), Upper("1")))
    assert store.get("x-foo") == "1"
    store.set(Name.FOO, "2")
    assert store.names() == ["x-foo"]
    assert store.get(Name.FOO) == "2"


def test_only_ascii_letters_fold() -> None:
    # "K" (Kelvin sign) lower-cases to an ASCII k, "ſ" upper-cases to S: neither is the field.
    store = store_of(("k", "1"), ("s", "2"))
    assert not store.has("\u212a")
    assert store.get("\u017f") is None
    store.remove("\u212a")
    assert len(store) == 2


@given(st.lists(st.tuples(st.sampled_from(["set", "append", "remove"]), names, st.text(alphabet="abc", max_size=3))))
def test_behaves_like_a_dict_of_lower_case_names(steps: list[tuple[str, str, str]]) -> None:
    """ASK-60: get, in, set and del ignore case; no name is special."""
    store = HeaderStore()
    model: dict[str, Any] = {}
    for step, name, value in steps:
        lower = name.lower()
        if step == "set":
            store.set(name, value)
            model[lower] = value
        elif step == "append":
            store.append(name, value)
            old = model.get(lower)
            model[lower] = value if old is None else [*(old if isinstance(old, list) else [old]), value]
        else:
            store.remove(name)
            model.pop(lower, None)
        for spelling in (name, lower, name.upper(), name.swapcase()):
            assert store.get(spelling) == model.get(lower)
            assert store.has(spelling) == (spelling in store) == (lower in model)
        assert list(store.as_dict().items()) == list(model.items())


@pytest.mark.parametrize("name", ["__proto__", "constructor", "__class__", "items", "get", "removed"])
def test_no_name_is_special(name: str) -> None:
    store = store_of((name, "1"))
    assert store.get(name.upper()) == "1"
    assert store.as_dict() == {name: "1"}
