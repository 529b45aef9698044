"""JSON pointers, by the examples of RFC 6901 and by any document."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live.pointer import MISSING, Pointer

DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("01-~/a", max_size=3), inner, max_size=4)
    ),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
    ],
)
def test_the_examples_of_the_standard_are_found(text: str, expected: object) -> None:
    assert Pointer(text).find(DOCUMENT) == expected


def test_escapes_are_undone_in_the_order_that_keeps_a_tilde() -> None:
    assert Pointer("/~01").find({"~1": "tilde", "/": "slash"}) == "tilde"


@pytest.mark.parametrize(
    "text", ["/bar", "/foo/2", "/foo/00", "/foo/01", "/foo/-", "/foo/-1", "/foo/+1", "/foo/ 1", "/foo/١", "/foo/0/x", "/m~0n/x"]
)  # fmt: skip
def test_where_nothing_is_the_answer_is_missing(text: str) -> None:
    assert Pointer(text).find(DOCUMENT) is MISSING
    assert Pointer(text).find(MISSING) is MISSING


def test_a_null_is_not_missing() -> None:
    assert Pointer("/a").find({"a": None}) is None
    assert repr(MISSING) == "MISSING"


@pytest.mark.parametrize("text", ["foo", "#/foo", "/~", "/~2", "/a~"])
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no JSON pointer"):
        Pointer(text)


@settings(max_examples=100)
@given(JSON, st.data())
def test_every_value_of_a_document_has_a_pointer(document: object, data: st.DataObject) -> None:
    tokens: list[str] = []
    value = document
    while isinstance(value, dict | list) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        value = value[key]
        tokens.append(str(key).replace("~", "~0").replace("/", "~1"))
    pointer = Pointer("".join(f"/{token}" for token in tokens))
    assert pointer.find(document) is value
    assert repr(pointer) == f"Pointer({pointer.text!r})"


@settings(max_examples=100)
@given(st.text("/~01-a", max_size=8), JSON)
def test_any_text_is_a_pointer_that_never_fails_or_is_refused(text: str, document: object) -> None:
    try:
        pointer = Pointer(text)
    except ValueError:
        assert not text.startswith("/") or "~" in text
    else:
        pointer.find(document)
